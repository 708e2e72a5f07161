// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/classic_bpf.h"

#include <arpa/inet.h>

#include "filter/rule.h"

// Offsets count from the netlink header: the event follows 16 bytes of nlmsghdr and 20 of cn_msg.
// BPF loads a word as big-endian, but the fields have the machine's byte order, so the constants
// are converted with htonl().
namespace knell::filter {
namespace {

constexpr uint32_t kWhat = 36;
constexpr uint32_t kExitCode = 60;
constexpr uint32_t kChildPid = 60, kChildTgid = 64;
constexpr uint32_t kAccept = UINT32_MAX, kDrop = 0;

sock_filter load(uint32_t offset) { return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offset); }
sock_filter done(uint32_t verdict) { return BPF_STMT(BPF_RET | BPF_K, verdict); }
// Skips `no` instructions unless the loaded word equals, or shares a bit with, `value`.
sock_filter unless_equal(uint32_t value, uint8_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(value), 0, no);
}
sock_filter unless_any(uint32_t bits, uint8_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, htonl(bits), 0, no);
}

}  // namespace

ClassicBpf connector_filter(uint32_t mask, bool acks, Forks forks) {
  mask = normalise(mask);
  const bool threads_only = forks == Forks::kOfThreads && (mask & KNELL_EVENT_FORK) != 0;
  if (mask == KNELL_EVENT_ALL && acks && !threads_only) return {};
  ClassicBpf program;
  program.push_back(load(kWhat));
  program.push_back(unless_equal(KNELL_EVENT_NONE, 1));
  program.push_back(done(acks ? kAccept : kDrop));
  if (threads_only) {
    program.push_back(unless_equal(KNELL_EVENT_FORK, 6));
    program.push_back(load(kChildPid));
    program.push_back(BPF_STMT(BPF_MISC | BPF_TAX, 0));
    program.push_back(load(kChildTgid));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 0, 1));
    program.push_back(done(kDrop));
    program.push_back(done(kAccept));
  }
  if (mask == KNELL_EVENT_ALL) {
    program.push_back(done(kAccept));  // also passes types that later kernels add
    return program;
  }
  const bool nonzero_only =
      (mask & KNELL_EVENT_NONZERO_EXIT) != 0 && (mask & KNELL_EVENT_EXIT) == 0;
  if (nonzero_only) {
    program.push_back(unless_equal(KNELL_EVENT_EXIT, 4));
    program.push_back(load(kExitCode));
    program.push_back(unless_equal(0, 1));
    program.push_back(done(kDrop));
    program.push_back(done(kAccept));
  }
  program.push_back(unless_any(mask & ~KNELL_EVENT_NONZERO_EXIT, 1));
  program.push_back(done(kAccept));
  program.push_back(done(kDrop));
  return program;
}

ClassicBpf only_acks_filter() {
  ClassicBpf program;
  program.push_back(load(kWhat));
  program.push_back(unless_equal(KNELL_EVENT_NONE, 1));
  program.push_back(done(kAccept));
  program.push_back(done(kDrop));
  return program;
}

}  // namespace knell::filter
