// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace knell::source {

// The reading end of a BPF ring buffer, mapped. One pass: look(), next() until there is no more,
// release(). What next() gave dies with release().
class Ring {
 public:
  Ring() = default;
  // `bytes` as the map was made with: a power of two.
  static Result<Ring> map(int map_fd, size_t bytes);
  // Over memory of a test: `data` is there twice, as the kernel maps it.
  static Ring over(uint64_t* consumer, const uint64_t* producer, const char* data, size_t bytes);
  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&& other) noexcept;
  ~Ring();

  // What was written by now is what this pass reads.
  void look();
  // The next record; nullopt: no more in this pass, or the next is still being written (see
  // stuck()), or the ring is broken (see broken()).
  std::optional<std::string_view> next();
  // Gives back the room of all that next() gave.
  void release();

  bool stuck() const { return cursor_ != end_; }
  bool broken() const { return broken_; }
  // Whether there is nothing to read. Once this was true, the kernel notifies about the next
  // record.
  bool empty() const;

 private:
  uint64_t* consumer_ = nullptr;
  const uint64_t* producer_ = nullptr;
  const char* data_ = nullptr;
  size_t bytes_ = 0;
  void* mapped_consumer_ = nullptr;  // null: the memory of a test
  uint64_t cursor_ = 0, end_ = 0;
  bool broken_ = false;
};

}  // namespace knell::source
