// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/ring.h"

#include <gtest/gtest.h>
#include <linux/bpf.h>

#include <array>
#include <cstring>
#include <string>

namespace knell::source {
namespace {

// The writing end of a ring.
class FakeKernel {
 public:
  static constexpr size_t kBytes = 256;
  uint64_t consumer = 0, producer = 0;
  alignas(8) std::array<char, kBytes> data{};

  void put(std::string_view record, uint32_t bits = 0) {
    header(producer, static_cast<uint32_t>(record.size()) | bits);
    for (size_t i = 0; i < record.size(); i++) at(producer + 8 + i) = record[i];
    producer += (8 + record.size() + 7) & ~size_t{7};
  }
  void header(uint64_t position, uint32_t value) {
    std::memcpy(&at(position), &value, sizeof value);
  }
  char& at(uint64_t position) { return data[position % kBytes]; }
  Ring ring() { return Ring::over(&consumer, &producer, data.data(), kBytes); }
};

TEST(Ring, ReturnsRecordsWrittenBeforeLook) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  EXPECT_TRUE(ring.empty());
  kernel.put("one");
  kernel.put("twelve bytes");
  ring.begin_pass();
  kernel.put("later");
  EXPECT_EQ(ring.next(), "one");
  EXPECT_EQ(ring.next(), "twelve bytes");
  EXPECT_EQ(ring.next(), std::nullopt);
  EXPECT_FALSE(ring.stuck());
  EXPECT_EQ(kernel.consumer, 0U);
  ring.release();
  EXPECT_EQ(kernel.consumer, 16U + 24U);
  EXPECT_FALSE(ring.empty());
  ring.begin_pass();
  EXPECT_EQ(ring.next(), "later");
  ring.release();
  EXPECT_TRUE(ring.empty());
}

// The ring has 256 bytes, of which the kernel leaves one free; each record has a header of 8 bytes.
TEST(Ring, KnowsWhetherARecordMayHaveFoundNoRoom) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  EXPECT_FALSE(ring.may_have_refused(247));
  EXPECT_TRUE(ring.may_have_refused(248));
  kernel.put(std::string(92, 'x'));
  EXPECT_FALSE(ring.may_have_refused(100));
  EXPECT_TRUE(ring.may_have_refused(148));
  ring.begin_pass();
  EXPECT_TRUE(ring.next());
  kernel.put(std::string(92, 'y'));
  EXPECT_TRUE(ring.may_have_refused(100)) << "the record was written after the pass began";
  ring.release();
  ring.begin_pass();
  EXPECT_TRUE(ring.next());
  ring.release();
  EXPECT_TRUE(ring.may_have_refused(100)) << "the ring was that full before";
  EXPECT_FALSE(ring.may_have_refused(39));
}

TEST(Ring, SkipsDiscardedRecords) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  kernel.put("gone", BPF_RINGBUF_DISCARD_BIT);
  kernel.put("here");
  ring.begin_pass();
  EXPECT_EQ(ring.next(), "here");
}

TEST(Ring, StopsAtARecordThatIsBeingWritten) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  kernel.put("done");
  kernel.put("busy", BPF_RINGBUF_BUSY_BIT);
  ring.begin_pass();
  EXPECT_EQ(ring.next(), "done");
  EXPECT_EQ(ring.next(), std::nullopt);
  EXPECT_TRUE(ring.stuck());
  EXPECT_FALSE(ring.broken());
  ring.release();
  EXPECT_FALSE(ring.empty());
  kernel.header(kernel.consumer, 4);
  EXPECT_EQ(ring.next(), "busy");
}

TEST(Ring, WrapsAround) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  for (int i = 0; i < 100; i++) {
    const std::string record = "record number " + std::to_string(i);
    kernel.put(record);
    ring.begin_pass();
    ASSERT_EQ(ring.next(), record);
    ring.release();
  }
}

TEST(Ring, ARecordThatCrossesTheEndStaysValidUntilRelease) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  kernel.put(std::string(200, 'a'));
  ring.begin_pass();
  ASSERT_TRUE(ring.next());
  ring.release();
  const std::string crossing = std::string(40, 'b') + std::string(60, 'c');
  kernel.put(crossing);
  kernel.put("after");
  ring.begin_pass();
  const auto first = ring.next(), second = ring.next();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(*second, "after");
  EXPECT_EQ(*first, crossing);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first->data()) % alignof(uint64_t), 0U);
}

TEST(Ring, IsBrokenByAnImpossibleLength) {
  FakeKernel kernel;
  Ring ring = kernel.ring();
  kernel.put("short");
  kernel.header(0, 200);
  ring.begin_pass();
  EXPECT_EQ(ring.next(), std::nullopt);
  EXPECT_TRUE(ring.broken());
}

}  // namespace
}  // namespace knell::source
