// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// SQLite, as objects that release what they hold, with Results. An error has the errno that fits
// best: ENOSPC, EBADMSG (the file is damaged, or no database), EBUSY, EACCES, EROFS, EIO.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace knell::journal {

// A prepared statement. Not thread-safe. Must not outlive its Database.
class Statement {
 public:
  Statement() = default;
  Statement(sqlite3_stmt* statement, const std::string& path)
      : statement_(statement), path_(&path) {}

  // Parameters count from 1. Texts are not copied: they must live until the statement is reset.
  void bind(int parameter, int64_t value);
  void bind(int parameter, std::string_view bytes);
  // True: there is a row, whose columns (from 0) can be read until the next call.
  Result<bool> step();
  int64_t number(int column) const;
  bool is_null(int column) const;
  std::string_view bytes(int column) const;
  // Ends the transaction that the statement needed, if there is no other.
  void reset();
  // For a statement without rows: step() and reset().
  Result<void> run();

 private:
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const;
  };
  std::unique_ptr<sqlite3_stmt, Finalize> statement_;
  const std::string* path_ = nullptr;  // of the database
};

class Database {
 public:
  enum class Mode { kRead, kWrite };
  // The file must exist. Errors: also those of open(2).
  static Result<Database> open(const std::string& path, Mode mode);
  Database() = default;

  bool is_open() const { return database_ != nullptr; }
  const std::string& path() const { return shared_->path; }
  Result<void> execute(const std::string& statements);
  Result<Statement> prepare(std::string_view statement);
  // The first column of the first row; 0 without a row.
  Result<int64_t> number(std::string_view statement);

  // The WAL and its index stay when the last connection is closed.
  Result<void> keep_wal();
  // Copies the WAL into the file. `wait_ms`: for readers, so that the WAL can begin anew; 0: as far
  // as possible now. Returns whether nothing is left in the WAL.
  Result<bool> checkpoint(int wait_ms);
  // Frames (pages) of the WAL after the last commit.
  int wal_frames() const { return shared_->wal_frames; }

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  // With an address that does not change.
  struct Shared {
    std::string path;
    int wal_frames = 0;
  };
  std::unique_ptr<Shared> shared_ = std::make_unique<Shared>();
  std::unique_ptr<sqlite3, Close> database_;
};

}  // namespace knell::journal
