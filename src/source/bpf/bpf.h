// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/unique_fd.h"
#include "process/process_table.h"
#include "source/bpf/decode.h"
#include "source/bpf/event_builder.h"
#include "source/bpf/programs.h"
#include "source/bpf/ring.h"
#include "source/bpf/root_map.h"
#include "source/bpf/unsent_exits.h"
#include "source/bpf/waiting_exits.h"
#include "source/connector/connector.h"
#include "source/kept.h"
#include "source/output.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"

namespace knell::source {

// The event types that no tracepoint reports. The programs see them in the kernel's connector.
inline constexpr uint32_t kConnectorTypes =
    KNELL_EVENT_UID | KNELL_EVENT_GID | KNELL_EVENT_SID | KNELL_EVENT_PTRACE | KNELL_EVENT_COREDUMP;

struct BpfOptions {
  // Sizes of the rings, powers of two. All of a ring is resident memory of this process.
  size_t exit_ring_bytes = 8U << 20;
  size_t event_ring_bytes = 4U << 20;
  size_t reserve_ring_bytes = 1U << 20;
  // How many exits are kept, 128 bytes each, while all rings are full
  size_t unsent_exits = KNELL_MOST_UNSENT;
  size_t args_bytes = 1024;  // how much of a process's arguments is reported; at most 4096
  // Loads all programs at once. Without it, those for types that the first request does not have
  // are loaded when they are asked for, which needs the capabilities of create() again.
  bool load_all = false;
  bool older_kernel_for_testing = false;
  Kept* kept = nullptr;  // see SourceOptions
};

// Reports whole processes by tracing programs in the kernel; see bpf.cc. Not thread-safe.
class Bpf final : public Source, private ThreadEvents {
 public:
  // `out` must outlive it. Errors, with an explanation: EPERM without CAP_BPF and CAP_PERFMON;
  // ENOTSUP if this kernel cannot run the programs; those of the connector, if only kConnectorTypes
  // are wanted. `log`: gets the messages of libbpf and the kernel's verifier. With load_all
  // only create() needs the capabilities.
  static Result<std::unique_ptr<Bpf>> create(const BpfOptions& options, const SourceRequest& wanted,
                                             Output& out, std::string* log = nullptr);
  ~Bpf() override;

  [[nodiscard]] Result<void> set_request(const SourceRequest& request) override;
  uint32_t kernel_mask() const override { return wanted_.mask; }
  [[nodiscard]] Result<void> add_pid(int32_t pid, uint64_t start) override;
  [[nodiscard]] Result<void> remove_pid(int32_t pid) override;
  bool scan_some(ScanBudget& budget) override;
  [[nodiscard]] Result<bool> scan_under_roots(ScanBudget& budget) override {
    return roots_.scan_under(budget);
  }
  uint64_t due_ns() const override { return unreported_ == 0 && !restored_ ? 0 : kDueNow; }
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(size_t bound) override;
  [[nodiscard]] Result<void> check_health() override;
  process::Tracked recoverable(const SourceRequest& wanted) const override;
  void report_missed(const Missed& missed) override;
  process::ProcessTable* table() override { return &table_; }
  Capabilities capabilities() const override;
  Counters counters() const override;
  void save(bool whole) override;
  bool saved() override;
  // Adds a record to the stream, as if it had been read from a ring.
  void add_record_for_testing(std::string_view record);

 private:
  static constexpr size_t kRings = 3, kExitRing = 0;  // in the order of make()
  // The keeper's name for the connector's socket; it has the prefix of the programs' names.
  static constexpr const char* kStoredSocket = "bpf.connector";
  enum Class : uint8_t { kExits, kOthers, kClasses };

  // The data of the descriptors in epoll_, as epoll_wait() returns them. A watched process has a
  // greater tag than the ring and the timer, since no process has pid 0. The descriptor in the tag
  // distinguishes a process from a later one with the same pid.
  static constexpr uint64_t kRingTag = 0;
  static constexpr uint64_t kTimerTag = 1;  // the timer: check the processes whose mark is overdue
  static constexpr uint64_t watch_tag(int32_t pid, int pidfd) {
    return static_cast<uint64_t>(static_cast<uint32_t>(pid)) << 32 | static_cast<uint32_t>(pidfd);
  }
  static constexpr int32_t pid_of_tag(uint64_t tag) { return static_cast<int32_t>(tag >> 32); }
  static constexpr int pidfd_of_tag(uint64_t tag) { return static_cast<int>(tag & 0xffffffffU); }

  // A record of the stream; its bytes are in a ring, in unsent_ or in held_.
  struct Item {
    uint64_t stamp_ns;
    std::string_view record;
    int32_t held;    // index into held_; -1: it is not there
    uint32_t place;  // the order in which this pass found the records
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

  Bpf(const BpfOptions& options, Programs programs, std::array<Ring, kRings> rings, UniqueFd epoll,
      UniqueFd timer, process::ProcReader proc, Output& out);

  struct SavedReader;
  static Result<std::unique_ptr<Bpf>> adopt(const Programs::Options& options, Programs::Set needed,
                                            const BpfOptions& bpf, Output& out);
  static Result<std::unique_ptr<Bpf>> make(Programs programs, const BpfOptions& options,
                                           Output& out);
  static Programs::Set attached_in(const Kept& kept);
  bool restore();
  void take_over_connector(const SavedReader& reader);
  void name_pid(int32_t pid, bool wanted);
  void unname_pid(int32_t pid);
  bool want_cgroups(const std::vector<std::string>& paths);
  Result<void> set_programs(const SourceRequest& wanted);
  Result<void> attach_for(const SourceRequest& wanted, bool detach);
  Result<void> set_connector(uint32_t mask);
  ConnectorOptions connector_options(uint32_t types) const;
  Result<std::unique_ptr<Connector>> open_connector_for(uint32_t types);
  void close_connector();
  // The connector reports only holes here: the programs report its events.
  void on_raw(const event::Raw& hole) override;
  Result<void> watch_dying(int32_t pid, UniqueFd pidfd, uint64_t start);
  bool forget_dying(int32_t pid);

  Result<Drained> drain_dying(size_t bound, bool any);
  Result<bool> pass(size_t bound, size_t& reported);
  Result<uint64_t> collect();
  void hold_from(size_t first);
  void hold(uint64_t stamp_ns, std::string_view record);
  bool rings_empty() const;

  bool deliver(const Item& item, bool& again);
  bool deliver_mark(const knell_mark& mark);
  bool await(const Decoded& decoded, std::string_view record, bool& again);
  void report_exit(std::string_view details, const knell_mark& mark);
  bool may_have_lost_details() const;
  bool report_loss(Class of, uint64_t lost, uint64_t stamp_ns);
  bool report_last_losses();
  void report_lost_births();
  void report_missing();
  void report_hole(const event::Raw& hole);
  void report_unread(uint64_t lost, uint64_t stamp_ns);

  void take_wakeups();
  bool check_overdue();
  void check(WaitingExits::Entry& entry);
  void watch(WaitingExits::Entry& entry, UniqueFd pidfd);
  knell_mark mark_of_ended(const WaitingExits::Entry& entry);
  void release(const WaitingExits::Entry& entry);
  void set_timer();

  Kept* kept_;  // nullptr: nothing is stored for the next process
  Programs programs_;
  std::array<Ring, kRings> rings_;
  UnsentExits unsent_;
  UniqueFd epoll_, timer_;
  process::ProcReader proc_;
  Output& out_;
  const Clock& clock_;
  BpfOptions options_;
  SourceRequest wanted_;
  RootMap roots_;
  // Stores the live set only: reads from /proc what a record does not contain.
  process::ProcessTable table_;
  EventBuilder builder_;
  // Makes the kernel's connector send kConnectorTypes, while they are wanted. The filter of its
  // socket is a program that reports each event and drops its datagram.
  std::unique_ptr<Connector> connector_;
  // Requested types that are missing, because the connector could not be opened
  uint32_t missing_ = 0;
  // Types that were missing and are reported again; their hole is still to be reported
  uint32_t unreported_ = 0;
  uint64_t missing_since_ns_ = 0, missing_until_ns_ = 0;
  // Added processes that were already dying: there may be no mark for them.
  std::unique_ptr<PidfdSource> dying_;
  // Pid and start (clock ticks) of the processes in dying_
  std::vector<std::pair<int32_t, uint64_t>> dying_starts_;
  PidScan exec_scan_;  // scan of the processes that executed before the programs ran; see
                       // stored_execs.h
  bool stores_execs_ = false;
  bool restored_ = false;  // restored, and not drained since

  std::vector<Item> items_;
  std::vector<Held> held_;
  std::vector<std::vector<uint64_t>> spare_;
  uint64_t held_until_ns_ = 0;  // records with stamps up to this are complete and sorted

  WaitingExits waiting_;
  bool dropped_details_ = false;  // the details of an exit were dropped, or may have been
  ReportedExits reported_exits_;
  uint64_t check_again_ns_ = 0;  // when to check the overdue processes without a pidfd again
  uint64_t timer_ns_ = 0;        // when the timer expires; 0: it is not set

  // Lost records that were already reported, by class
  std::array<uint64_t, kClasses> reported_lost_{};
  std::array<uint64_t, kClasses> last_ns_{};  // stamp of the last record, by class
  knell_losses reported_losses_{};
  uint64_t reported_births_ = 0;        // lost births that were already reported
  uint64_t hole_until_ns_ = 0;          // end of the last reported hole of exits
  uint64_t received_ = 0, unread_ = 0;  // unread_: see report_unread()
};

}  // namespace knell::source
