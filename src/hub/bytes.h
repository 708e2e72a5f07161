// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace knell::hub {

class Bytes;

// Makes Bytes and counts their memory. Must outlive them. Not thread-safe: a Store and its Bytes
// belong to one thread.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  ~Store();
  Bytes copy(std::string_view bytes);
  size_t bytes() const { return bytes_; }

 private:
  friend class Bytes;
  size_t bytes_ = 0;
};

// Immutable bytes with a reference count, so that the queues of several listeners share one encoded
// event. empty(): refers to nothing; Bytes of length 0 are not empty().
class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes& other) : head_(other.head_) {
    if (head_ != nullptr) ++head_->holders;
  }
  Bytes(Bytes&& other) noexcept : head_(std::exchange(other.head_, nullptr)) {}
  Bytes& operator=(Bytes other) noexcept {
    std::swap(head_, other.head_);
    return *this;
  }
  ~Bytes() {
    if (head_ != nullptr && --head_->holders == 0) release();
  }

  bool empty() const { return head_ == nullptr; }
  size_t size() const { return head_ == nullptr ? 0 : head_->size; }
  std::string_view view() const {
    return head_ == nullptr ? std::string_view()
                            : std::string_view(reinterpret_cast<const char*>(head_ + 1), size());
  }

 private:
  friend class Store;
  struct Head {
    Store* store;
    uint32_t holders, size;
  };
  explicit Bytes(Head* head) : head_(head) {}
  void release();

  Head* head_ = nullptr;
};

}  // namespace knell::hub
