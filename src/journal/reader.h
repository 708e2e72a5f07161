// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "journal/block.h"
#include "journal/database.h"
#include "journal/durable_name.h"
#include "journal/schema.h"

namespace knell::journal {

// Selects the events that Reader::read() returns.
class EventFilter {
 public:
  virtual ~EventFilter() = default;
  // Whether the event may be wanted, judged by its type and `nonzero`.
  virtual bool may_want(const Record& record) = 0;
  // Whether the event is wanted; may fill members of it. Not called for lost events, which are
  // always returned.
  virtual bool wants(knell_event& event) = 0;
};

class EveryEvent final : public EventFilter {
 public:
  bool may_want(const Record&) override { return true; }
  bool wants(knell_event&) override { return true; }
};

// Read-only access to a journal, with or without a running writer. Not thread-safe. It holds no
// transaction between two calls. See reader.cc.
class Reader final : private Texts {
 public:
  // Errors: as open_for_reading().
  static Result<Reader> open(const std::string& path);

  const std::string& id() const { return identity_.id; }
  const std::string& path() const { return database_.path(); }

  // The next read() returns events from `seq` on. If the oldest event is later, a lost event
  // with their number comes first. 0: from the oldest event on.
  void seek(int64_t seq);
  int64_t next_seq() const { return next_seq_; }  // where the next read() begins; 0: the oldest
  // Restricts the events to this period (CLOCK_REALTIME, both included). Moves to its beginning.
  Result<void> set_window(int64_t since_ns, int64_t until_ns);
  // Moves forward so that only the last `count` events (1 or more) that the filter wants are
  // returned.
  Result<void> seek_last(uint64_t count, EventFilter& filter);
  // The same in steps of limited time. True: the position has moved; otherwise call it again.
  struct LastSearch {
    uint64_t left = 0;                 // events still to be found
    int64_t searched_seq = INT64_MAX;  // the blocks from this first seq on were searched
  };
  Result<bool> seek_last_some(LastSearch& search, EventFilter& filter);

  // The position of this reader, for another reader of the same journal. Numbers that no reader
  // returned give other events, but no error.
  struct Place {
    int64_t next_seq = 0;          // 0 or more; as for seek()
    int64_t last_seq = INT64_MAX;  // first seq of the last block of the window
  };
  Place place() const { return {.next_seq = next_seq_, .last_seq = last_key_}; }
  // Continues at this position, in this period; without set_window(), which reads the index.
  void resume(int64_t since_ns, int64_t until_ns, const Place& place);
  // Limits the time of one call of read() and of seek_last_some(); 1 or more.
  void set_most_blocks(size_t most) { most_blocks_ = most; }

  struct Read {
    size_t count = 0;
    bool end = false;        // there are no more events now
    int64_t oldest_seq = 0;  // of the journal at the time of the call; 0: it has no events
  };
  // Fills up to events.size() events, oldest first. Their strings are valid until the next call.
  // May return none before the end, to limit the time of one call. `seq` of an event is its number
  // in the journal; of a lost event, the number of the first missing event. Errors: EBADMSG the
  // file is damaged; EIO; ENOMEM. After an error, also an exception, the next call returns the same
  // events.
  Result<Read> read(std::span<knell_event> events, EventFilter& filter);

  // The events that the retention has deleted for a durable listener, and the first event that is
  // left, from one transaction. nullopt: the name does not exist, or its row is damaged.
  struct Gap {
    int64_t oldest_seq = 0;
    DurableName row;
  };
  Result<std::optional<Gap>> gap(uint32_t owner, std::string_view name);

 private:
  explicit Reader(Database database) : database_(std::move(database)) {}
  Result<void> prepare();
  Result<void> position();
  enum class Block { kLoaded, kEnd };
  Result<Block> load_block(std::optional<knell_event>& lost);
  Result<const Layout*> layout_of(int64_t id);
  Result<bool> open_block(const BlockHead& head, uint64_t checksum);
  Result<Read> read_on(std::span<knell_event> events, EventFilter& filter);
  Result<std::optional<int64_t>> find_last(LastSearch& search, EventFilter& filter);
  Result<bool> decode(Record& record, EventFilter& filter, knell_event& event);
  knell_event lost_event(std::optional<int64_t> count) const;
  Result<std::string_view> text(uint64_t number) override;
  void forget_texts();
  void end_transaction();

  Database database_;
  Identity identity_;
  Result<int64_t> oldest_seq();

  Statement begin_, end_, blocks_, blocks_back_, start_, text_, oldest_;
  std::unordered_map<int64_t, Layout> layouts_;

  size_t most_blocks_ = 1024;     // in one call: a few milliseconds
  int64_t next_seq_ = 0;          // of the next event; 0: the oldest
  int64_t last_key_ = INT64_MAX;  // first_seq of the last block of the window
  int64_t since_ns_ = INT64_MIN, until_ns_ = INT64_MAX;
  // The block being read, at the end, and earlier blocks that returned events point into.
  std::deque<std::string> bytes_;
  BlockReader block_;
  bool in_block_ = false;
  bool returned_of_block_ = false;
  const Layout* layout_ = nullptr;
  bool damaged_ = false;          // a damaged block was skipped
  bool damage_reported_ = false;  // a lost event without a count was returned for it
  int64_t last_time_ns_ = 0;      // time of the last decoded event, for lost events
  uint64_t last_mono_ns_ = 0;

  int64_t text_base_ = -1;  // base of texts_by_number_
  std::vector<const std::string*> texts_by_number_;
  std::deque<std::string> texts_;
};

}  // namespace knell::journal
