// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/schema.h"

#include <sys/random.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <tuple>

#include "journal/block.h"

namespace knell::journal {
namespace {

// Step i makes version i + 1 of version i. Released steps never change.
constexpr std::array<std::string_view, kSchemaVersion> kSteps = {
    "CREATE TABLE journal (id BLOB NOT NULL, created_ns INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL);"
    "CREATE TABLE layout (id INTEGER PRIMARY KEY, fields BLOB NOT NULL,"
    " checksum INTEGER NOT NULL);"
    "CREATE TABLE string (id INTEGER PRIMARY KEY, text BLOB NOT NULL, checksum INTEGER NOT NULL);"
    "CREATE TABLE block (first_seq INTEGER PRIMARY KEY, count INTEGER NOT NULL,"
    " first_ns INTEGER NOT NULL, text_base INTEGER NOT NULL, layout INTEGER NOT NULL,"
    " checksum INTEGER NOT NULL, records BLOB NOT NULL);"
    "CREATE INDEX block_first_ns ON block (first_ns);"
    "CREATE TABLE durable (owner INTEGER NOT NULL, name BLOB NOT NULL, state BLOB NOT NULL,"
    " checksum INTEGER NOT NULL, PRIMARY KEY (owner, name)) WITHOUT ROWID;",
};

// A UUID of version 4, by RFC 9562.
Result<std::string> make_uuid() {
  std::array<unsigned char, 16> bytes;
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return errno_error("get random bytes");
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 0xf];
  }
  return text;
}

}  // namespace

Result<FileKind> kind_of(Database& database) {
  KNELL_ASSIGN(const int64_t application, database.number("PRAGMA application_id"));
  KNELL_ASSIGN(const int64_t version, database.number("PRAGMA user_version"));
  KNELL_ASSIGN(const int64_t objects, database.number("SELECT count(*) FROM sqlite_schema"));
  if (application == 0 && version == 0 && objects == 0) return FileKind::kEmpty;
  if (application != kApplicationId) {
    KNELL_ASSIGN(const int64_t own,
                 database.number("SELECT count(*) FROM sqlite_schema WHERE type='table' AND name IN"
                                 " ('journal','layout','string','block','durable')"));
    if (own == 5) return say(EBADMSG, database.path() + ": is a journal with a damaged header");
    return FileKind::kForeign;
  }
  if (version > kSchemaVersion) return FileKind::kNewer;
  return version == kSchemaVersion ? FileKind::kCurrent : FileKind::kOlder;
}

// SQLite creates the WAL and its index if they are missing, which a reader may not be allowed to.
Result<Database> open_for_reading(const std::string& path) {
  KNELL_ASSIGN(Database database, Database::open(path, Database::Mode::kRead));
  const auto kind = kind_of(database);
  if (!kind && kind.error().code != EBADMSG)
    for (const char* part : {"-wal", "-shm"})
      if (::access((path + part).c_str(), F_OK) != 0)
        return say(EACCES, path + part +
                               ": is missing and cannot be created by this user; root can read the "
                               "journal, and knelld creates the file");
  KNELL_TRY(kind);
  switch (*kind) {
    case FileKind::kNewer:
      return say(ENOTSUP, path + ": was written by a later version of knell");
    case FileKind::kForeign:
      return say(EEXIST, path + ": is the database of another program");
    case FileKind::kEmpty:
      return say(ENODATA, path + ": is empty: no events were written yet");
    case FileKind::kCurrent:
    case FileKind::kOlder:
      break;
  }
  return database;
}

Result<void> migrate(Database& database) {
  KNELL_ASSIGN(const int64_t version, database.number("PRAGMA user_version"));
  std::string all = "BEGIN IMMEDIATE;";
  for (auto step = static_cast<size_t>(version); step < kSteps.size(); ++step) all += kSteps[step];
  all += "PRAGMA application_id=" + std::to_string(kApplicationId) + ";";
  all += "PRAGMA user_version=" + std::to_string(kSchemaVersion) + ";COMMIT;";
  auto done = database.execute(all);
  if (!done) std::ignore = database.execute("ROLLBACK");
  return done;
}

Result<void> create_identity(Database& database, int64_t now_ns) {
  Identity identity;
  identity.created_ns = now_ns;
  KNELL_ASSIGN(identity.id, make_uuid());
  KNELL_ASSIGN(Statement insert, database.prepare("INSERT INTO journal VALUES (?,?,?)"));
  insert.bind(1, identity.id);
  insert.bind(2, identity.created_ns);
  insert.bind(3, checksum_of_text(identity.created_ns, identity.id));
  return insert.run();
}

Result<Identity> read_identity(Database& database) {
  KNELL_ASSIGN(Statement select, database.prepare("SELECT id, created_ns, checksum FROM journal"));
  KNELL_ASSIGN(const bool row, select.step());
  if (!row) return say(EBADMSG, database.path() + ": the journal has no id");
  Identity identity{.id = std::string(select.bytes(0)), .created_ns = select.number(1)};
  if (checksum_of_text(identity.created_ns, identity.id) != select.number(2))
    return say(EBADMSG, database.path() + ": the id of the journal is damaged");
  return identity;
}

}  // namespace knell::journal
