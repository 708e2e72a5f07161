// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A position in the journal is the seq of the next event. Each read() begins a transaction, finds
// the block that has this seq, or the next one, and continues from there, since the newest block
// may have grown and the oldest ones may have been deleted. A seq that no block has is a gap: the
// block was deleted by the retention while the journal was read, or its checksum does not match.
#include "journal/reader.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <tuple>
#include <utility>

#include "base/rollback.h"
#include "journal/durable_names.h"

namespace knell::journal {
namespace {

// Limit of the cached strings, and of the number of a string. A writer's base has at most 16,384 of
// them.
constexpr size_t kMostTexts = 65'536;

constexpr std::string_view kColumns =
    "SELECT first_seq, count, first_ns, text_base, layout, checksum, records FROM block ";

BlockHead head_of(const Statement& row) {
  return {.first_seq = row.number(0),
          .count = row.number(1),
          .first_ns = row.number(2),
          .text_base = row.number(3),
          .layout = row.number(4)};
}

}  // namespace

// --------------------------------------------------------------------------------------- opening

Result<Reader> Reader::open(const std::string& path) {
  KNELL_ASSIGN(Database database, open_for_reading(path));
  Reader reader(std::move(database));
  KNELL_TRY(reader.prepare());
  return reader;
}

Result<void> Reader::prepare() {
  const auto statement = [&](Statement& out, const std::string& text) -> Result<void> {
    KNELL_ASSIGN(out, database_.prepare(text));
    return {};
  };
  const std::string columns(kColumns);
  KNELL_TRY(statement(begin_, "BEGIN"));
  KNELL_TRY(statement(end_, "COMMIT"));
  KNELL_TRY(statement(start_, "SELECT max(first_seq) FROM block WHERE first_seq<=?"));
  KNELL_TRY(statement(blocks_, columns + "WHERE first_seq>=? AND first_seq<=? ORDER BY first_seq"));
  KNELL_TRY(statement(blocks_back_,
                      columns + "WHERE first_seq>=? AND first_seq<=? ORDER BY first_seq DESC"));
  KNELL_TRY(statement(oldest_, "SELECT min(first_seq) FROM block"));
  KNELL_TRY(statement(text_, "SELECT text, checksum FROM string WHERE id=?"));
  KNELL_ASSIGN(identity_, read_identity(database_));
  return {};
}

// nullptr: there is no layout with this id, or it is damaged.
Result<const Layout*> Reader::layout_of(int64_t id) {
  if (const auto known = layouts_.find(id); known != layouts_.end()) return &known->second;
  KNELL_ASSIGN(Statement select,
               database_.prepare("SELECT fields, checksum FROM layout WHERE id=?"));
  select.bind(1, id);
  KNELL_ASSIGN(const bool row, select.step());
  if (!row || checksum_of_text(0, select.bytes(0)) != select.number(1)) return nullptr;
  auto layout = Layout::parse(select.bytes(0));
  if (!layout) return nullptr;
  return &layouts_.emplace(id, *std::move(layout)).first->second;
}

Result<std::string_view> Reader::text(uint64_t number) {
  if (number < texts_by_number_.size() && texts_by_number_[number] != nullptr)
    return std::string_view(*texts_by_number_[number]);
  if (number > kMostTexts) return make_error(EBADMSG, "find a text of the journal");
  const int64_t id = text_base_ + static_cast<int64_t>(number);
  text_.bind(1, id);
  KNELL_ASSIGN(const bool row, text_.step());
  const bool intact = row && checksum_of_text(id, text_.bytes(0)) == text_.number(1);
  if (intact) texts_.emplace_back(text_.bytes(0));
  text_.reset();
  if (!intact) return make_error(EBADMSG, "find a text of the journal");
  if (number >= texts_by_number_.size()) texts_by_number_.resize(number + 1);
  texts_by_number_[number] = &texts_.back();
  return std::string_view(texts_.back());
}

// Limits the memory. Returned events must not point to the strings any more.
void Reader::forget_texts() {
  if (texts_.size() <= kMostTexts) return;
  texts_by_number_.clear();
  texts_.clear();
}

// ------------------------------------------------------------------------------------- positions

void Reader::seek(int64_t seq) {
  next_seq_ = seq;
  in_block_ = damaged_ = damage_reported_ = false;
}

// The times of blocks may go back, when the clock was set back. So all blocks between the first and
// the last one that may have events of this time are read.
Result<void> Reader::set_window(int64_t since_ns, int64_t until_ns) {
  since_ns_ = since_ns;
  until_ns_ = until_ns;
  last_key_ = INT64_MAX;
  seek(0);
  KNELL_ASSIGN(Statement select,
               database_.prepare("SELECT min(first_seq), max(first_seq) FROM block"
                                 " INDEXED BY block_first_ns WHERE first_ns>=? AND first_ns<=?"));
  const int64_t first = since_ns < std::numeric_limits<int64_t>::min() + BlockWriter::kMostNs
                            ? since_ns
                            : since_ns - BlockWriter::kMostNs;
  select.bind(1, first);
  select.bind(2, until_ns);
  KNELL_ASSIGN(const bool row, select.step());
  if (row && !select.is_null(0)) {
    next_seq_ = select.number(0);
    if (until_ns != INT64_MAX) last_key_ = select.number(1);
    return {};
  }
  // There are no such events yet. Future events have a higher seq than all present ones.
  KNELL_ASSIGN(const int64_t end, database_.number("SELECT max(first_seq+count) FROM block"));
  next_seq_ = end;
  return {};
}

void Reader::resume(int64_t since_ns, int64_t until_ns, const Place& place) {
  since_ns_ = since_ns;
  until_ns_ = until_ns;
  last_key_ = place.last_seq;
  seek(place.next_seq);
}

void Reader::end_transaction() {
  blocks_.reset();
  blocks_back_.reset();
  std::ignore = end_.run();
}

Result<void> Reader::seek_last(uint64_t count, EventFilter& filter) {
  LastSearch search{.left = count};
  for (bool found = false; !found;) {
    KNELL_ASSIGN(found, seek_last_some(search, filter));
  }
  return {};
}

Result<bool> Reader::seek_last_some(LastSearch& search, EventFilter& filter) {
  KNELL_TRY(begin_.run());
  const Rollback commit([&] { end_transaction(); });
  KNELL_ASSIGN(const auto found, find_last(search, filter));
  if (found) seek(*found);
  return found.has_value();
}

// nullopt: the search is not finished.
Result<std::optional<int64_t>> Reader::find_last(LastSearch& search, EventFilter& filter) {
  blocks_back_.bind(1, next_seq_);
  blocks_back_.bind(2, std::min(last_key_, search.searched_seq - 1));
  std::vector<int64_t> wanted;
  for (size_t blocks = 0; blocks < most_blocks_; ++blocks) {
    KNELL_ASSIGN(const bool row, blocks_back_.step());
    if (!row) return next_seq_;
    forget_texts();
    const BlockHead head = head_of(blocks_back_);
    bytes_.assign(1, std::string(blocks_back_.bytes(6)));
    wanted.clear();
    KNELL_ASSIGN(const bool intact,
                 open_block(head, static_cast<uint64_t>(blocks_back_.number(5))));
    Record record;
    knell_event event;
    while (intact && block_.next(record)) {
      const auto decoded = decode(record, filter, event);
      if (!decoded && decoded.error().code != EBADMSG) return std::unexpected(decoded.error());
      if (decoded && *decoded) wanted.push_back(block_.seq());
    }
    if (wanted.size() >= search.left) return wanted[wanted.size() - search.left];
    search.left -= wanted.size();
    search.searched_seq = head.first_seq;
  }
  return std::nullopt;
}

// --------------------------------------------------------------------------------------- reading

// Binds the query for the blocks from the position on.
Result<void> Reader::position() {
  start_.bind(1, next_seq_);
  KNELL_ASSIGN(const bool row, start_.step());
  const int64_t key = row && !start_.is_null(0) ? start_.number(0) : next_seq_;
  start_.reset();
  blocks_.reset();
  blocks_.bind(1, key);
  blocks_.bind(2, last_key_);
  return {};
}

knell_event Reader::lost_event(std::optional<int64_t> count) const {
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.seq = static_cast<uint64_t>(next_seq_);
  lost.time_ns = lost.lost_from_time_ns = lost.lost_until_time_ns = last_time_ns_;
  lost.mono_ns = lost.lost_from_ns = lost.lost_until_ns = last_mono_ns_;
  lost.lost_types = KNELL_EVENT_ALL;
  if (count) {
    lost.has = KNELL_HAS_COUNT;
    lost.flags = KNELL_FLAG_EXACT;
    lost.lost_count = static_cast<uint64_t>(*count);
  }
  return lost;
}

// Opens bytes_.back(). False: the block is damaged.
Result<bool> Reader::open_block(const BlockHead& head, uint64_t checksum) {
  KNELL_ASSIGN(layout_, layout_of(head.layout));
  if (layout_ == nullptr || !block_.open(head, bytes_.back(), checksum)) return false;
  if (text_base_ != head.text_base) {
    text_base_ = head.text_base;
    texts_by_number_.clear();
  }
  return true;
}

// Loads the next block that is intact. `lost`: the events that are missing before it, or at the end
// of the journal.
Result<Reader::Block> Reader::load_block(std::optional<knell_event>& lost) {
  for (;;) {
    KNELL_ASSIGN(const bool row, blocks_.step());
    if (!row) {
      if (damaged_ && !std::exchange(damage_reported_, true)) lost = lost_event(std::nullopt);
      return Block::kEnd;
    }
    const BlockHead head = head_of(blocks_);
    if (next_seq_ != 0 && head.first_seq + head.count <= next_seq_) continue;
    bytes_.emplace_back(blocks_.bytes(6));
    KNELL_ASSIGN(const bool intact, open_block(head, static_cast<uint64_t>(blocks_.number(5))));
    if (!intact) {
      bytes_.pop_back();
      damaged_ = true;
      continue;
    }
    const bool reported = std::exchange(damage_reported_, false);
    const bool damaged = std::exchange(damaged_, false);
    if (next_seq_ != 0 && head.first_seq > next_seq_ && !reported)
      lost = lost_event(head.first_seq - next_seq_);
    else if (next_seq_ == 0 && damaged && !reported)
      lost = lost_event(std::nullopt);
    next_seq_ = std::max(next_seq_, head.first_seq);
    in_block_ = true;
    returned_of_block_ = false;
    return Block::kLoaded;
  }
}

Result<bool> Reader::decode(Record& record, EventFilter& filter, knell_event& event) {
  if (record.type != KNELL_EVENT_LOST && !filter.may_want(record)) return false;
  if (!block_.read_times(record)) return make_error(EBADMSG, "read a record of the journal");
  if (record.time_ns < since_ns_ || record.time_ns > until_ns_) return false;
  last_time_ns_ = record.time_ns;
  last_mono_ns_ = record.mono_ns;
  KNELL_TRY(decode_record(record, *layout_, *this, event));
  event.seq = static_cast<uint64_t>(block_.seq());
  const bool wanted = record.type == KNELL_EVENT_LOST || filter.wants(event);
  event.flags &= ~kExclusionBits;
  return wanted;
}

Result<Reader::Read> Reader::read(std::span<knell_event> events, EventFilter& filter) {
  while (bytes_.size() > (in_block_ ? 1U : 0U)) bytes_.pop_front();
  forget_texts();
  KNELL_TRY(begin_.run());
  const Rollback commit([&] { end_transaction(); });
  Rollback again([&, seq = next_seq_, damaged = damaged_, reported = damage_reported_] {
    seek(seq);
    damaged_ = damaged;
    damage_reported_ = reported;
  });
  KNELL_ASSIGN(Read result, read_on(events, filter));
  KNELL_ASSIGN(result.oldest_seq, oldest_seq());
  again.keep();
  return result;
}

Result<int64_t> Reader::oldest_seq() {
  KNELL_ASSIGN(const bool row, oldest_.step());
  const int64_t oldest = row && !oldest_.is_null(0) ? oldest_.number(0) : 0;
  oldest_.reset();
  return oldest;
}

Result<std::optional<Reader::Gap>> Reader::gap(uint32_t owner, std::string_view name) {
  KNELL_TRY(begin_.run());
  const Rollback commit([&] { end_transaction(); });
  Gap gap;
  KNELL_ASSIGN(gap.oldest_seq, oldest_seq());
  KNELL_ASSIGN(auto rows, DurableNames::read_intact(database_));
  for (DurableName& row : rows) {
    if (row.owner != owner || row.name != name) continue;
    gap.row = std::move(row);
    return gap;
  }
  return std::nullopt;
}

Result<Reader::Read> Reader::read_on(std::span<knell_event> events, EventFilter& filter) {
  Read result;
  for (size_t blocks = 0; result.count < events.size();) {
    if (!in_block_) {
      if (blocks == 0) KNELL_TRY(position());
      if (++blocks > most_blocks_ || texts_.size() > kMostTexts) return result;
      std::optional<knell_event> lost;
      KNELL_ASSIGN(const Block loaded, load_block(lost));
      if (lost) events[result.count++] = *lost;
      if (loaded == Block::kEnd) {
        result.end = true;
        return result;
      }
      continue;
    }
    Record record;
    if (!block_.next(record)) {
      in_block_ = false;
      next_seq_ = block_.head().first_seq + block_.head().count;
      if (!returned_of_block_) bytes_.pop_back();
      continue;
    }
    if (block_.seq() < next_seq_) continue;
    const auto wanted = decode(record, filter, events[result.count]);
    if (!wanted && wanted.error().code != EBADMSG) return std::unexpected(wanted.error());
    next_seq_ = block_.seq();
    // The strings of the event are damaged, or were deleted by the retention since the block was
    // read.
    if (!wanted) events[result.count] = lost_event(1);
    next_seq_ = block_.seq() + 1;
    if (!wanted) {
      ++result.count;
    } else if (*wanted) {
      ++result.count;
      returned_of_block_ = true;
    }
  }
  return result;
}

}  // namespace knell::journal
