// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A memfd: a head, and two areas for the log, of which one is in use. Memory of a killed process
// keeps all that its instructions stored, in their order, so no checksum and no sync is needed: a
// record counts once `length` of its area includes it. That is one store. A snapshot is written to
// the other area, and takes effect when `active` is stored.
//
// A process that sends or receives can be killed after the system call had its effect, and before
// it can store that. So the system call itself stores it: sendmmsg() and recvmmsg() write the
// length of each packet into its mmsghdr when the packet has been queued or taken, and these
// mmsghdr are in the shared memory. The kernel does not end a process between the two. The serial
// number tells whether the log has the result already.
#include "handover/state.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <utility>

namespace knell::handover {
namespace {

constexpr uint64_t kMagic = 0x6b6e656c6c737431;  // "knellst1"
// The log is rewritten above this size, and above four times its size after the last rewrite, but
// in any case when half of the room that the last rewrite left is used.
constexpr size_t kLeastLog = size_t{1} << 20;  // chosen, not measured
constexpr size_t kMostBytes = size_t{1} << 34;

struct RecordHead {
  uint32_t bytes, kind;
};
static_assert(sizeof(RecordHead) == 8);

constexpr size_t padded(size_t bytes) { return (bytes + 7) & ~size_t{7}; }

constexpr size_t kPage = 65536;  // of any architecture
constexpr size_t whole_pages(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

}  // namespace

struct State::Shared {
  uint64_t magic;
  uint32_t version, broken;
  std::array<char, 40> boot;
  uint64_t pid_ns, build, area_bytes;
  std::atomic<uint64_t> active;
  std::array<std::atomic<uint64_t>, 2> length;

  struct Sending {
    std::atomic<uint32_t> packets;  // 0: nothing is being sent
    uint64_t serial, owner;
    std::array<uint32_t, kMostPackets> items;
    std::array<mmsghdr, kMostPackets> messages;
  } sending;

  struct Receiving {
    std::atomic<uint64_t> serial;
    uint64_t owner;
    iovec part;
    mmsghdr message;
    std::array<char, kMostPacket> packet;
  } receiving;

  Intake intake;
};

State::~State() {
  if (shared_ != nullptr) ::munmap(shared_, mapped_);
}

void State::swap(State& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(shared_, other.shared_);
  std::swap(mapped_, other.mapped_);
  std::swap(area_bytes_, other.area_bytes_);
  std::swap(active_, other.active_);
  std::swap(end_, other.end_);
  std::swap(snapshot_bytes_, other.snapshot_bytes_);
  std::swap(epoch_, other.epoch_);
  std::swap(rewriting_, other.rewriting_);
  std::swap(uncommitted_, other.uncommitted_);
  std::swap(overflowed_, other.overflowed_);
  std::swap(missing_bytes_, other.missing_bytes_);
  std::swap(retry_bytes_, other.retry_bytes_);
}

char* State::area(uint64_t index) const {
  const size_t head = whole_pages(sizeof(Shared));
  return reinterpret_cast<char*>(shared_) + head + index * area_bytes_;
}

uint64_t State::committed() const {
  return rewriting_ ? 0 : shared_->length[active_].load(std::memory_order_relaxed);
}

Result<State> State::map(UniqueFd fd, size_t bytes) {
  State state;
  void* memory =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd.get(), 0);
  if (memory == MAP_FAILED) return errno_error("map the state that a restart keeps");
  state.shared_ = static_cast<Shared*>(memory);
  state.mapped_ = bytes;
  state.fd_ = std::move(fd);
  return state;
}

Result<State> State::create(const Identity& identity, size_t bytes) {
  const size_t head = whole_pages(sizeof(Shared));
  const size_t each = whole_pages(std::min(bytes, kMostBytes));
  UniqueFd fd(::memfd_create("knelld-state", MFD_CLOEXEC));
  if (!fd || ::ftruncate(fd.get(), static_cast<off_t>(head + 2 * each)) != 0)
    return errno_error("create the state that a restart keeps");
  KNELL_ASSIGN(State state, map(std::move(fd), head + 2 * each));
  Shared& shared = *state.shared_;
  shared.version = kVersion;
  identity.boot.copy(shared.boot.data(), shared.boot.size() - 1);
  shared.pid_ns = identity.pid_ns;
  shared.build = identity.build;
  shared.area_bytes = state.area_bytes_ = each;
  shared.magic = kMagic;
  return state;
}

Result<State> State::adopt(UniqueFd fd, const Identity& identity, size_t bytes) {
  const off_t stored = ::lseek(fd.get(), 0, SEEK_END);
  const size_t head = whole_pages(sizeof(Shared));
  if (stored < static_cast<off_t>(head)) return say(EBADMSG, "the stored state is malformed");
  KNELL_ASSIGN(State state, map(std::move(fd), static_cast<size_t>(stored)));
  Shared& shared = *state.shared_;
  if (shared.magic != kMagic) return say(EBADMSG, "the stored state is malformed");
  if (shared.version != kVersion || shared.build != identity.build)
    return say(ESTALE, "the stored state is of another version of knelld");
  if (identity.boot != std::string_view(shared.boot.data(), ::strnlen(shared.boot.data(), 39)))
    return say(ESTALE, "the stored state is of another boot");
  if (shared.pid_ns != identity.pid_ns)
    return say(ESTALE, "the stored state is of another pid namespace");
  if (shared.broken != 0) return say(ESTALE, "the stored state had outgrown its memory");
  state.area_bytes_ = shared.area_bytes;
  state.active_ = shared.active.load(std::memory_order_acquire);
  // The file is longer if a process was killed in enlarge().
  if (state.area_bytes_ > kMostBytes || head + 2 * state.area_bytes_ > state.mapped_ ||
      state.active_ > 1 || shared.length[state.active_] > state.area_bytes_)
    return say(EBADMSG, "the stored state is malformed");
  state.end_ = state.snapshot_bytes_ = shared.length[state.active_].load(std::memory_order_acquire);
  if (bytes > state.area_bytes_) state.enlarge(bytes);
  return state;
}

// Moves the log to the first area, whose beginning does not depend on the size of the areas. A
// process may be killed after each step. After an error the size is as before.
void State::enlarge(size_t bytes) {
  const size_t each = whole_pages(std::min(bytes, kMostBytes));
  const size_t whole = whole_pages(sizeof(Shared)) + 2 * each;
  if (active_ == 1) {
    std::memcpy(area(0), area(1), end_);
    shared_->length[0].store(end_, std::memory_order_release);
    shared_->active.store(active_ = 0, std::memory_order_release);
  }
  shared_->length[1].store(0, std::memory_order_release);
  (void)::madvise(area(1), area_bytes_, MADV_REMOVE);
  if (whole > mapped_) {
    if (::ftruncate(fd_.get(), static_cast<off_t>(whole)) != 0) return;
    void* const memory = ::mremap(shared_, mapped_, whole, MREMAP_MAYMOVE);
    if (memory == MAP_FAILED) return;
    shared_ = static_cast<Shared*>(memory);
    mapped_ = whole;
  }
  shared_->area_bytes = area_bytes_ = each;
}

Result<void> State::read(const Visit& visit) const {
  const char* const begin = area(active_);
  for (uint64_t at = 0, end = committed(); at < end;) {
    RecordHead head{};
    if (end - at < sizeof head) return say(EBADMSG, "the stored state is malformed");
    std::memcpy(&head, begin + at, sizeof head);
    at += sizeof head;
    if (end - at < padded(head.bytes)) return say(EBADMSG, "the stored state is malformed");
    visit(head.kind, {begin + at, head.bytes});
    at += padded(head.bytes);
  }
  return {};
}

uint64_t State::append(uint32_t kind, std::string_view payload) {
  const size_t bytes = sizeof(RecordHead) + padded(payload.size());
  uncommitted_ = true;
  if (overflowed_ || area_bytes_ - end_ < bytes) {
    on_overflow(bytes);
    return 0;
  }
  const RecordHead head{.bytes = static_cast<uint32_t>(payload.size()), .kind = kind};
  char* const at = area(active_) + end_;
  std::memcpy(at, &head, sizeof head);
  std::memcpy(at + sizeof head, payload.data(), payload.size());
  const uint64_t position = end_ + sizeof head;
  end_ += bytes;
  return position;
}

// Records after the first one without room are of no use. A snapshot may fit, so it is due at once;
// if the snapshot itself did not fit, it is tried again after many further records.
void State::on_overflow(size_t bytes) {
  if (!std::exchange(overflowed_, true)) {
    shared_->broken = 1;
    missing_bytes_ = 0;
    retry_bytes_ = rewriting_ ? area_bytes_ : 0;
  }
  missing_bytes_ += bytes;
}

std::string_view State::at(uint64_t position, size_t bytes) const {
  const uint64_t end = committed();
  if (position > end || bytes > end - position) return {};
  return {area(active_) + position, bytes};
}

void State::commit() {
  uncommitted_ = false;
  shared_->length[active_].store(end_, std::memory_order_release);
  if (!std::exchange(rewriting_, false)) return;
  shared_->active.store(active_, std::memory_order_release);
  if (!overflowed_) shared_->broken = 0;
  snapshot_bytes_ = end_;
  missing_bytes_ = 0;
  // Gives back the memory of the old area if that was long.
  const uint64_t old = 1 - active_;
  const uint64_t used = shared_->length[old].exchange(0);
  if (used > 2 * kLeastLog) (void)::madvise(area(old), area_bytes_, MADV_REMOVE);
}

bool State::wants_snapshot() const {
  if (overflowed_) return missing_bytes_ >= retry_bytes_;
  const uint64_t half = snapshot_bytes_ + (area_bytes_ - snapshot_bytes_) / 2;
  return end_ > std::min(std::max<uint64_t>(kLeastLog, 4 * snapshot_bytes_), half);
}

bool State::is_broken() const { return shared_->broken != 0; }

void State::begin_snapshot() {
  if (rewriting_) return;
  active_ = 1 - active_;
  end_ = 0;
  ++epoch_;
  rewriting_ = true;
  overflowed_ = false;
}

Intake& State::intake() const { return shared_->intake; }

int State::send(int socket, uint64_t owner, uint32_t kind, std::span<iovec> packets,
                std::span<const uint32_t> items) {
  KNELL_CHECK(packets.size() == items.size() && packets.size() <= kMostPackets);
  Shared::Sending& now = shared_->sending;
  now.owner = owner;
  ++now.serial;
  for (size_t i = 0; i < packets.size(); ++i) {
    now.items[i] = items[i];
    now.messages[i] = {};
    now.messages[i].msg_hdr.msg_iov = &packets[i];
    now.messages[i].msg_hdr.msg_iovlen = 1;
  }
  now.packets.store(static_cast<uint32_t>(packets.size()), std::memory_order_release);
  const int sent = ::sendmmsg(socket, now.messages.data(), static_cast<unsigned>(packets.size()),
                              MSG_DONTWAIT | MSG_NOSIGNAL);
  if (killed_in_send_) (void)::raise(SIGKILL);
  if (sent > 0) {
    SentRecord record{
        .serial = now.serial, .owner = owner, .packets = static_cast<uint32_t>(sent), .items = 0};
    for (size_t i = 0; i < record.packets; ++i) record.items += items[i];
    append(kind, {reinterpret_cast<const char*>(&record), sizeof record});
    commit();
  }
  const int error = errno;
  now.packets.store(0, std::memory_order_release);
  errno = error;
  return sent;
}

std::optional<State::SentRecord> State::unrecorded(uint64_t last) const {
  const Shared::Sending& then = shared_->sending;
  const uint32_t packets = then.packets.load(std::memory_order_acquire);
  if (packets == 0 || packets > kMostPackets || then.serial == last) return std::nullopt;
  SentRecord record{.serial = then.serial, .owner = then.owner, .packets = 0, .items = 0};
  for (uint32_t i = 0; i < packets && then.messages[i].msg_len != 0; ++i) {
    ++record.packets;
    record.items += then.items[i];
  }
  if (record.packets == 0) return std::nullopt;
  return record;
}

void State::append_serials(uint32_t sent_kind, uint32_t received_kind) {
  const SentRecord sent{.serial = shared_->sending.serial, .owner = 0, .packets = 0, .items = 0};
  append(sent_kind, {reinterpret_cast<const char*>(&sent), sizeof sent});
  const ReceivedRecord received{.serial = shared_->receiving.serial, .owner = 0};
  append(received_kind, {reinterpret_cast<const char*>(&received), sizeof received});
}

ssize_t State::receive(int socket, uint64_t owner, std::string_view& packet) {
  Shared::Receiving& now = shared_->receiving;
  now.message = {};
  now.owner = owner;
  now.serial.fetch_add(1, std::memory_order_release);
  now.part = {now.packet.data(), now.packet.size()};
  now.message.msg_hdr.msg_iov = &now.part;
  now.message.msg_hdr.msg_iovlen = 1;
  if (::recvmmsg(socket, &now.message, 1, MSG_DONTWAIT | MSG_TRUNC, nullptr) < 0) return -1;
  packet = {now.packet.data(), std::min<size_t>(now.message.msg_len, kMostPacket)};
  return static_cast<ssize_t>(now.message.msg_len);
}

void State::received(uint32_t kind) {
  const Shared::Receiving& now = shared_->receiving;
  const ReceivedRecord record{.serial = now.serial, .owner = now.owner};
  append(kind, {reinterpret_cast<const char*>(&record), sizeof record});
}

std::optional<State::Received> State::unserved(uint64_t last) const {
  const Shared::Receiving& then = shared_->receiving;
  if (then.serial == last || then.message.msg_len == 0 || then.message.msg_len > kMostPacket)
    return std::nullopt;
  return Received{.owner = then.owner, .packet = {then.packet.data(), then.message.msg_len}};
}

}  // namespace knell::handover
