// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/cn_message.h"

#include <linux/netlink.h>

#include <cstring>
#include <type_traits>

// A datagram is nlmsghdr, cn_msg, proc_event, back to back. The event begins at offset 36, so its
// fields of 8 bytes are not aligned, and the caller's buffer may have any alignment: all fields are
// copied with memcpy(), which the compiler turns into plain loads.
namespace knell::event {
namespace {

constexpr size_t kEventOffset = kNetlinkHeaderBytes + kCnHeaderBytes;
static_assert(sizeof(nlmsghdr) == kNetlinkHeaderBytes);
static_assert(sizeof(knell_cn_msg) == kCnHeaderBytes);
static_assert(sizeof(knell_proc_event) == 40);
static_assert(kEventOffset + sizeof(knell_proc_event) == kDatagramBytes);

template <class T>
T load(std::span<const std::byte> bytes, size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <class T>
void store(std::span<std::byte> bytes, size_t offset, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(bytes.data() + offset, &value, sizeof value);
}

// Sets process and thread, with which all types begin except fork and the ack.
void set_process(Raw& raw, int32_t process_pid, int32_t process_tgid) {
  raw.tid = process_pid;
  raw.pid = process_tgid;
}

// False: unknown type.
bool decode_data(const knell_proc_event& event, uint32_t ack, Raw& raw) {
  const auto& data = event.data;
  set_process(raw, data.exec.process_pid, data.exec.process_tgid);
  switch (event.what) {
    case KNELL_EVENT_EXIT:
      raw.u.exit = {data.exit.exit_code, data.exit.exit_signal, data.exit.parent_pid,
                    data.exit.parent_tgid};
      return true;
    case KNELL_EVENT_FORK:
      set_process(raw, data.fork.child_pid, data.fork.child_tgid);
      raw.u.fork = {data.fork.parent_pid, data.fork.parent_tgid};
      return true;
    case KNELL_EVENT_EXEC:
    case KNELL_EVENT_SID:
      return true;
    case KNELL_EVENT_COMM:
      std::memcpy(raw.u.comm.name, data.comm.comm, sizeof raw.u.comm.name);
      return true;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      raw.u.id = {data.id.r, data.id.e};
      return true;
    case KNELL_EVENT_PTRACE:
      raw.u.ptrace = {data.ptrace.tracer_pid, data.ptrace.tracer_tgid};
      return true;
    case KNELL_EVENT_COREDUMP:
      raw.u.coredump = {data.coredump.parent_pid, data.coredump.parent_tgid};
      return true;
    case KNELL_EVENT_NONE:
      set_process(raw, 0, 0);
      raw.u.ack = {data.ack.err, ack};
      return true;
    default:
      return false;
  }
}

void encode_data(const Raw& raw, knell_proc_event& event) {
  auto& data = event.data;
  if (raw.what != KNELL_EVENT_FORK && raw.what != KNELL_EVENT_NONE) {
    data.exec = {raw.tid, raw.pid};
  }
  switch (raw.what) {
    case KNELL_EVENT_EXIT:
      data.exit = {raw.tid,
                   raw.pid,
                   raw.u.exit.code,
                   raw.u.exit.signal,
                   raw.u.exit.parent_tid,
                   raw.u.exit.parent_pid};
      break;
    case KNELL_EVENT_FORK:
      data.fork = {raw.u.fork.parent_tid, raw.u.fork.parent_pid, raw.tid, raw.pid};
      break;
    case KNELL_EVENT_COMM:
      std::memcpy(data.comm.comm, raw.u.comm.name, sizeof data.comm.comm);
      break;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      data.id = {raw.tid, raw.pid, raw.u.id.real, raw.u.id.effective};
      break;
    case KNELL_EVENT_PTRACE:
      data.ptrace = {raw.tid, raw.pid, raw.u.ptrace.tracer_tid, raw.u.ptrace.tracer_pid};
      break;
    case KNELL_EVENT_COREDUMP:
      data.coredump = {raw.tid, raw.pid, raw.u.coredump.parent_tid, raw.u.coredump.parent_pid};
      break;
    case KNELL_EVENT_NONE:
      data.ack = {raw.u.ack.err};
      break;
    default:  // exec and sid have no other fields
      break;
  }
}

void store_headers(std::span<std::byte> bytes, uint32_t seq, uint32_t ack) {
  nlmsghdr header{};
  header.nlmsg_len = static_cast<uint32_t>(bytes.size());
  header.nlmsg_type = NLMSG_DONE;
  header.nlmsg_seq = seq;
  store(bytes, 0, header);
  knell_cn_msg message{};
  message.idx = KNELL_CN_IDX_PROC;
  message.val = KNELL_CN_VAL_PROC;
  message.seq = seq;
  message.ack = ack;
  message.len = static_cast<uint16_t>(bytes.size() - kEventOffset);
  store(bytes, kNetlinkHeaderBytes, message);
}

}  // namespace

std::optional<Raw> decode(std::span<const std::byte> datagram) {
  if (datagram.size() != kDatagramBytes) return std::nullopt;
  const auto message = load<knell_cn_msg>(datagram, kNetlinkHeaderBytes);
  if (message.idx != KNELL_CN_IDX_PROC || message.val != KNELL_CN_VAL_PROC ||
      message.len != sizeof(knell_proc_event)) {
    return std::nullopt;
  }
  const auto event = load<knell_proc_event>(datagram, kEventOffset);
  std::optional<Raw> raw(std::in_place);
  raw->what = event.what;
  raw->cpu = event.cpu;
  raw->seq = message.seq;
  std::memcpy(&raw->stamp_ns, event.timestamp_ns, sizeof raw->stamp_ns);
  if (!decode_data(event, message.ack, *raw)) return std::nullopt;
  return raw;
}

std::array<std::byte, kDatagramBytes> encode(const Raw& raw) {
  std::array<std::byte, kDatagramBytes> bytes{};
  if (raw.what == KNELL_EVENT_LOST) return bytes;
  store_headers(bytes, raw.seq, raw.what == KNELL_EVENT_NONE ? raw.u.ack.ack : 0);
  knell_proc_event event{};
  event.what = raw.what;
  event.cpu = raw.cpu;
  std::memcpy(event.timestamp_ns, &raw.stamp_ns, sizeof raw.stamp_ns);
  encode_data(raw, event);
  store(bytes, kEventOffset, event);
  return bytes;
}

Request encode_request(uint32_t op, std::optional<uint32_t> mask, uint32_t nonce) {
  Request request;
  request.size = kEventOffset + (mask ? sizeof(knell_proc_input) : sizeof op);
  const std::span<std::byte> bytes(request.buffer.data(), request.size);
  store_headers(bytes, 0, nonce);
  store(bytes, kEventOffset, op);
  if (mask) store(bytes, kEventOffset + sizeof op, *mask);
  return request;
}

}  // namespace knell::event
