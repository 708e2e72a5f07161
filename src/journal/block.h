// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Records of consecutive events, as one row of the journal.
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "journal/record.h"

namespace knell::journal {

// The columns of the row, besides the records and the checksum.
struct BlockHead {
  int64_t first_seq = 0;
  int64_t count = 0;      // of events
  int64_t first_ns = 0;   // CLOCK_REALTIME of the first event: no event of the block is before it
  int64_t text_base = 0;  // the texts of its records are numbered from here on
  int64_t layout = 0;
};

// The block that the writer appends to.
class BlockWriter {
 public:
  // The row fits into a page of 4096 bytes, less what SQLite and the columns take.
  static constexpr size_t kMostBytes = 4000;
  // No event is later than this after the first one. So a search by time that begins this much
  // earlier finds all events.
  static constexpr int64_t kMostNs = 60'000'000'000;

  // Begins a new block; an old one is dropped.
  void begin(int64_t first_seq, int64_t text_base, int64_t layout);
  // No block was begun, or it was ended.
  bool is_open() const { return open_; }
  void end() { open_ = false; }
  // False: the event needs another block. The first event of a block is never refused.
  bool add(const knell_event& event, TextNumbers& texts);

  const BlockHead& head() const { return head_; }
  std::string_view bytes() const { return {bytes_.data(), used_}; }

 private:
  BlockHead head_;
  TimeBase base_;
  bool open_ = false;
  std::string bytes_;  // larger than what is used
  size_t used_ = 0;
};

uint64_t checksum_of(const BlockHead& head, std::string_view bytes);
uint32_t checksum_of_text(int64_t id, std::string_view text);

// Reads the records of a block.
class BlockReader {
 public:
  // `bytes` must outlive the reader and the records. False: the checksum does not match.
  bool open(const BlockHead& head, std::string_view bytes, uint64_t checksum);
  // False: there are no more.
  bool next(Record& record) {
    if (rest_.empty() || !take_record(rest_, record)) return false;
    ++seq_;
    return true;
  }
  bool read_times(Record& record) const { return journal::read_times(record, base_); }
  int64_t seq() const { return seq_; }  // of the record that next() returned
  const BlockHead& head() const { return head_; }

 private:
  BlockHead head_;
  TimeBase base_;
  std::string_view rest_;
  int64_t seq_ = 0;
};

}  // namespace knell::journal
