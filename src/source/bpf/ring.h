// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace knell::source {

// The reading end of a BPF ring buffer, mapped into memory. One pass: begin_pass(), next() until it
// returns nullopt, release(). Records are valid until release(). Not thread-safe.
class Ring {
 public:
  Ring() = default;
  // `bytes`: the size of the map, a power of two. Errors: those of mmap(2).
  static Result<Ring> map(int map_fd, size_t bytes);
  // For tests, over their memory.
  static Ring over(uint64_t* consumer, const uint64_t* producer, const char* data, size_t bytes);
  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&& other) noexcept;
  ~Ring();

  // Begins a pass over the records that are written by now.
  void begin_pass();
  // The next record. nullopt: there is no more in this pass, or the next record is still being
  // written (see stuck()), or the ring is broken (see broken()).
  std::optional<std::string_view> next();
  // Ends a pass: frees the room of all records that next() returned.
  void release();

  // The position up to which next() has read, and a function to continue from there in another
  // process. False: the position is not between the released and the written records.
  uint64_t position() const { return cursor_; }
  bool seek(uint64_t position);

  // After next() returned nullopt: whether records of this pass are left.
  bool stuck() const { return cursor_ != end_; }
  bool broken() const { return broken_; }  // the length of a record is invalid
  // Whether there is nothing to read. If this returns true after release(), the kernel notifies the
  // reader of the next record.
  bool empty() const;
  // Whether a record of this size may have found no room, at any time since map().
  bool may_have_refused(size_t size) const;

 private:
  std::string_view in_one_piece(size_t at, size_t size);
  uint64_t filled() const;

  uint64_t* consumer_ = nullptr;
  const uint64_t* producer_ = nullptr;
  const char* data_ = nullptr;
  size_t bytes_ = 0;
  void* mapped_consumer_ = nullptr;  // null: the ring is memory of a test
  uint64_t cursor_ = 0, end_ = 0;
  uint64_t most_filled_ = 0;    // the maximum of filled() at a release()
  std::vector<uint64_t> copy_;  // copy of the record that crosses the end of the ring
  bool broken_ = false;
};

}  // namespace knell::source
