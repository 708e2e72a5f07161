// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/classic_bpf.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <cstring>
#include <span>
#include <vector>

#include "event/cn_message.h"
#include "filter/rule.h"

namespace knell::filter {
namespace {

using event::Raw;

// Runs `program` as the kernel would; knows the six instructions that we use. -1: invalid program.
int64_t run(const ClassicBpf& program, std::span<const std::byte> packet) {
  uint32_t accumulator = 0, index = 0;
  for (size_t pc = 0; pc < program.size(); pc++) {
    const sock_filter& op = program[pc];
    switch (op.code) {
      case BPF_LD | BPF_W | BPF_ABS: {
        if (op.k + 4 > packet.size()) return 0;
        uint32_t word = 0;
        std::memcpy(&word, packet.data() + op.k, sizeof word);
        accumulator = ntohl(word);
        break;
      }
      case BPF_JMP | BPF_JEQ | BPF_K:
        pc += accumulator == op.k ? op.jt : op.jf;
        break;
      case BPF_MISC | BPF_TAX:
        index = accumulator;
        break;
      case BPF_JMP | BPF_JEQ | BPF_X:
        pc += accumulator == index ? op.jt : op.jf;
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        pc += (accumulator & op.k) != 0 ? op.jt : op.jf;
        break;
      case BPF_RET | BPF_K:
        return op.k;
      default:
        return -1;
    }
  }
  return -1;  // ran off the end: the kernel refuses such a program
}

bool accepts(const ClassicBpf& program, const Raw& raw) {
  if (program.empty()) return true;
  const int64_t verdict = run(program, event::encode(raw));
  // The program must pass a datagram as a whole or drop it
  EXPECT_TRUE(verdict == 0 || verdict == UINT32_MAX) << verdict;
  return verdict != 0;
}

std::vector<Raw> every_event() {
  std::vector<Raw> events;
  for (uint32_t i = 0; i < 32; i++) {
    const uint32_t what = 1u << i;
    if ((what & KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT) == 0) continue;
    events.emplace_back().what = what;
    // At the offset of an exit's code, other types have a uid, a child's pid, a tracer or a name.
    events.emplace_back().what = what;
    auto& words = events.back().u;
    std::memset(&words, 0x55, sizeof words);
    if (what == KNELL_EVENT_EXIT) words.exit = {0x700, 17, 1, 1};
  }
  return events;
}

Raw ack() {
  Raw raw;
  raw.what = KNELL_EVENT_NONE;
  raw.u.ack = {22, 1};
  return raw;
}

void same_as_rule(uint32_t mask) {
  const auto with_acks = connector_filter(mask, true);
  const auto without = connector_filter(mask, false);
  for (const Raw& raw : every_event()) {
    const bool expected = passes(Rule::kReleased, mask, raw);
    RC_ASSERT(accepts(with_acks, raw) == expected);
    RC_ASSERT(accepts(without, raw) == expected);
  }
  RC_ASSERT(accepts(with_acks, ack()));
  RC_ASSERT(!accepts(without, ack()));
}

TEST(ClassicBpf, EveryMaskAgreesWithTheRule) {
  const std::vector<uint32_t> bits{1,     2,     4,          0x40,     0x80,    0x100,
                                   0x200, 0x400, 0x20000000, 1u << 30, 1u << 31};
  for (uint32_t chosen = 0; chosen < 1u << bits.size(); chosen++) {
    uint32_t mask = 0;
    for (size_t i = 0; i < bits.size(); i++) mask |= (chosen >> i & 1) != 0 ? bits[i] : 0;
    same_as_rule(mask);
  }
}

RC_GTEST_PROP(ClassicBpfProperty, AgreesWithTheRule, (uint32_t mask)) { same_as_rule(mask); }

TEST(ClassicBpf, ForksOfProcessesCanBeDropped) {
  for (const uint32_t mask : {uint32_t{KNELL_EVENT_FORK}, uint32_t{KNELL_EVENT_ALL}, uint32_t{0},
                              KNELL_EVENT_FORK | KNELL_EVENT_NONZERO_EXIT}) {
    for (const bool acks : {false, true}) {
      const auto program = connector_filter(mask, acks, Forks::kOfThreads);
      for (Raw raw : every_event()) {
        const bool expected = passes(Rule::kReleased, mask, raw);
        if (raw.what != KNELL_EVENT_FORK) {
          EXPECT_EQ(accepts(program, raw), expected);
          continue;
        }
        raw.pid = raw.tid = 12;
        EXPECT_FALSE(accepts(program, raw));
        raw.tid = 13;
        EXPECT_TRUE(accepts(program, raw));
      }
      EXPECT_EQ(accepts(program, ack()), acks);
    }
  }
}

TEST(ClassicBpf, AllEventsAndAcksNeedNoProgram) {
  EXPECT_TRUE(connector_filter(KNELL_EVENT_ALL, true).empty());
  EXPECT_TRUE(connector_filter(0, true).empty());
  EXPECT_TRUE(connector_filter(0x400, true).empty());
  EXPECT_FALSE(connector_filter(0, false).empty());
  // A type that a later kernel adds passes ALL.
  Raw raw;
  raw.what = 0x400;
  EXPECT_TRUE(accepts(connector_filter(0, false), raw));
}

TEST(ClassicBpf, OnlyAcksFilterPassesAcksOnly) {
  EXPECT_TRUE(accepts(only_acks_filter(), ack()));
  for (const Raw& raw : every_event()) EXPECT_FALSE(accepts(only_acks_filter(), raw));
}

TEST(ClassicBpf, AShortDatagramIsDropped) {
  const std::byte packet[36]{};
  EXPECT_EQ(run(connector_filter(KNELL_EVENT_EXIT, true), packet), 0);
  EXPECT_EQ(run(only_acks_filter(), packet), 0);
}

}  // namespace
}  // namespace knell::filter
