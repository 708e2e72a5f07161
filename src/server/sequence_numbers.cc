// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/sequence_numbers.h"

#include <knell/cn_proc.h>
#include <linux/netlink.h>

#include <cstring>
#include <utility>

namespace knell::server {
namespace {

constexpr size_t kConnectorSeq = sizeof(nlmsghdr) + offsetof(knell_cn_msg, seq);
constexpr size_t kCpu = sizeof(nlmsghdr) + sizeof(knell_cn_msg) + offsetof(knell_proc_event, cpu);
constexpr uint32_t kMostCpus =
    1U << 16;  // more than any kernel has; the CPU numbers come from knelld's own encoder

}  // namespace

void SequenceNumbers::assign(std::span<std::byte> datagram) {
  if (datagram.size() != KNELL_CN_DATAGRAM_BYTES) return;
  uint32_t cpu = 0;
  std::memcpy(&cpu, datagram.data() + kCpu, sizeof cpu);
  if (cpu >= kMostCpus) cpu = 0;
  if (cpu >= next_.size()) next_.resize(cpu + 1);
  next_[cpu] += std::exchange(skip_, 0);
  const uint32_t seq = next_[cpu]++;
  std::memcpy(datagram.data() + offsetof(nlmsghdr, nlmsg_seq), &seq, sizeof seq);
  std::memcpy(datagram.data() + kConnectorSeq, &seq, sizeof seq);
}

void SequenceNumbers::skip_lost(uint64_t total) {
  skip_ += static_cast<uint32_t>(total - std::exchange(lost_, total));
}

std::string SequenceNumbers::save() const {
  if (!used_) return {};
  std::string out(reinterpret_cast<const char*>(&lost_), sizeof lost_);
  out.append(reinterpret_cast<const char*>(&skip_), sizeof skip_);
  return out.append(reinterpret_cast<const char*>(next_.data()), next_.size() * sizeof next_[0]);
}

void SequenceNumbers::restore(std::string_view saved) {
  *this = {};
  if (saved.size() < sizeof lost_ + sizeof skip_) return;
  used_ = true;
  std::memcpy(&lost_, saved.data(), sizeof lost_);
  std::memcpy(&skip_, saved.data() + sizeof lost_, sizeof skip_);
  saved.remove_prefix(sizeof lost_ + sizeof skip_);
  next_.resize(std::min<size_t>(saved.size() / sizeof next_[0], kMostCpus));
  std::memcpy(next_.data(), saved.data(), next_.size() * sizeof next_[0]);
}

}  // namespace knell::server
