// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/filter.h>

#include <array>
#include <cstddef>
#include <cstdint>

namespace knell::filter {

// A classic BPF program in an array of fixed size: the shim runs in processes that are not ours,
// and must not allocate there.
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
  std::array<sock_filter, 32> code_{};  // the longest below has 18, and the shim adds 3
  size_t size_ = 0;
};

// A classic BPF program that applies the released rule to a connector socket (SO_ATTACH_FILTER),
// for kernels without the filter. Attach it before bind(2), so that no unfiltered event is queued;
// attaching another program replaces it at once. `acks`: whether acks pass; the kernel sends the
// acks of every client to all. kOfThreads: only forks of threads pass, not those of processes.
// Empty: all pass, attach nothing.
enum class Forks { kAll, kOfThreads };
ClassicBpf connector_filter(uint32_t mask, bool acks, Forks forks = Forks::kAll);

// Only acks pass: for a socket that probes the connector.
ClassicBpf only_acks_filter();

}  // namespace knell::filter
