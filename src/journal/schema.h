// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The tables of the file, and what kind of file it is.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "journal/database.h"

namespace knell::journal {

inline constexpr int64_t kSchemaVersion = 1;
inline constexpr int64_t kApplicationId = 0x6b6e656c;  // "knel"

enum class FileKind {
  kEmpty,    // a database without tables
  kCurrent,  // a journal of this version
  kOlder,    // of an earlier version: migrate() it
  kNewer,    // of a later version
  kForeign,  // the database of another program
};
// Errors: EBADMSG: it is damaged; those of SQLite.
Result<FileKind> kind_of(Database& database);

// Opens the file to read it. Errors: ENOENT there is no file; EACCES, also where the WAL or its
// index is missing and cannot be created; ENODATA it has no tables yet; ENOTSUP it was written by a
// later version; EEXIST, EBADMSG it is no journal, or damaged.
Result<Database> open_for_reading(const std::string& path);

// Creates or migrates the tables, in one transaction. kEmpty and kOlder only.
Result<void> migrate(Database& database);

// The row of the table `journal`.
struct Identity {
  std::string id;          // a UUID
  int64_t created_ns = 0;  // CLOCK_REALTIME
};
Result<void> create_identity(Database& database, int64_t now_ns);
// Errors: EBADMSG: there is none, or it is damaged.
Result<Identity> read_identity(Database& database);

}  // namespace knell::journal
