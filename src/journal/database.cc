// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/database.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cerrno>
#include <utility>

namespace knell::journal {
namespace {

int code_of(sqlite3* database, int result) {
  if (result == SQLITE_IOERR_NOMEM) return ENOMEM;
  const int system = database == nullptr ? 0 : sqlite3_system_errno(database);
  switch (result & 0xff) {
    case SQLITE_FULL:
      return ENOSPC;
    case SQLITE_IOERR:
      // The errno may belong to another call. is_refusal() treats some values specially.
      return system == ENOSPC || system == EDQUOT ? ENOSPC : EIO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_MISMATCH:
      return EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return EBUSY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return EACCES;
    case SQLITE_READONLY:
      return EROFS;
    case SQLITE_NOMEM:
      return ENOMEM;
    case SQLITE_ERROR:
    case SQLITE_SCHEMA:
      return EBADMSG;  // a required table or column is missing
    default:
      break;
  }
  return system > 0 ? system : EIO;
}

std::unexpected<Error> error_of(sqlite3* database, int result, std::string_view path) {
  const int code = code_of(database, result);
  const char* why = database == nullptr ? sqlite3_errstr(result) : sqlite3_errmsg(database);
  if (code == ENOMEM) why = "out of memory";
  // "file is not a database" does not say which database is meant.
  if ((result & 0xff) == SQLITE_NOTADB) why = "this is not a journal of knelld";
  return say(code, std::string(path) + ": " + why);
}

int note_frames(void* frames, sqlite3*, const char*, int count) {
  *static_cast<int*>(frames) = count;
  return SQLITE_OK;
}

}  // namespace

void Statement::Finalize::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

void Statement::bind(int parameter, int64_t value) {
  sqlite3_bind_int64(statement_.get(), parameter, value);
}

void Statement::bind(int parameter, std::string_view bytes) {
  sqlite3_bind_blob64(statement_.get(), parameter, bytes.data() == nullptr ? "" : bytes.data(),
                      bytes.size(), SQLITE_STATIC);
}

Result<bool> Statement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result == SQLITE_DONE) return false;
  auto error = error_of(sqlite3_db_handle(statement_.get()), result, *path_);
  reset();
  return error;
}

int64_t Statement::number(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
}

std::string_view Statement::bytes(int column) const {
  const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_.get(), column));
  const auto size = static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column));
  return data == nullptr ? std::string_view() : std::string_view(data, size);
}

void Statement::reset() { sqlite3_reset(statement_.get()); }

Result<void> Statement::run() {
  const auto stepped = step();
  reset();
  if (!stepped) return std::unexpected(stepped.error());
  return {};
}

void Database::Close::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

Result<Database> Database::open(const std::string& path, Mode mode) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return errno_error("open the journal " + path);
  if (!S_ISREG(about.st_mode)) return say(EBADMSG, path + ": not a regular file");
  Database opened;
  opened.shared_->path = path;
  sqlite3* database = nullptr;
  const int access = mode == Mode::kRead ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  const int result = sqlite3_open_v2(path.c_str(), &database,
                                     access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  opened.database_.reset(database);
  if (result != SQLITE_OK) return error_of(database, result, path);
  // An attacker may have changed the file.
  sqlite3_db_config(database, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  // Readers and the writer never wait for each other, but both wait for a process that recovers the
  // WAL after a crash.
  sqlite3_busy_timeout(database, 1000);
  sqlite3_wal_hook(database, note_frames, &opened.shared_->wal_frames);
  return opened;
}

Result<void> Database::execute(const std::string& statements) {
  const int result = sqlite3_exec(database_.get(), statements.c_str(), nullptr, nullptr, nullptr);
  if (result != SQLITE_OK) return error_of(database_.get(), result, path());
  return {};
}

Result<Statement> Database::prepare(std::string_view statement) {
  sqlite3_stmt* prepared = nullptr;
  const int result =
      sqlite3_prepare_v3(database_.get(), statement.data(), static_cast<int>(statement.size()),
                         SQLITE_PREPARE_PERSISTENT, &prepared, nullptr);
  if (result != SQLITE_OK) return error_of(database_.get(), result, path());
  return Statement(prepared, path());
}

Result<int64_t> Database::number(std::string_view statement) {
  KNELL_ASSIGN(Statement prepared, prepare(statement));
  KNELL_ASSIGN(const bool row, prepared.step());
  return row ? prepared.number(0) : 0;
}

Result<void> Database::keep_wal() {
  int on = 1;
  const int result = sqlite3_file_control(database_.get(), "main", SQLITE_FCNTL_PERSIST_WAL, &on);
  if (result != SQLITE_OK) return error_of(database_.get(), result, path());
  return {};
}

Result<bool> Database::checkpoint(int wait_ms) {
  sqlite3_busy_timeout(database_.get(), wait_ms);
  int frames = 0, copied = 0;
  const int result = sqlite3_wal_checkpoint_v2(
      database_.get(), "main", wait_ms == 0 ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART,
      &frames, &copied);
  sqlite3_busy_timeout(database_.get(), 1000);
  if ((result & 0xff) == SQLITE_BUSY) return false;
  if (result != SQLITE_OK) return error_of(database_.get(), result, path());
  if (copied >= frames) shared_->wal_frames = 0;
  return copied >= frames;
}

}  // namespace knell::journal
