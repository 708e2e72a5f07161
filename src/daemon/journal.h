// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "daemon/config.h"
#include "daemon/status.h"
#include "daemon/user_database.h"
#include "journal/recorder.h"

namespace knell::daemon {

// Creates the folder of the default journal, if it is missing, and makes knelld's user its owner.
// Needs privileges. Errors: those of mkdir(2) and chown(2).
Result<void> make_journal_folder(const Config::Journal& journal,
                                 const std::optional<UserIds>& become);

// Starts to write the journal. Call without privileges, since the thread would keep them.
std::unique_ptr<journal::Recorder> start_recorder(const Config::Journal& journal,
                                                  journal::Recorder::OnProgress on_progress,
                                                  journal::Recorder::CountWritten count_written);

// CLOCK_REALTIME of the last event in the journal at `path`; 0: it has no events. nullopt: there is
// no readable journal.
std::optional<int64_t> last_time(const std::string& path);

Status::Journal describe(const Config::Journal& journal, const journal::Recorder& recorder);

}  // namespace knell::daemon
