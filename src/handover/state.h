// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace knell::handover {

// Datagrams of a socket that were received, until what they led to is committed. recvmmsg(2) stores
// them here, so that none is lost when the process is killed in it. A slot whose header has a
// length has a datagram. `cycle` rises when all slots are free again.
struct Intake {
  static constexpr size_t kSlots = 2048, kRoom = 128, kAddress = 16;
  std::atomic<uint64_t> cycle;
  std::array<mmsghdr, kSlots> headers;
  std::array<std::array<std::byte, kAddress>, kSlots> senders;
  std::array<std::array<std::byte, kRoom>, kSlots> bytes;
};

// The state of a process, in memory that its keeper holds too: a log of records, which takes effect
// at commit(), and what was sent to and received from sockets in the system call that the process
// may be killed in. Survives SIGKILL at any instruction. Not thread-safe. See state.cc.
class State {
 public:
  static constexpr uint32_t kVersion = 1;  // of the records and of this layout
  static constexpr size_t kMostPacket = 128 * 1024;
  static constexpr size_t kMostPackets = 64;  // of one send()

  // Only a state with the same identity is adopted.
  struct Identity {
    std::string boot;     // base/boot_id.h
    uint64_t pid_ns = 0;  // inode number of the pid namespace
    uint64_t build = 0;   // a number of the program's record formats
  };

  // An empty state. `bytes`: the most that the log can have; memory is taken as it is used. Errors:
  // those of memfd_create(2), ftruncate(2) and mmap(2).
  static Result<State> create(const Identity& identity, size_t bytes);
  // The state that an earlier process left. If its log could have fewer bytes than `bytes`, it is
  // enlarged, if possible. Errors: ESTALE it is of another boot, pid namespace or version, with an
  // explanation; EBADMSG it is malformed.
  static Result<State> adopt(UniqueFd fd, const Identity& identity, size_t bytes);
  State(State&& other) noexcept { swap(other); }
  State& operator=(State&& other) noexcept {
    State(std::move(other)).swap(*this);
    return *this;
  }
  ~State();

  int fd() const { return fd_.get(); }

  // Calls visit(kind, payload) for each record that was committed. The payloads stay valid until
  // the next begin_snapshot(). Errors: EBADMSG.
  using Visit = std::function<void(uint32_t kind, std::string_view payload)>;
  Result<void> read(const Visit& visit) const;

  // Appends a record. Returns where its payload begins in the log; see at(). If there is no room
  // the state is broken: a later process does not adopt it, unless a later snapshot fits.
  uint64_t append(uint32_t kind, std::string_view payload);
  // The payload of `bytes` at `position` in the committed log; empty: there is none.
  std::string_view at(uint64_t position, size_t bytes) const;
  // All records appended since the last commit() take effect at once.
  void commit();
  bool has_uncommitted() const { return uncommitted_; }
  // Whether a snapshot is due: the log is long, or a record had no room.
  bool wants_snapshot() const;
  bool is_broken() const;
  // The most bytes that the log can have.
  size_t room() const { return area_bytes_; }
  // Begins a new log in place of the old one: all that counts must be appended again before
  // commit(). Changes epoch().
  void begin_snapshot();
  uint64_t epoch() const { return epoch_; }

  Intake& intake() const;

  // Sends packets, each of one part, with sendmmsg(2). `owner`, `items`: for the caller, see
  // Unrecorded. Returns the number of sent packets, which it has recorded as a committed record of
  // `kind`, or -1 and errno.
  int send(int socket, uint64_t owner, uint32_t kind, std::span<iovec> packets,
           std::span<const uint32_t> items);
  struct SentRecord {
    uint64_t serial, owner;
    uint32_t packets, items;
  };
  // The next send() kills this process after the system call.
  void kill_in_send_for_testing() { killed_in_send_ = true; }
  // What send() had sent but not recorded when the process was killed. `last`: the serial of the
  // last SentRecord in the log.
  std::optional<SentRecord> unrecorded(uint64_t last) const;

  // For a snapshot: records that what was sent and received so far is in the log.
  void append_serials(uint32_t sent_kind, uint32_t received_kind);

  // Receives one packet, as recv(2) with MSG_TRUNC does. `packet` is valid until the next call.
  ssize_t receive(int socket, uint64_t owner, std::string_view& packet);
  // After receive(): what the packet led to is committed with the next commit(), as a record of
  // `kind`.
  void received(uint32_t kind);
  struct ReceivedRecord {
    uint64_t serial, owner;
  };
  struct Received {
    uint64_t owner;
    std::string_view packet;
  };
  // The packet that was received but not recorded. `last`: as for unrecorded().
  std::optional<Received> unserved(uint64_t last) const;

 private:
  struct Shared;
  State() = default;
  static Result<State> map(UniqueFd fd, size_t bytes);
  void swap(State& other) noexcept;
  char* area(uint64_t index) const;
  uint64_t committed() const;
  void enlarge(size_t bytes);
  void on_overflow(size_t bytes);

  UniqueFd fd_;
  Shared* shared_ = nullptr;
  size_t mapped_ = 0, area_bytes_ = 0;
  uint64_t active_ = 0;  // the area that append() writes to
  uint64_t end_ = 0;     // end of the log, including uncommitted records
  uint64_t snapshot_bytes_ = 0;
  uint64_t epoch_ = 1;
  bool rewriting_ = false;
  bool uncommitted_ = false;
  bool overflowed_ = false;  // a record of this log had no room
  // While overflowed_: the size of the records since then. When it reaches retry_bytes_, a snapshot
  // is due.
  uint64_t missing_bytes_ = 0, retry_bytes_ = 0;
  bool killed_in_send_ = false;
};

}  // namespace knell::handover
