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

}  // namespace knell::server
