// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/pid_map.h"
#include "base/pidfd.h"
#include "process/process_table.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::source {

// Reports the end of the processes that were added, which need not be children; see pidfd.cc. Needs
// no privileges. Uses one descriptor for each process.
class PidfdSource final : public Source {
 public:
  // `out` must outlive it. Needs no pidfds yet. Errors: EMFILE.
  static Result<std::unique_ptr<PidfdSource>> create(Output& out);

  // Uses only `details`, `owners` and `namespaces` of the request: they are read in /proc when a
  // process is added. At its exit the program's details are omitted unless they are certain; see
  // pidfd.cc.
  [[nodiscard]] Result<void> set_request(const SourceRequest& wanted) override;
  uint32_t kernel_mask() const override { return KNELL_EVENT_EXIT; }
  // Watches `pid`: its end is reported once. If it is already a zombie, the next drain reports it.
  // `start` is field 22 of its /proc/PID/stat, in clock ticks since boot, to detect that the pid
  // was reused. 0: accepts any process that has the pid now.
  // Errors: ESRCH the process is gone (or another one has its pid now), or `pid` is a thread that
  // is not the leader of its process; EINVAL `pid` is not above 0; EEXIST; EMFILE and
  // EPROTONOSUPPORT (before Linux 5.3), with an explanation.
  [[nodiscard]] Result<void> add_pid(int32_t pid, uint64_t start) override;
  // Watches the process that `pidfd` refers to, which is already dying. Errors: EEXIST.
  [[nodiscard]] Result<void> add_dying(int32_t pid, UniqueFd pidfd);
  // A process is removed automatically when its end is reported.
  [[nodiscard]] Result<void> remove_pid(int32_t pid) override;
  bool has(int32_t pid) const { return processes_.find(pid) != nullptr; }
  size_t size() const { return processes_.size(); }
  int fd() const override { return epoll_.get(); }
  [[nodiscard]] Result<Drained> drain(size_t bound) override;
  // Reports at most `bound` of the processes that are dead but not reaped, which drain() would
  // report later. For a caller that waits no longer. Returns how many were reported.
  size_t report_unreaped(size_t bound) { return report_waiting(UINT64_MAX, bound); }
  Capabilities capabilities() const override;
  Counters counters() const override;
  // pidfds report every failure immediately
  bool has_health_checks() const override { return false; }

 private:
  struct Process {
    UniqueFd pidfd;
    // Not 0: it is dead; its end is reported when it is reaped, or at this time at the latest.
    uint64_t until_ns = 0;
    uint64_t start = 0;                    // clock ticks since boot; 0: not read
    bool read_dead = false;                // its details were read when it was dead
    bool read_late = true;                 // it was dead before all of them were read
    bool dying = false;                    // it was dying when it was added
    std::optional<event::Comm> last_comm;  // name of its zombie
    std::optional<uint32_t> uid;
    std::vector<event::NamespacePids> levels;
    bool levels_known = false;
  };

  PidfdSource(UniqueFd epoll, UniqueFd timer, process::ProcReader proc, Output& out);

  Result<void> add(int32_t pid, UniqueFd pidfd);
  void read(int32_t pid, Process& process);
  void read_owner(int32_t pid, Process& process);
  void read_last_comm(int32_t pid, Process& process);
  bool on_ready(int32_t pid, int pidfd);
  size_t report_waiting(uint64_t until_ns, size_t bound);
  void wait_for_reap(int32_t pid, Process& process);
  void report(int32_t pid, std::optional<int32_t> status);
  void forget(int32_t pid);
  void arm();

  UniqueFd epoll_, timer_;
  process::ProcReader proc_;
  Output& out_;
  process::ProcessTable table_;
  PidMap<Process> processes_;
  // Pid and until_ns of the processes that wait to be reaped, in the order of until_ns.
  std::deque<std::pair<int32_t, uint64_t>> waiting_;
  uint64_t reported_ = 0;
};

}  // namespace knell::source
