// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "source/bpf/decode.h"
#include "source/bpf/programs.h"
#include "source/bpf/ring.h"
#include "source/bpf/roots.h"
#include "source/bpf/waiting_exits.h"
#include "source/source.h"

namespace knell::source {

// The event types that no tracepoint reports. They come through a connector socket; see
// Bpf::connector_program().
inline constexpr uint32_t kConnectorTypes =
    KNELL_EVENT_UID | KNELL_EVENT_GID | KNELL_EVENT_SID | KNELL_EVENT_PTRACE | KNELL_EVENT_COREDUMP;

struct BpfOptions {
  SourceRequest wanted;
  // Sizes of the rings, powers of two. The pages of a ring are mapped twice, so those in use count
  // twice in the resident memory of this process.
  size_t exit_ring_bytes = 8U << 20;
  size_t event_ring_bytes = 4U << 20;
  size_t reserve_ring_bytes = 1U << 20;
  size_t args_bytes = 1024;  // how much of a process's arguments is reported; at most 4096
  // Returns the inode of a cgroup's directory, by its path; 0: there is no such cgroup now.
  std::function<uint64_t(const std::string&)> inode_of_cgroup = nullptr;
  int32_t hierarchy_id = 0;  // whose cgroups are reported, numbered as in /proc/PID/cgroup; 0: v2
  Clock* clock = &system_clock();
  bool older_kernel_for_testing = false;
};

// Reports whole processes by tracing programs in the kernel; see bpf.cc. Not thread-safe.
class Bpf : public Source {
 public:
  // Errors, with an explanation: EPERM without CAP_BPF and CAP_PERFMON; ENOTSUP if this kernel
  // cannot run the programs: see bpf_log(). Only create() needs the capabilities.
  static Result<std::unique_ptr<Bpf>> create(const BpfOptions& options);
  ~Bpf() override;

  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  [[nodiscard]] Result<void> add_pid(int32_t pid) override;
  void remove_pid(int32_t pid) override;
  uint64_t roots_of(int32_t pid) const override;
  bool scan_some(ScanBudget& budget) override;
  [[nodiscard]] Result<bool> scan_under_roots(ScanBudget& budget) override {
    return roots_.scan_under(budget);
  }
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(Sink& sink, size_t bound) override;
  [[nodiscard]] Result<void> check_health(Sink&) override { return {}; }
  Capabilities capabilities() const override;
  Counters counters() const override;
  // Descriptor of a filter program for the socket of a Connector that is asked for kConnectorTypes
  // only. With this filter the Bpf source reports these types, with all their details, and the
  // Connector receives no datagrams.
  int connector_program() const { return programs_.connector(); }

 private:
  static constexpr size_t kRings = 3;
  enum Class : uint8_t { kExits, kOthers, kClasses };

  // The data of the descriptors in epoll_, as epoll_wait() returns them. A watched process has a
  // greater tag than the ring and the timer, since no process has pid 0. The descriptor in the tag
  // distinguishes a process from a later one with the same pid.
  static constexpr uint64_t kRingTag = 0;
  static constexpr uint64_t kTimerTag = 1;  // time to check the processes whose mark is overdue
  static constexpr uint64_t watch_tag(int32_t pid, int pidfd) {
    return static_cast<uint64_t>(static_cast<uint32_t>(pid)) << 32 | static_cast<uint32_t>(pidfd);
  }
  static constexpr int32_t pid_of_tag(uint64_t tag) { return static_cast<int32_t>(tag >> 32); }
  static constexpr int pidfd_of_tag(uint64_t tag) { return static_cast<int>(tag & 0xffffffffU); }

  // A record of the stream, in a ring or in held_.
  struct Item {
    uint64_t stamp_ns;
    std::string_view record;
    int32_t held;    // index into held_; -1: in a ring
    uint32_t place;  // the order in which the records were found
  };
  // A copy of a record that is delivered in a later pass.
  struct Held {
    uint64_t stamp_ns = 0;
    std::vector<uint64_t> storage;
    size_t bytes = 0;
    std::string_view record() const {
      return {reinterpret_cast<const char*>(storage.data()), bytes};
    }
  };

  void name_pid(int32_t pid, bool wanted);
  Bpf(const BpfOptions& options, Programs programs, std::array<Ring, kRings> rings, UniqueFd epoll,
      UniqueFd timer);

  bool want_cgroups(const std::vector<std::string>& paths);
  Result<void> attach_for(const SourceRequest& wanted, bool detach);

  Result<bool> pass(Sink& sink, size_t bound, size_t& reported);
  Result<uint64_t> collect();
  size_t emit(Sink& sink, uint64_t until_ns, size_t room);
  void hold_from(size_t first);
  void hold(uint64_t stamp_ns, std::string_view record);
  bool rings_empty() const;

  bool deliver(Sink& sink, const Item& item, bool& again);
  bool deliver_mark(Sink& sink, const knell_mark& mark);
  bool await(Sink& sink, const Decoded& decoded, std::string_view record, bool& again);
  bool report_exit(Sink& sink, std::string_view details, const knell_mark& mark);
  bool send(Sink& sink, event::Full& full);
  bool report_loss(Sink& sink, Class of, uint64_t lost, uint64_t stamp_ns);
  bool report_last_losses(Sink& sink);
  void report_lost_births(Sink& sink);

  bool has_ended(const WaitingExits::Entry& entry, UniqueFd& still) const;
  void take_wakeups();
  bool check_overdue();
  void check(WaitingExits::Entry& entry);
  void watch(WaitingExits::Entry& entry, UniqueFd pidfd);
  knell_mark mark_of_ended(const WaitingExits::Entry& entry);
  void release(const WaitingExits::Entry& entry);
  void set_timer();

  Programs programs_;
  std::array<Ring, kRings> rings_;
  UniqueFd epoll_, timer_;
  Clock& clock_;
  BpfOptions options_;
  SourceRequest wanted_;
  Roots roots_;
  PidScan births_;  // of processes whose exec was before the programs ran; see births.h
  bool births_kept_ = false;

  std::vector<Item> items_;
  std::vector<Held> held_;
  std::vector<std::vector<uint64_t>> spare_;
  uint64_t held_until_ns_ = 0;  // the records with stamps up to this one are complete and sorted

  WaitingExits waiting_;
  ReportedExits reported_exits_;
  RecordDecoder decoder_;
  uint64_t check_again_ns_ = 0;  // when to check the overdue processes without a pidfd again
  uint64_t timer_ns_ = 0;        // when the timer expires; 0: it is not set

  std::array<uint64_t, kClasses> reported_lost_{};  // lost records that were reported
  std::array<uint64_t, kClasses> last_ns_{};        // stamp of the last record
  knell_losses reported_losses_{};
  uint64_t reported_births_ = 0;  // lost births that were reported
  uint64_t hole_until_ns_ = 0;    // the end of the last hole of exits
  uint64_t received_ = 0;
};

}  // namespace knell::source
