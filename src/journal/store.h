// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/age_clock.h"
#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "journal/block.h"
#include "journal/database.h"
#include "journal/durable_names.h"
#include "journal/schema.h"
#include "journal/shared_strings.h"

namespace knell::journal {

enum class Sync {
  kProcess,  // a commit survives the end of the process
  kAlways    // a commit survives a loss of power
};

struct StoreOptions {
  std::string path;
  Sync sync = Sync::kProcess;
  // Retention: the oldest events are deleted beyond these limits; 0: no limit. The age is measured
  // by AgeClock.
  uint64_t most_bytes = uint64_t{1} << 30;
  int64_t most_age_ns = 0;
  // The WAL is copied into the file when it reaches the first size, and does not grow above the
  // second.
  uint64_t checkpoint_bytes = uint64_t{4} << 20;  // chosen, not measured
  uint64_t most_wal_bytes = uint64_t{64} << 20;   // chosen, not measured
  bool operator==(const StoreOptions&) const = default;
};

// The single writer of a journal. Used by one thread; a call may block on the disk.
//
//   open() -> { append()... -> commit() }*
//
// If append() or commit() fails, nothing since the last commit was written, and the next append()
// starts a new transaction. See store.cc.
class Store {
 public:
  // The replacement of a file that cannot be used. It is moved aside when a new journal is
  // complete, which begins with a lost event without a count. Its durable listeners are kept, and
  // get all events of the new journal.
  struct Replacement {
    // Before open(): not empty: the file must be replaced, whatever open() finds. After it: why the
    // file was moved aside.
    std::string why = {};
    // Before open(): the durable listeners of the file; empty: open() reads them.
    std::vector<DurableName> names = {};
    // After open(), also if that failed: where the file is now; empty: it was not moved.
    std::string moved_to = {};
  };
  // Creates the file, or migrates it. A file that is damaged or of a later version is replaced.
  // Errors: EBUSY another process writes to this journal; EEXIST the file is not a journal; those
  // of open(2) and write(2).
  static Result<Store> open(const StoreOptions& options, Clock& clock, Replacement& replacement);
  static Result<Store> open(const StoreOptions& options, Clock& clock = system_clock());

  // Errors: ENOSPC and others; EBADMSG: the file is damaged: open() again, with the message as
  // Replacement::why; EBUSY: the WAL is too large because a reader holds a transaction open.
  Result<void> append(const knell_event& event);
  Result<void> commit();

  // Durable listeners. Changes are committed with the events. Errors: EINVAL, ENOENT and ERANGE
  // (`seq` is not of an event yet), after which the transaction continues; others as append().
  const DurableNames& names() const { return names_; }
  Result<void> put(DurableName name);
  Result<void> remove(uint32_t owner, std::string_view name);
  Result<void> acknowledge(uint32_t owner, std::string_view name, int64_t seq,
                           const Acknowledged& what = {});

  // A store that is opened again continues with the clock of the earlier one.
  const AgeClock& age_clock() const { return *age_clock_; }
  void set_age_clock(const AgeClock& clock) { age_clock_ = clock; }

  const std::string& id() const { return identity_.id; }
  int64_t next_seq() const { return next_seq_; }  // seq of the next append()
  // seq of the oldest event; next_seq(): there is none
  int64_t oldest_seq() const { return oldest_.seq; }
  int64_t oldest_ns() const { return oldest_.first_ns; }  // approximate; CLOCK_REALTIME
  uint64_t bytes() const { return bytes_; }  // size of the pages in use, after the last commit

 private:
  struct Oldest {
    int64_t seq = 0, first_ns = 0, text_base = 0, count = 0;
    bool is_block = false;  // false: there are no blocks
    // CLOCK_MONOTONIC of its first event, if that is of this boot; unset: not read yet.
    std::optional<std::optional<uint64_t>> mono_ns;
  };

  Store(StoreOptions options, Clock& clock, UniqueFd lock)
      : options_(std::move(options)), clock_(&clock), lock_(std::move(lock)) {}
  Result<void> open_file();
  Result<void> create_file();
  void close();
  Result<void> replace(Replacement& replacement, std::string why, std::string_view suffix);
  Result<void> create_next(const std::vector<DurableName>& names);
  Result<void> begin_after_loss(const std::vector<DurableName>& names);
  Result<void> prepare();
  Result<void> begin();
  Result<void> write_block();
  Result<void> write_strings();
  Result<void> write_all();
  Result<void> find_oldest();
  Result<void> trim();
  Result<bool> is_too_old_or_large();
  Result<bool> can_be_older_than(int64_t age_ns);
  Result<void> measure();
  Result<void> delete_oldest();
  Result<void> count_for_names();
  // Calls use(block, decode) with the oldest block; not if it is damaged.
  template <class F>
  Result<bool> with_oldest_block(F use);
  Result<const Layout*> layout_of(int64_t id);
  Result<void> bound_wal(uint64_t most_bytes);
  Result<void> roll_back_unless_refused(Result<void> changed);
  void roll_back();
  Result<void> reload();

  StoreOptions options_;
  Clock* clock_;
  UniqueFd lock_;
  Database database_;
  Identity identity_;
  int64_t layout_ = 0;
  struct Statements {
    Statement begin, commit, roll_back, insert_block, update_block, insert_string, delete_block,
        delete_strings, select_oldest, used_pages, select_block, select_text;
  };
  Statements sql_;
  bool in_transaction_ = false;
  bool stale_ = false;  // oldest_ and names_ may differ from the file: call reload()
  SharedStrings strings_{1};
  BlockWriter block_;
  bool block_stored_ = false;  // the row of block_ exists
  int64_t next_seq_ = 1;
  int64_t committed_seq_ = 1;  // next_seq_ after the last commit
  Oldest oldest_;
  std::optional<AgeClock> age_clock_;
  DurableNames names_;
  std::unordered_map<int64_t, Layout> layouts_;  // of older blocks
  uint64_t bytes_ = 0;
};

// The file of the journal at `path`: another one if knelld was killed while it replaced the file,
// up to the next Store::open().
std::string journal_file(const std::string& path);

// The durable listeners of a readable journal, without its writer. Of a damaged journal, those that
// can be read; none if there is no file.
std::vector<DurableName> read_durable_names(const std::string& path);

}  // namespace knell::journal
