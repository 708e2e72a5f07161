// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <knell/knell.hpp>
#include <string>

#include "base/command_line.h"
#include "cli/failure.h"

namespace knell::cli {

// The flags that say which journal is read, and which time of it.
struct JournalFlags {
  std::string journal, since, until;
  bool boot = false;

  void add_time_options(CommandLine& line);
  void add_file_option(CommandLine& line);

  // For messages.
  std::string path() const { return journal.empty() ? KNELL_JOURNAL_PATH : journal; }
  Outcome<HistoryOptions> options(uint32_t mask) const;
  // The first of these flags that was typed, or "".
  std::string_view given() const;
};

// Opens a journal; "": that of knelld, also through it. Errors: kNothingHere when there is none, or
// this user may not read it; kDone when it is empty; kFailed.
Outcome<Listener> open_journal(const std::string& path, const HistoryOptions& options);

// Where its events come from.
std::string journal_text(const Listener& listener, const JournalFlags& flags);

}  // namespace knell::cli
