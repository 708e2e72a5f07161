// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace knell::hub {

class SharedBytes;

// Makes SharedBytes and counts their memory. Must outlive them. Not thread-safe: a ByteStore and
// its SharedBytes belong to one thread.
class ByteStore {
 public:
  ByteStore() = default;
  ByteStore(const ByteStore&) = delete;
  ByteStore& operator=(const ByteStore&) = delete;
  ~ByteStore();
  SharedBytes copy(std::string_view bytes);
  size_t bytes() const { return bytes_; }

 private:
  friend class SharedBytes;
  size_t bytes_ = 0;
};

// Immutable bytes with a reference count, so that the queues of several listeners share one encoded
// event. empty(): refers to nothing; SharedBytes of length 0 are not empty().
class SharedBytes {
 public:
  SharedBytes() = default;
  SharedBytes(const SharedBytes& other) : head_(other.head_) {
    if (head_ != nullptr) ++head_->holders;
  }
  SharedBytes(SharedBytes&& other) noexcept : head_(std::exchange(other.head_, nullptr)) {}
  SharedBytes& operator=(SharedBytes other) noexcept {
    std::swap(head_, other.head_);
    return *this;
  }
  ~SharedBytes() {
    if (head_ != nullptr && --head_->holders == 0) release();
  }

  bool empty() const { return head_ == nullptr; }
  size_t size() const { return head_ == nullptr ? 0 : head_->size; }
  std::string_view view() const {
    return head_ == nullptr ? std::string_view()
                            : std::string_view(reinterpret_cast<const char*>(head_ + 1), size());
  }
  // A number for the caller, which all holders share; 0 at first. Not of empty() bytes.
  uint64_t mark() const { return head_->mark; }
  void set_mark(uint64_t mark) const { head_->mark = mark; }

 private:
  friend class ByteStore;
  struct Head {
    ByteStore* store;
    uint32_t holders, size;
    uint64_t mark;
  };
  explicit SharedBytes(Head* head) : head_(head) {}
  void release();

  Head* head_ = nullptr;
};

}  // namespace knell::hub
