// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/unique_fd.h"
#include "journal/reader.h"
#include "lib/history_listener.h"

namespace knell::lib {

// Adds to an error of opening a journal how to fix it.
Error explained(const Error& error, const std::string& path);

// Reads the file of the journal. See file_history.cc.
class FileHistory final : public HistoryListener, private journal::EventFilter {
 public:
  // `options` must be valid. Errors: those of knell_open_history().
  static Result<std::unique_ptr<FileHistory>> create(const std::string& path,
                                                     const knell_history_options& options);

  Result<size_t> read(const knell_event** ret_events, size_t count) override;

 private:
  FileHistory(const knell_history_options& options, journal::Reader reader);
  Result<void> open();
  Result<void> start();
  void watch_changes();
  bool reopen_if_replaced();

  // EventFilter
  bool may_want(const journal::Record& record) override;
  bool wants(knell_event& event) override { return HistoryListener::wants(event); }

  journal::Reader reader_;
  ino_t inode_ = 0;   // inode of the journal
  UniqueFd changes_;  // inotify(7) of the files; follow only
  bool started_ = false;
  std::array<std::string, kSlots> cursors_;  // the cursors in slots_
};

}  // namespace knell::lib
