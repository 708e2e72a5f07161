// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <knell/knell.hpp>
#include <string>

#include "base/command_line.h"
#include "cli/failure.h"

namespace knell::cli {

// The flags that select a journal and a period of time.
struct JournalFlags {
  std::string journal, since, until;
  bool boot = false;

  void add_time_options(CommandLine& line);
  void add_file_option(CommandLine& line);

  // The path, for messages.
  std::string path() const { return journal.empty() ? KNELL_JOURNAL_PATH : journal; }
  Outcome<HistoryOptions> options(uint32_t mask) const;
  // The first of these flags that was typed, or "".
  std::string_view given() const;
};

// Opens a journal. `path` "": the journal of knelld, through knelld if the file cannot be read.
// Errors: kNothingHere: there is no journal, or this user may not read it; kDone: the journal is
// empty; kFailed.
Outcome<Listener> open_journal(const std::string& path, const HistoryOptions& options);

// The origin of the events of the listener, for messages.
std::string journal_text(const Listener& listener, const JournalFlags& flags);

}  // namespace knell::cli
