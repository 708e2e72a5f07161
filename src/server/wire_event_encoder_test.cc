// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/wire_event_encoder.h"

#include <gtest/gtest.h>
#include <knell/cn_proc.h>
#include <linux/netlink.h>

#include <cstring>
#include <string>

#include "event/cn_message.h"
#include "wire/event.h"

namespace knell::server {
namespace {

knell_string text(std::string_view words) { return {words.data(), words.size()}; }

knell_event full_event() {
  knell_event event{};
  event.size = sizeof event;
  event.type = KNELL_EVENT_EXIT;
  event.pid = 77;
  event.seq = 5;
  event.cookie = 6;
  event.mono_ns = 1000;
  event.time_ns = 5000;
  event.has = KNELL_HAS_UID | KNELL_HAS_STATUS | KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;
  event.killed_by.pid = 9;
  event.killed_by.parent_pid = 8;
  event.killed_by.comm = event.killed_by.parent_comm = event.killed_by.unit =
      event.killed_by.memory_cgroup = text("of another");
  event.last_signal.pid = 10;
  event.last_signal.comm = event.last_signal.parent_comm = text("of another");
  event.uid = 7;
  event.comm = text("it");
  event.user = text("a user");
  event.unit = text("it.service");
  event.args = text(std::string_view("it\0--all\0", 9));
  event.exe = text("/bin/it");
  return event;
}

// Encodes and decodes the event. Its texts point into `frame`.
knell_event read_again(WireEventEncoder& encoder, const knell_event& event, uint32_t details,
                       std::string& frame) {
  std::string_view bytes = encoder.event(event, details);
  int64_t epoch_ns = 0;
  std::memcpy(&epoch_ns, bytes.data(), sizeof epoch_ns);
  frame.clear();
  wire::EventFrame writer(frame);
  EXPECT_TRUE(writer.add(epoch_ns, bytes.substr(sizeof epoch_ns)));
  writer.finish();
  const auto parsed = wire::parse_packet(frame);
  EXPECT_TRUE(parsed);
  wire::EventReader reader(parsed->payload);
  knell_event read{};
  EXPECT_TRUE(reader.next(read));
  return read;
}

TEST(WireEventEncoder, AnEventSurvivesEncodingAndDecoding) {
  WireEventEncoder encoder;
  std::string frame;
  const knell_event read = read_again(encoder, full_event(), KNELL_DETAILS_FULL, frame);
  EXPECT_EQ(read.pid, 77);
  EXPECT_EQ(read.time_ns, 5000);
  EXPECT_EQ(read.uid, 7u);
  EXPECT_EQ(std::string_view(read.args.data, read.args.size),
            std::string_view(full_event().args.data, full_event().args.size));
  EXPECT_EQ(read.seq, 0u) << "set by each reader";
  EXPECT_EQ(read.user.data, nullptr) << "the daemon asks no user database";
}

TEST(WireEventEncoder, LimitsTheDetails) {
  WireEventEncoder encoder;
  std::string frame;
  const knell_event names = read_again(encoder, full_event(), KNELL_DETAILS_NAMES, frame);
  EXPECT_EQ(names.args.data, nullptr);
  EXPECT_EQ(names.exe.data, nullptr);
  EXPECT_EQ(names.uid, 7u);
  EXPECT_NE(names.unit.data, nullptr);
  const knell_event status = read_again(encoder, full_event(), KNELL_DETAILS_STATUS, frame);
  EXPECT_EQ(status.unit.data, nullptr);
  EXPECT_EQ(status.comm.data, nullptr);
  EXPECT_EQ(status.has & KNELL_HAS_UID, 0u);
  EXPECT_EQ(status.has & (KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL), 0u);
  EXPECT_EQ(status.killed_by.pid + status.killed_by.parent_pid + status.last_signal.pid, 0);
  for (const knell_string& one :
       {status.killed_by.comm, status.killed_by.parent_comm, status.killed_by.unit,
        status.killed_by.memory_cgroup, status.last_signal.comm, status.last_signal.parent_comm})
    EXPECT_EQ(one.data, nullptr);
  EXPECT_EQ(status.uid, 0u);
  EXPECT_NE(status.has & KNELL_HAS_STATUS, 0u);
}

TEST(WireEventEncoder, AnEventTooLongForAFrameLosesItsLongTexts) {
  WireEventEncoder encoder;
  std::string frame;
  const std::string args(100'000, 'x');
  knell_event event = full_event();
  event.args = text(args);
  const knell_event read = read_again(encoder, event, KNELL_DETAILS_FULL, frame);
  EXPECT_EQ(read.args.data, nullptr);
  EXPECT_EQ(read.pid, 77);
  EXPECT_NE(read.comm.data, nullptr);
}

event::Raw raw_exit() {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXIT;
  raw.pid = raw.tid = 77;
  raw.seq = 9;
  return raw;
}

TEST(WireEventEncoder, ADatagramEqualsTheKernels) {
  WireEventEncoder encoder;
  const auto kernels = event::encode(raw_exit());
  EXPECT_EQ(encoder.datagram(raw_exit()),
            std::string_view(reinterpret_cast<const char*>(kernels.data()), kernels.size()));
}

TEST(WireEventEncoder, AnOverrunIsANetlinkMessageWithItsCount) {
  WireEventEncoder encoder;
  const std::string_view bytes = encoder.overrun(0x1'0000'0002);
  nlmsghdr header{};
  knell_cn_msg message{};
  uint64_t count = 0;
  ASSERT_EQ(bytes.size(), sizeof header + sizeof message + sizeof count);
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&message, bytes.data() + sizeof header, sizeof message);
  std::memcpy(&count, bytes.data() + sizeof header + sizeof message, sizeof count);
  EXPECT_EQ(header.nlmsg_len, bytes.size());
  EXPECT_EQ(header.nlmsg_type, NLMSG_OVERRUN);
  EXPECT_EQ(message.idx, static_cast<uint32_t>(KNELL_CN_IDX_PROC));
  EXPECT_EQ(message.len, sizeof count);
  EXPECT_EQ(count, 0x1'0000'0002u);
}

}  // namespace
}  // namespace knell::server
