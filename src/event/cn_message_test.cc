// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/cn_message.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace knell::event {
namespace {

// A datagram as a kernel sends it, built from the offsets of the wire format, not from our
// structures.
class Datagram {
 public:
  explicit Datagram(uint32_t what) : bytes_(kDatagramBytes) {
    put(0, 76);      // nlmsg_len
    put16(4, 3);     // NLMSG_DONE
    put(8, 0x1234);  // nlmsg_seq
    put(16, 1);      // idx
    put(20, 1);      // val
    put(24, 0x1234);
    put16(32, 40);
    put(36, what);
    put(40, 5);  // cpu
    const uint64_t stamp = 0x0102030405060708;
    std::memcpy(&bytes_[44], &stamp, sizeof stamp);
  }
  Datagram& put(size_t offset, uint32_t value) {
    std::memcpy(&bytes_[offset], &value, sizeof value);
    return *this;
  }
  Datagram& put16(size_t offset, uint16_t value) {
    std::memcpy(&bytes_[offset], &value, sizeof value);
    return *this;
  }
  Datagram& data(std::vector<uint32_t> words) {
    for (size_t i = 0; i < words.size(); i++) put(52 + 4 * i, words[i]);
    return *this;
  }
  std::vector<std::byte>& bytes() { return bytes_; }
  std::optional<Raw> decoded() const { return decode(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

void expect_common(const Raw& raw, uint32_t what) {
  EXPECT_EQ(raw.what, what);
  EXPECT_EQ(raw.cpu, 5u);
  EXPECT_EQ(raw.seq, 0x1234u);
  EXPECT_EQ(raw.stamp_ns, 0x0102030405060708u);
}

TEST(CnMessage, DecodesFork) {
  const auto raw = Datagram(KNELL_EVENT_FORK).data({11, 10, 21, 20}).decoded();
  ASSERT_TRUE(raw);
  expect_common(*raw, KNELL_EVENT_FORK);
  EXPECT_EQ(raw->tid, 21);
  EXPECT_EQ(raw->pid, 20);
  EXPECT_EQ(raw->u.fork.parent_tid, 11);
  EXPECT_EQ(raw->u.fork.parent_pid, 10);
}

TEST(CnMessage, DecodesExit) {
  const auto raw = Datagram(KNELL_EVENT_EXIT).data({21, 20, 0x700, 17, 11, 10}).decoded();
  ASSERT_TRUE(raw);
  expect_common(*raw, KNELL_EVENT_EXIT);
  EXPECT_EQ(raw->tid, 21);
  EXPECT_EQ(raw->pid, 20);
  EXPECT_EQ(raw->u.exit.code, 0x700u);
  EXPECT_EQ(raw->u.exit.signal, 17u);
  EXPECT_EQ(raw->u.exit.parent_tid, 11);
  EXPECT_EQ(raw->u.exit.parent_pid, 10);
}

TEST(CnMessage, DecodesExecAndSid) {
  for (const uint32_t what : {KNELL_EVENT_EXEC, KNELL_EVENT_SID}) {
    const auto raw = Datagram(what).data({21, 20}).decoded();
    ASSERT_TRUE(raw);
    expect_common(*raw, what);
    EXPECT_EQ(raw->tid, 21);
    EXPECT_EQ(raw->pid, 20);
  }
}

TEST(CnMessage, DecodesUidAndGid) {
  for (const uint32_t what : {KNELL_EVENT_UID, KNELL_EVENT_GID}) {
    const auto raw = Datagram(what).data({21, 20, 1000, 33}).decoded();
    ASSERT_TRUE(raw);
    expect_common(*raw, what);
    EXPECT_EQ(raw->pid, 20);
    EXPECT_EQ(raw->u.id.real, 1000u);
    EXPECT_EQ(raw->u.id.effective, 33u);
  }
}

TEST(CnMessage, DecodesPtrace) {
  const auto raw = Datagram(KNELL_EVENT_PTRACE).data({21, 20, 31, 30}).decoded();
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->tid, 21);
  EXPECT_EQ(raw->u.ptrace.tracer_tid, 31);
  EXPECT_EQ(raw->u.ptrace.tracer_pid, 30);
}

TEST(CnMessage, DecodesComm) {
  Datagram datagram(KNELL_EVENT_COMM);
  datagram.data({21, 20});
  // Without a NUL, as a forged datagram may have it
  std::memcpy(&datagram.bytes()[60], "0123456789abcdef", 16);
  const auto raw = datagram.decoded();
  ASSERT_TRUE(raw);
  EXPECT_EQ(raw->pid, 20);
  EXPECT_EQ(std::string(raw->u.comm.name, 16), "0123456789abcdef");
}

TEST(CnMessage, DecodesCoredump) {
  const auto raw = Datagram(KNELL_EVENT_COREDUMP).data({21, 20, 11, 10}).decoded();
  ASSERT_TRUE(raw);
  expect_common(*raw, KNELL_EVENT_COREDUMP);
  EXPECT_EQ(raw->u.coredump.parent_tid, 11);
  EXPECT_EQ(raw->u.coredump.parent_pid, 10);
}

TEST(CnMessage, DecodesAck) {
  const auto raw = Datagram(KNELL_EVENT_NONE).put(28, 0xabcd + 1).data({22}).decoded();
  ASSERT_TRUE(raw);
  expect_common(*raw, KNELL_EVENT_NONE);
  EXPECT_EQ(raw->u.ack.err, 22u);
  EXPECT_EQ(raw->u.ack.ack, 0xabcdu + 1);
  EXPECT_EQ(raw->pid, 0);
  EXPECT_EQ(raw->tid, 0);
}

TEST(CnMessage, RefusesOtherDatagrams) {
  EXPECT_TRUE(Datagram(KNELL_EVENT_EXEC).decoded());
  EXPECT_FALSE(Datagram(KNELL_EVENT_EXEC).put(16, 2).decoded());    // idx
  EXPECT_FALSE(Datagram(KNELL_EVENT_EXEC).put(20, 2).decoded());    // val
  EXPECT_FALSE(Datagram(KNELL_EVENT_EXEC).put16(32, 8).decoded());  // len
  EXPECT_FALSE(Datagram(0x400).decoded());  // an unknown type of a later kernel
  EXPECT_FALSE(Datagram(KNELL_EVENT_EXIT | KNELL_EVENT_FORK).decoded());
  EXPECT_FALSE(Datagram(KNELL_EVENT_NONZERO_EXIT).decoded());  // only a filter bit, never sent
  EXPECT_FALSE(Datagram(KNELL_EVENT_LOST).decoded());          // our own type, no kernel sends it
  EXPECT_FALSE(decode({}));
  std::vector<std::byte> bytes = Datagram(KNELL_EVENT_EXEC).bytes();
  bytes.push_back(std::byte{0});
  EXPECT_FALSE(decode(bytes));
  bytes.resize(75);
  EXPECT_FALSE(decode(bytes));
}

TEST(CnMessage, DecodesAtAnyAlignment) {
  const auto expected = Datagram(KNELL_EVENT_EXIT).data({21, 20, 0x8b, 17, 11, 10}).bytes();
  alignas(16) std::byte buffer[kDatagramBytes + 16];
  for (size_t shift = 0; shift < 16; shift++) {
    std::memcpy(buffer + shift, expected.data(), expected.size());
    const auto raw = decode({buffer + shift, kDatagramBytes});
    ASSERT_TRUE(raw);
    expect_common(*raw, KNELL_EVENT_EXIT);
    EXPECT_EQ(raw->u.exit.code, 0x8bu);
  }
}

TEST(CnMessage, EncodeRestoresTheBytes) {
  const std::vector<uint32_t> words{21, 20, 33, 44, 55, 66};
  const std::vector<std::pair<uint32_t, size_t>> types{
      {KNELL_EVENT_FORK, 4}, {KNELL_EVENT_EXEC, 2}, {KNELL_EVENT_UID, 4},
      {KNELL_EVENT_GID, 4},  {KNELL_EVENT_SID, 2},  {KNELL_EVENT_PTRACE, 4},
      {KNELL_EVENT_COMM, 6}, {KNELL_EVENT_EXIT, 6}, {KNELL_EVENT_COREDUMP, 4},
      {KNELL_EVENT_NONE, 1},
  };
  for (const auto& [what, count] : types) {
    Datagram datagram(what);
    datagram.data({words.begin(), words.begin() + static_cast<ptrdiff_t>(count)});
    if (what == KNELL_EVENT_NONE) datagram.put(28, 77);
    const auto raw = datagram.decoded();
    ASSERT_TRUE(raw) << what;
    const auto bytes = encode(*raw);
    EXPECT_EQ(std::vector<std::byte>(bytes.begin(), bytes.end()), datagram.bytes()) << what;
  }
  Raw lost;
  lost.what = KNELL_EVENT_LOST;
  EXPECT_FALSE(decode(encode(lost)));
}

uint32_t word(std::span<const std::byte> bytes, size_t offset) {
  uint32_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}
uint16_t half(std::span<const std::byte> bytes, size_t offset) {
  uint16_t value = 0;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

TEST(CnMessage, EncodesTheRequestOfLinux66) {
  const Request request = encode_request(KNELL_MCAST_LISTEN, KNELL_EVENT_NONZERO_EXIT, 0xfeedf00d);
  const auto bytes = request.bytes();
  ASSERT_EQ(bytes.size(), 44u);
  EXPECT_EQ(word(bytes, 0), 44u);
  EXPECT_EQ(half(bytes, 4), 3u);  // NLMSG_DONE
  EXPECT_EQ(word(bytes, 16), 1u);
  EXPECT_EQ(word(bytes, 20), 1u);
  EXPECT_EQ(word(bytes, 28), 0xfeedf00du);
  EXPECT_EQ(half(bytes, 32), 8u);
  EXPECT_EQ(word(bytes, 36), 1u);
  EXPECT_EQ(word(bytes, 40), KNELL_EVENT_NONZERO_EXIT);
}

TEST(CnMessage, EncodesTheLegacyRequest) {
  const Request request = encode_request(KNELL_MCAST_IGNORE, std::nullopt, 1);
  ASSERT_EQ(request.bytes().size(), 40u);
  EXPECT_EQ(word(request.bytes(), 0), 40u);
  EXPECT_EQ(half(request.bytes(), 32), 4u);
  EXPECT_EQ(word(request.bytes(), 36), 2u);
}

}  // namespace
}  // namespace knell::event
