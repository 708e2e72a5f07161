// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "source/bpf/record.h"

struct knell_programs;  // of the skeleton
struct bpf_link;
struct bpf_map;
struct bpf_program;

namespace knell::source {

// The programs and maps in the kernel: loaded as long as this lives, attached on demand.
class Programs {
 public:
  enum class Program {
    kFork,
    kExec,
    kExit,
    kThreadExit,
    kRename,
    kSignal,
    kDelivery,
    kMkdir,
    kRenameCgroup
  };
  static constexpr size_t kPrograms = 9;

  struct Options {
    size_t exit_ring_bytes, event_ring_bytes, reserve_ring_bytes;
    int32_t hierarchy = 0;                  // of cgroups; 0: v2
    bool raw = false;                       // the level, for good
    bool older_kernel_for_testing = false;  // does as if dying processes could not be read
  };

  // Errors: EPERM without the capabilities, ENOTSUP where this kernel cannot; in words.
  static Result<Programs> load(const Options& options);
  Programs(Programs&& other) noexcept;
  Programs& operator=(Programs&&) = delete;
  ~Programs();

  // Nothing happens when it is so already.
  [[nodiscard]] Result<void> attach(Program program, bool on);

  // Whether the memory of a process can be read as it dies (Linux 6.17 or so).
  bool dying_readable() const;
  volatile knell_settings& settings();
  const volatile knell_losses& losses() const;

  struct RingFds {
    int exits, others, reserve;
  };
  RingFds rings() const;
  // Of the processes asked for one by one: a bit each, KNELL_PID_WORDS words.
  std::atomic<uint64_t>* pids() const { return pids_; }
  int uids() const;
  int roots() const;
  int departed() const;
  int cgroups() const;
  int cgroup_paths() const;
  int births() const;
  int connector() const;  // a program to be attached to a socket
  int32_t hierarchy() const;

 private:
  explicit Programs(knell_programs* skeleton);
  bpf_program* find(Program program) const;

  knell_programs* skeleton_;
  std::array<bpf_link*, kPrograms> links_{};
  std::atomic<uint64_t>* pids_ = nullptr;  // shared with the kernel
};

// What libbpf and the kernel's verifier said of the last load that failed on this thread.
const std::string& bpf_log();

}  // namespace knell::source
