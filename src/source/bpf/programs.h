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

// The programs and maps in the kernel. They stay loaded as long as this object lives; each program
// is attached on demand. Not thread-safe.
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
    // The hierarchy whose cgroups are reported; 0: version 2
    int32_t hierarchy = 0;
    size_t unsent_exits = KNELL_MOST_UNSENT;  // size of the map `unsent`
    bool raw = false;                         // the level; cannot be changed later
    bool older_kernel_for_testing = false;    // act as if dying processes could not be read
  };

  // Errors, with an explanation: EPERM without the capabilities; ENOTSUP if this kernel cannot run
  // the programs; EMFILE; ENOMEM.
  static Result<Programs> load(const Options& options);
  Programs(Programs&& other) noexcept;
  Programs& operator=(Programs&&) = delete;
  ~Programs();

  // Attaches (on) or detaches a program; does nothing if it is so already.
  [[nodiscard]] Result<void> attach(Program program, bool on);

  // Whether the memory of a process can be read as it dies (Linux 6.17 or so).
  bool dying_readable() const;
  volatile knell_settings& settings();
  const volatile knell_losses& losses() const;

  struct RingFds {
    int exits, others, reserve;
  };
  RingFds rings() const;
  // The processes that are wanted by their pid: one bit a pid, KNELL_PID_WORDS words.
  std::atomic<uint64_t>* pids() const { return pids_; }
  // Descriptors of the maps of this name.
  int uids() const;
  int roots() const;
  int cgroups() const;
  int cgroup_paths() const;
  int stored_execs() const;
  int unsent() const;
  int connector() const;  // descriptor of a program for a socket; see Bpf::set_connector()
  int32_t hierarchy() const;

 private:
  explicit Programs(knell_programs* skeleton);
  bpf_program* find(Program program) const;

  knell_programs* skeleton_;
  std::array<bpf_link*, kPrograms> links_{};
  std::atomic<uint64_t>* pids_ = nullptr;  // shared with the kernel
};

// The messages of libbpf and the kernel's verifier of the last load() on this thread.
const std::string& bpf_log();

}  // namespace knell::source
