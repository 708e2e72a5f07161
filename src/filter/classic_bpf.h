// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace knell::filter {

// A program, in a place of fixed size: who filters in a process that is not ours allocates nothing.
class ClassicBpf {
 public:
  void push_back(sock_filter instruction) { code_[size_++] = instruction; }
  void append(const ClassicBpf& other) {
    for (const sock_filter& instruction : other) push_back(instruction);
  }
  const sock_filter* data() const { return code_.data(); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  const sock_filter* begin() const { return data(); }
  const sock_filter* end() const { return data() + size_; }
  const sock_filter& operator[](size_t at) const { return code_[at]; }

 private:
  std::array<sock_filter, 32> code_{};  // the longest below has 20, and the shim adds 3
  size_t size_ = 0;
};

// The released rule as a classic BPF program for SO_ATTACH_FILTER on a connector socket: what
// kernels without the filter run instead of it. Attach before bind: nothing unfiltered ever queues.
// Attaching again replaces it at once. `acks`: whether acks (everybody's, the kernel multicasts
// them) come through.
// `forks`: births of processes may be left out. Empty: everything passes, attach none.
enum class Forks { kAll, kOfThreads };
ClassicBpf connector_filter(uint32_t mask, bool acks, Forks forks = Forks::kAll);

// For the probe's socket: acks and nothing else.
ClassicBpf only_acks_filter();

}  // namespace knell::filter
