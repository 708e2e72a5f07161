// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The writer of the journal; docs/design/journal.md describes the file.
//
// Within a transaction the newest block is written when it is full, and again at the commit if it
// is not full: then it replaces the shorter block of an earlier commit. After a failure the newest
// block is ended and the strings begin anew, because they may refer to data that was rolled back;
// the next append() begins a new block.
//
// A file that cannot be used is replaced in these steps, so that a full disk changes nothing, and
// after a kill at any point the next open() finds the durable listeners and the lost event:
//
//   1. PATH.unfinished   a new journal with the durable listeners and the lost event
//   2. PATH.new          it is complete, without a WAL, and renamed
//   3. PATH.damaged-TIME the old file is moved aside, in the order WAL, index, database
//   4. PATH              the new journal is renamed
//
// If PATH.new exists, open() continues with step 3. TIME is that of PATH.new, so that the parts of
// the old file get the same name then. A WAL is never left beside a database that it does not
// belong to, since SQLite would apply it.
#include "journal/store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <tuple>
#include <utility>

#include "base/boot_id.h"
#include "base/file_lock.h"
#include "journal/event_queue.h"

namespace knell::journal {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr mode_t kMode = 0640;
// Limits the time of one transaction after the limits were lowered; the next transactions delete
// the rest.
constexpr int kMostDeletedBlocks = 4096;

Result<UniqueFd> lock_journal(const std::string& path) {
  const std::string name = path + "-lock";  // `knell history` tests this lock
  UniqueFd lock(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!lock) return errno_error("open " + name);
  if (lock_file(lock.get())) return lock;
  if (errno == EAGAIN) return say(EBUSY, path + ": another knelld writes to this journal");
  return errno_error("lock " + name);
}

constexpr std::string_view kUnfinished = ".unfinished", kNext = ".new";

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

void remove_wal(const std::string& path) {
  for (const char* part : {"-wal", "-shm"}) (void)::unlink((path + part).c_str());
}

// "2026-11-23T06.00.00Z"
std::string time_suffix(time_t seconds) {
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  (void)std::strftime(text.data(), text.size(), "%Y-%m-%dT%H.%M.%SZ", &parts);
  return text.data();
}

// The strings that the records of a block refer to. Each is valid as long as the object.
class StoredTexts final : public Texts {
 public:
  StoredTexts(Statement& select, int64_t base) : select_(select), base_(base) {}
  Result<std::string_view> text(uint64_t number) override {
    const int64_t id = base_ + static_cast<int64_t>(number);
    if (const auto known = texts_.find(id); known != texts_.end())
      return std::string_view(known->second);
    select_.bind(1, id);
    KNELL_ASSIGN(const bool row, select_.step());
    const bool intact = row && checksum_of_text(id, select_.bytes(0)) == select_.number(1);
    std::string text(intact ? select_.bytes(0) : std::string_view());
    select_.reset();
    if (!intact) return make_error(EBADMSG, "find a text of the journal");
    return std::string_view(texts_.emplace(id, std::move(text)).first->second);
  }

 private:
  Statement& select_;
  int64_t base_;
  std::unordered_map<int64_t, std::string> texts_;
};

}  // namespace

// --------------------------------------------------------------------------------------- opening

namespace {
// Moves the file at `path` aside, as far as that was not done yet, and puts the next journal there.
Result<void> put_in_place(const std::string& path, Store::Replacement& replacement, std::string why,
                          std::string_view suffix) {
  const std::string next = path + std::string(kNext);
  struct stat about{};
  if (::stat(next.c_str(), &about) != 0) return errno_error("read the time of " + next);
  const std::string stem = path + "." + std::string(suffix) + "-" + time_suffix(about.st_mtime);
  std::string moved_to = stem, newest = stem;
  for (int i = 2; exists(moved_to); ++i) {
    newest = moved_to;
    moved_to = stem + "." + std::to_string(i);
  }
  if (!exists(path)) moved_to = newest;
  for (const char* part : {"-wal", "-shm", ""}) {
    if (::rename((path + part).c_str(), (moved_to + part).c_str()) != 0 && errno != ENOENT)
      return errno_error("rename " + path + part);
  }
  if (::rename(next.c_str(), path.c_str()) != 0) return errno_error("rename " + next);
  remove_wal(next);  // of a reader
  replacement = {.why = std::move(why), .moved_to = std::move(moved_to)};
  return {};
}
}  // namespace

Result<Store> Store::open(const StoreOptions& options, Clock& clock) {
  Replacement replacement;
  return open(options, clock, replacement);
}

Result<Store> Store::open(const StoreOptions& options, Clock& clock, Replacement& replacement) {
  KNELL_ASSIGN(UniqueFd lock, lock_journal(options.path));
  Store store(options, clock, std::move(lock));
  if (exists(options.path + std::string(kNext))) {
    const std::string why = "knelld was killed while it replaced the journal";
    KNELL_TRY(put_in_place(options.path, replacement,
                           replacement.why.empty() ? why : replacement.why, "damaged"));
  } else if (!replacement.why.empty()) {
    KNELL_TRY(store.replace(replacement, replacement.why, "damaged"));
  }
  auto opened = store.open_file();
  const int code = opened ? 0 : opened.error().code;
  if (replacement.moved_to.empty() && (code == EBADMSG || code == ENOTSUP)) {
    KNELL_TRY(store.replace(replacement, opened.error().message(),
                            code == ENOTSUP ? "newer" : "damaged"));
    opened = store.open_file();
  }
  KNELL_TRY(opened);
  return store;
}

void Store::close() {
  names_ = DurableNames();
  sql_ = Statements();
  database_ = Database();
}

Result<void> Store::replace(Replacement& replacement, std::string why, std::string_view suffix) {
  close();
  if (replacement.names.empty()) replacement.names = read_durable_names(options_.path);
  KNELL_TRY(create_next(replacement.names));
  return put_in_place(options_.path, replacement, std::move(why), suffix);
}

Result<void> Store::create_next(const std::vector<DurableName>& names) {
  StoreOptions options = options_;
  options.path += kUnfinished;
  const auto remove = [&] {
    remove_wal(options.path);
    (void)::unlink(options.path.c_str());
  };
  remove();
  auto created = [&]() -> Result<void> {
    Store next(options, *clock_, UniqueFd());
    KNELL_TRY(next.open_file());
    KNELL_TRY(next.begin_after_loss(names));
    KNELL_ASSIGN(const bool copied, next.database_.checkpoint(1000));
    if (!copied) return say(EBUSY, options.path + ": is in use by another program");
    return {};
  }();
  if (created) {
    remove_wal(options.path);
    if (::rename(options.path.c_str(), (options_.path + std::string(kNext)).c_str()) == 0)
      return {};
    created = errno_error("rename " + options.path);
  }
  remove();
  return created;
}

// It is unknown which events the names missed. So each of them gets all events of the new journal,
// which begins with a lost event without a count.
Result<void> Store::begin_after_loss(const std::vector<DurableName>& names) {
  for (DurableName name : names) {
    name.acked = name.excluded_since = name.delivered = 0;
    name.dropped = name.dropped_types = 0;
    name.pending = 0;
    name.oldest_pending_ns = 0;
    name.dropped_exact = name.pending_exact = true;
    KNELL_TRY(put(std::move(name)));
  }
  const Hole unknown{.exact = false,
                     .types = KNELL_EVENT_ALL,
                     .until_ns = clock_->monotonic_ns(),
                     .until_time_ns = clock_->realtime_ns()};
  KNELL_TRY(append(unknown.event()));
  return commit();
}

std::string journal_file(const std::string& path) {
  std::string next = path + std::string(kNext);
  return exists(next) ? next : path;
}

std::vector<DurableName> read_durable_names(const std::string& path) {
  auto database = Database::open(journal_file(path), Database::Mode::kRead);
  if (!database) return {};
  return DurableNames::read_intact(*database).value_or(std::vector<DurableName>());
}

Result<void> Store::open_file() {
  KNELL_TRY(create_file());
  KNELL_ASSIGN(database_, Database::open(options_.path, Database::Mode::kWrite));
  KNELL_ASSIGN(const FileKind kind, kind_of(database_));
  if (kind == FileKind::kForeign)
    return say(EEXIST, options_.path + ": is the database of another program");
  if (kind == FileKind::kNewer)
    return say(ENOTSUP, options_.path + ": was written by a later version of knelld");
  if (kind == FileKind::kEmpty)
    KNELL_TRY(database_.execute("PRAGMA page_size=" + std::to_string(kPageBytes)));
  KNELL_TRY(database_.execute("PRAGMA journal_mode=WAL"));
  KNELL_TRY(database_.keep_wal());
  // The hook of Database that counts frames also disables the automatic checkpoints of SQLite.
  KNELL_TRY(database_.execute(std::string("PRAGMA temp_store=MEMORY;PRAGMA synchronous=") +
                              (options_.sync == Sync::kAlways ? "FULL" : "NORMAL")));
  KNELL_TRY(database_.execute("PRAGMA journal_size_limit=" +
                              std::to_string(4 * options_.checkpoint_bytes)));
  if (kind == FileKind::kEmpty || kind == FileKind::kOlder) KNELL_TRY(migrate(database_));
  KNELL_ASSIGN(const int64_t named, database_.number("SELECT count(*) FROM journal"));
  if (named == 0) KNELL_TRY(create_identity(database_, clock_->realtime_ns()));
  return prepare();
}

// SQLite would create the file with the umask of the process, and without a group. SQLite gives the
// WAL and its index the mode of the file.
Result<void> Store::create_file() {
  const UniqueFd file(
      ::open(options_.path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, kMode));
  if (!file) {
    if (errno == EEXIST) return {};
    return errno_error("create the journal " + options_.path);
  }
  struct stat folder{};
  const std::filesystem::path parent = std::filesystem::path(options_.path).parent_path();
  if (::stat(parent.empty() ? "." : parent.c_str(), &folder) == 0)
    (void)!::fchown(file.get(), static_cast<uid_t>(-1), folder.st_gid);  // may not be allowed
  if (::fchmod(file.get(), kMode) != 0) return errno_error("set the mode of " + options_.path);
  return {};
}

Result<void> Store::prepare() {
  KNELL_ASSIGN(identity_, read_identity(database_));
  const auto statement = [&](Statement& out, std::string_view text) -> Result<void> {
    KNELL_ASSIGN(out, database_.prepare(text));
    return {};
  };
  KNELL_TRY(statement(sql_.begin, "BEGIN IMMEDIATE"));
  KNELL_TRY(statement(sql_.commit, "COMMIT"));
  KNELL_TRY(statement(sql_.roll_back, "ROLLBACK"));
  KNELL_TRY(statement(sql_.insert_block, "INSERT INTO block VALUES (?,?,?,?,?,?,?)"));
  KNELL_TRY(statement(sql_.update_block,
                      "UPDATE block SET count=?2, checksum=?6, records=?7 WHERE first_seq=?1"));
  KNELL_TRY(statement(sql_.insert_string, "INSERT INTO string VALUES (?,?,?)"));
  KNELL_TRY(statement(sql_.delete_block, "DELETE FROM block WHERE first_seq=?"));
  KNELL_TRY(statement(sql_.delete_strings, "DELETE FROM string WHERE id<?"));
  KNELL_TRY(statement(sql_.used_pages,
                      "SELECT (SELECT page_count FROM pragma_page_count) -"
                      " (SELECT freelist_count FROM pragma_freelist_count)"));
  KNELL_TRY(statement(sql_.select_oldest,
                      "SELECT first_seq, first_ns, text_base, count FROM block"
                      " ORDER BY first_seq LIMIT 1"));
  KNELL_TRY(statement(sql_.select_block,
                      "SELECT first_seq, count, first_ns, text_base, layout, checksum, records"
                      " FROM block WHERE first_seq=?"));
  KNELL_TRY(statement(sql_.select_text, "SELECT text, checksum FROM string WHERE id=?"));
  KNELL_TRY(names_.load(database_));

  KNELL_ASSIGN(Statement newest, database_.prepare("SELECT first_seq, count, first_ns, text_base,"
                                                   " layout, checksum, records FROM block"
                                                   " ORDER BY first_seq DESC LIMIT 1"));
  KNELL_ASSIGN(const bool any, newest.step());
  next_seq_ = 1;
  int64_t text_base = 0;
  if (any) {
    const BlockHead head{.first_seq = newest.number(0),
                         .count = newest.number(1),
                         .first_ns = newest.number(2),
                         .text_base = newest.number(3),
                         .layout = newest.number(4)};
    if (checksum_of(head, newest.bytes(6)) != static_cast<uint64_t>(newest.number(5)))
      return say(EBADMSG, options_.path + ": the newest events are damaged");
    next_seq_ = head.first_seq + head.count;
    text_base = head.text_base;
  }
  age_clock_.emplace(*clock_, any ? newest.number(2) : INT64_MAX);
  newest.reset();
  KNELL_ASSIGN(const int64_t newest_text, database_.number("SELECT max(id) FROM string"));
  strings_.restart(std::max(text_base, newest_text) + 1);
  committed_seq_ = next_seq_;

  KNELL_ASSIGN(Statement layout,
               database_.prepare("SELECT id FROM layout WHERE fields=? AND checksum=?"));
  layout.bind(1, own_layout());
  layout.bind(2, checksum_of_text(0, own_layout()));
  KNELL_ASSIGN(const bool known, layout.step());
  if (known) {
    layout_ = layout.number(0);
  } else {
    KNELL_ASSIGN(const int64_t last, database_.number("SELECT max(id) FROM layout"));
    layout_ = last + 1;
    KNELL_ASSIGN(Statement insert, database_.prepare("INSERT INTO layout VALUES (?,?,?)"));
    insert.bind(1, layout_);
    insert.bind(2, own_layout());
    insert.bind(3, checksum_of_text(0, own_layout()));
    KNELL_TRY(insert.run());
  }
  layout.reset();
  KNELL_TRY(find_oldest());
  return measure();
}

// -------------------------------------------------------------------------------------- appending

Result<void> Store::begin() {
  if (in_transaction_) return {};
  KNELL_TRY(reload());
  KNELL_TRY(bound_wal(options_.most_wal_bytes));
  KNELL_TRY(sql_.begin.run());
  in_transaction_ = true;
  return {};
}

Result<void> Store::append(const knell_event& event) {
  auto appended = [&]() -> Result<void> {
    KNELL_TRY(begin());
    if (block_.is_open() && !block_.add(event, strings_)) {
      KNELL_TRY(write_block());
      block_.end();
    } else if (block_.is_open()) {
      return {};
    }
    if (strings_.is_full()) {
      KNELL_TRY(write_strings());
      strings_.restart();
    }
    block_.begin(next_seq_, strings_.base(), layout_);
    block_stored_ = false;
    block_.add(event, strings_);
    return {};
  }();
  if (appended) {
    names_.on_append(event, next_seq_);
    ++next_seq_;
  } else {
    roll_back();
  }
  return appended;
}

Result<void> Store::write_strings() {
  Result<void> all;
  strings_.for_each_new([&](int64_t id, std::string_view text) {
    if (!all) return;
    sql_.insert_string.bind(1, id);
    sql_.insert_string.bind(2, text);
    sql_.insert_string.bind(3, checksum_of_text(id, text));
    all = sql_.insert_string.run();
  });
  if (all) strings_.stored();
  return all;
}

Result<void> Store::write_block() {
  KNELL_TRY(write_strings());
  const BlockHead& head = block_.head();
  Statement& write = block_stored_ ? sql_.update_block : sql_.insert_block;
  write.bind(1, head.first_seq);
  write.bind(2, head.count);
  if (!block_stored_) {
    write.bind(3, head.first_ns);
    write.bind(4, head.text_base);
    write.bind(5, head.layout);
  }
  write.bind(6, static_cast<int64_t>(checksum_of(head, block_.bytes())));
  write.bind(7, block_.bytes());
  KNELL_TRY(write.run());
  block_stored_ = true;
  return {};
}

Result<void> Store::write_all() {
  if (block_.is_open()) KNELL_TRY(write_block());
  if (!oldest_.is_block) KNELL_TRY(find_oldest());
  KNELL_TRY(trim());
  KNELL_TRY(names_.flush());
  return sql_.commit.run();
}

Result<void> Store::commit() {
  if (!in_transaction_) return {};
  if (auto written = write_all(); !written) {
    roll_back();
    return written;
  }
  in_transaction_ = false;
  committed_seq_ = next_seq_;
  // The events are in the WAL. If the WAL cannot be copied now, begin() reports that when it is too
  // large.
  std::ignore = bound_wal(options_.checkpoint_bytes);
  return {};
}

void Store::roll_back() {
  block_.end();
  strings_.restart();
  next_seq_ = committed_seq_;
  // This fails if SQLite has already ended the transaction.
  if (std::exchange(in_transaction_, false)) std::ignore = sql_.roll_back.run();
  stale_ = true;
  std::ignore = reload();  // otherwise begin() tries again
}

// Reads the data from the file that is also kept in memory.
Result<void> Store::reload() {
  if (!stale_) return {};
  KNELL_TRY(find_oldest());
  KNELL_TRY(names_.load(database_));
  stale_ = false;
  return {};
}

// A checkpoint cannot copy frames while a reader needs the old pages, and the WAL restarts only
// when no reader uses it. If the WAL became large because of that, wait a moment for the readers.
Result<void> Store::bound_wal(uint64_t most_bytes) {
  constexpr int kWaitMs = 20;  // picked: readers of knell need a few milliseconds
  const uint64_t bytes = static_cast<uint64_t>(database_.wal_frames()) * kPageBytes;
  if (bytes < most_bytes) return {};
  const bool large = bytes >= 4 * options_.checkpoint_bytes;
  KNELL_ASSIGN(const bool copied, database_.checkpoint(large ? kWaitMs : 0));
  if (copied || bytes < options_.most_wal_bytes) return {};
  return say(EBUSY, options_.path + "-wal: has " + std::to_string(bytes >> 20) +
                        " MiB, because a program keeps reading an old state of the journal");
}

// ------------------------------------------------------------------------------- durable listeners

// If a change is refused, the transaction continues. After any other error it is unknown whether
// SQLite has ended the transaction.
Result<void> Store::roll_back_unless_refused(Result<void> changed) {
  if (!changed && changed.error().code != EINVAL && changed.error().code != ENOENT) roll_back();
  return changed;
}

Result<void> Store::put(DurableName name) {
  KNELL_TRY(begin());
  return roll_back_unless_refused(names_.put(std::move(name)));
}

Result<void> Store::remove(uint32_t owner, std::string_view name) {
  KNELL_TRY(begin());
  return roll_back_unless_refused(names_.remove(owner, name));
}

Result<void> Store::acknowledge(uint32_t owner, std::string_view name, int64_t seq,
                                const Acknowledged& what) {
  if (seq >= next_seq_)
    return say(ERANGE, "the journal has no event " + std::to_string(seq) + " yet");
  KNELL_TRY(begin());
  const DurableNames::Range journal{.oldest = oldest_.seq, .newest = next_seq_ - 1};
  return roll_back_unless_refused(
      names_.acknowledge(owner, name, seq, journal, clock_->realtime_ns(), what));
}

// -------------------------------------------------------------------------------------- retention

Result<void> Store::find_oldest() {
  KNELL_ASSIGN(const bool any, sql_.select_oldest.step());
  oldest_ = any ? Oldest{.seq = sql_.select_oldest.number(0),
                         .first_ns = sql_.select_oldest.number(1),
                         .text_base = sql_.select_oldest.number(2),
                         .count = sql_.select_oldest.number(3),
                         .is_block = true,
                         .mono_ns = {}}
                : Oldest{.seq = next_seq_, .mono_ns = {}};
  sql_.select_oldest.reset();
  return {};
}

Result<void> Store::measure() {
  KNELL_ASSIGN(const bool row, sql_.used_pages.step());
  bytes_ = row ? static_cast<uint64_t>(sql_.used_pages.number(0)) * kPageBytes : 0;
  sql_.used_pages.reset();
  return {};
}

Result<bool> Store::is_too_old_or_large() {
  if (options_.most_bytes != 0 && bytes_ > options_.most_bytes) return true;
  if (options_.most_age_ns == 0) return false;
  const int64_t age_ns = age_clock_->now_ns() - oldest_.first_ns - BlockWriter::kMostNs;
  if (age_ns <= options_.most_age_ns) return false;
  return can_be_older_than(options_.most_age_ns);
}

// Events from before the clock of a machine was set have a time that is wrong by years. But no
// event of this boot is older than the time since its monotonic stamp.
Result<bool> Store::can_be_older_than(int64_t age_ns) {
  if (!oldest_.mono_ns) {
    std::optional<uint64_t> stamp;
    KNELL_TRY(with_oldest_block([&](BlockReader& block, auto decode) -> Result<void> {
      Record record;
      knell_event event;
      while (block.next(record)) {
        if (!decode(record, event) || event.id.boot == 0) continue;
        if (event.id.boot == boot_number()) stamp = event.mono_ns;
        break;
      }
      return {};
    }));
    oldest_.mono_ns = stamp;
  }
  const std::optional<uint64_t>& stamp = *oldest_.mono_ns;
  return !stamp || clock_->boottime_ns() > *stamp + static_cast<uint64_t>(age_ns);
}

Result<const Layout*> Store::layout_of(int64_t id) {
  if (const auto known = layouts_.find(id); known != layouts_.end()) return &known->second;
  KNELL_ASSIGN(Statement select, database_.prepare("SELECT fields FROM layout WHERE id=?"));
  select.bind(1, id);
  KNELL_ASSIGN(const bool row, select.step());
  if (!row) return make_error(EBADMSG, "find a layout of the journal");
  KNELL_ASSIGN(Layout layout, Layout::parse(select.bytes(0)));
  return &layouts_.emplace(id, std::move(layout)).first->second;
}

// Counts the losses of the durable listeners that have not acknowledged the oldest block.
Result<void> Store::count_for_names() {
  const auto last = [&] { return oldest_.seq + oldest_.count - 1; };
  KNELL_ASSIGN(
      const bool intact, with_oldest_block([&](BlockReader& block, auto decode) -> Result<void> {
        return names_.is_pending(last()) ? names_.on_delete(block, decode) : Result<void>();
      }));
  return intact ? Result<void>() : names_.on_delete_damaged(last());
}

template <class F>
Result<bool> Store::with_oldest_block(F use) {
  sql_.select_block.bind(1, oldest_.seq);
  KNELL_ASSIGN(const bool row, sql_.select_block.step());
  const BlockHead head{.first_seq = sql_.select_block.number(0),
                       .count = sql_.select_block.number(1),
                       .first_ns = sql_.select_block.number(2),
                       .text_base = sql_.select_block.number(3),
                       .layout = sql_.select_block.number(4)};
  const std::string bytes(sql_.select_block.bytes(6));
  const auto checksum = static_cast<uint64_t>(sql_.select_block.number(5));
  sql_.select_block.reset();
  // The block may have grown since oldest_ was read.
  if (row) oldest_.count = std::max(oldest_.count, head.count);
  BlockReader block;
  const auto layout = layout_of(head.layout);
  if (!row || !layout || !block.open(head, bytes, checksum)) return false;
  StoredTexts texts(sql_.select_text, head.text_base);
  KNELL_TRY(use(block, [&](const Record& record, knell_event& event) {
    Record timed = record;
    return block.read_times(timed) && decode_record(timed, **layout, texts, event).has_value();
  }));
  return true;
}

Result<void> Store::delete_oldest() {
  KNELL_TRY(count_for_names());
  sql_.delete_block.bind(1, oldest_.seq);
  KNELL_TRY(sql_.delete_block.run());
  return find_oldest();
}

// Deletes the oldest blocks, but never the newest one, which is still written and has the last seq.
Result<void> Store::trim() {
  if (!block_.is_open()) return {};
  KNELL_TRY(measure());
  const int64_t text_base = oldest_.text_base;
  const int64_t keep = block_.head().first_seq;
  for (int i = 0; i < kMostDeletedBlocks && oldest_.is_block && oldest_.seq < keep; ++i) {
    KNELL_ASSIGN(const bool too_much, is_too_old_or_large());
    if (!too_much) break;
    KNELL_TRY(delete_oldest());
    KNELL_TRY(measure());
  }
  if (oldest_.text_base != text_base && oldest_.is_block) {
    sql_.delete_strings.bind(1, oldest_.text_base);
    KNELL_TRY(sql_.delete_strings.run());
  }
  return {};
}

}  // namespace knell::journal
