// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "handover/keeper.h"
#include "source/bpf/record.h"

struct bpf_prog_load_opts;
struct knell_programs;  // of the generated skeleton
struct bpf_map;
struct bpf_program;

namespace knell::source {

class KernelTypes;

// The programs and maps in the kernel. They stay loaded as long as this object exists; each program
// is loaded and attached on demand, since the verifier takes milliseconds for each. Not
// thread-safe.
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
    kRenameCgroup,
    kConnector  // the filter program of a socket: loaded, never attached
  };
  static constexpr size_t kPrograms = 10;
  class Set {
   public:
    constexpr Set(std::initializer_list<Program> programs = {}) {
      for (const Program program : programs) add(program);
    }
    constexpr void add(Program program) { bits_ |= bit(program); }
    constexpr bool has(Program program) const { return (bits_ & bit(program)) != 0; }
    constexpr Set without(Set other) const { return Set(bits_ & ~other.bits_); }
    constexpr Set with(Set other) const { return Set(bits_ | other.bits_); }
    constexpr bool empty() const { return bits_ == 0; }
    constexpr uint32_t bits() const { return bits_; }
    static constexpr Set of_bits(uint32_t bits) { return Set(bits); }

   private:
    constexpr explicit Set(uint32_t bits) : bits_(bits) {}
    static constexpr uint32_t bit(Program program) { return 1U << static_cast<uint32_t>(program); }
    uint32_t bits_ = 0;
  };

  struct Options {
    size_t exit_ring_bytes, event_ring_bytes, reserve_ring_bytes;
    size_t unsent_exits = KNELL_MOST_UNSENT;  // size of the map `unsent`
    // The hierarchy whose cgroups are reported; 0: version 2
    int32_t hierarchy = 0;
    bool older_kernel_for_testing = false;  // as if dying processes could not be read
    handover::Keeper* keeper = nullptr;     // stores the descriptors; see adopt()
  };

  // Creates the maps and loads `first`, and `older` if dying processes cannot be read. Errors, with
  // an explanation: EPERM without the capabilities; ENOTSUP if this kernel cannot run the programs;
  // EMFILE; ENOMEM. The messages of libbpf and the kernel's verifier are appended to `log`.
  static Result<Programs> load(const Options& options, Set first, Set older, std::string& log);
  // Takes over the programs and maps that an earlier process stored with `options.keeper`. All or
  // nothing: `needed` must be loaded, and `attached` must be attached. Programs of another version
  // with the same KNELL_LAYOUT are replaced, each in one step, which needs the capabilities of
  // load(); otherwise no capability is needed. Errors, with an explanation: ENOENT nothing is
  // stored; ESTALE the stored programs are incomplete, foreign, of another layout, or do not run
  // any more; those of load(). The caller then removes them from the keeper; see kStored.
  static Result<Programs> adopt(const Options& options, Set needed, Set attached);
  static constexpr std::string_view kStored = "bpf.";  // prefix of the names of descriptors
  // Loads more programs, except those that are already loaded. Errors: as load().
  [[nodiscard]] Result<void> load_more(Set programs);
  Programs(Programs&& other) noexcept;
  Programs& operator=(Programs&&) = delete;
  ~Programs();

  // Attaches (on) or detaches a program, unless it is already so. Loads it first if necessary.
  // Errors: also EAGAIN it was just detached, and the keeper still has its link; after adopt(), up
  // to the first forget_detached(), this waits for the keeper.
  [[nodiscard]] Result<void> attach(Program program, bool on);
  Set attached() const;
  // Removes the detached programs from the keeper, which detaches them. Call when attached() is
  // committed: a process that finds fewer programs attached does not take them over.
  void forget_detached();
  // Whether adopt() replaced programs of another version.
  bool upgraded() const { return upgraded_; }

  // Whether the memory of a process can be read as it dies (Linux 6.17 or so).
  bool dying_readable() const;
  volatile knell_settings& settings();
  const volatile knell_losses& losses() const;

  struct RingFds {
    int exits, others, reserve;
  };
  RingFds rings() const;
  // The processes that are wanted by pid: one bit a pid, KNELL_PID_WORDS words.
  std::atomic<uint64_t>* pids() const { return pids_; }
  // Descriptors of the maps of this name.
  int uids() const;
  int roots() const;
  int cgroups() const;
  int cgroup_paths() const;
  int stored_execs() const;
  int unsent() const;
  // Descriptor of the program of that name, which must be loaded; see Bpf::set_connector().
  int connector() const;
  int32_t hierarchy() const;

 private:
  // An object that libbpf has loaded. Programs that are loaded later are in an object of their own,
  // which uses the maps of the first one.
  struct Object {
    knell_programs* skeleton;
    Set programs;
  };

  // Numbers (BTF ids) of types in the running kernel; 0: the kernel does not have the type.
  struct KernelNumbers {
    uint32_t cast = 0;                    // of bpf_rdonly_cast()
    std::vector<uint32_t> tracepoints{};  // in alphabetical order of the names
  };

  Programs() = default;
  class Sections;
  static int prepare(bpf_program* program, bpf_prog_load_opts* options, long);
  void take_numbers(const KernelTypes& kernel);
  Result<Object*> open_object(Set programs, const std::string& log);
  Result<void> load_object(Object& object, const std::string& log);
  Result<void> map_pids();
  // A stored program of any version, or its constants.
  struct StoredProgram {
    std::string stored_as, name;
    uint32_t id = 0;
  };
  Result<void> adopt_maps(const Options& options);
  Result<std::vector<StoredProgram>> take_programs();
  Result<void> adopt_entry(Program program, const std::vector<StoredProgram>& stored, Set needed,
                           Set attached);
  Result<void> replace_programs(const std::vector<StoredProgram>& stored, Set needed);
  Result<void> check_heartbeat();
  Result<void> share_maps(knell_programs& with);
  void keep_constants(const knell_programs& of);
  void store_map(const bpf_map* map);
  Result<void> store_programs(const Object& object);
  Result<void> enter(Program program);
  int find(Program program) const;
  int find_entry(Program program) const;
  std::vector<uint32_t> map_ids() const;
  std::string layout_prefix() const;
  std::string name_of(char kind, const std::string& what) const;
  knell_programs& maps() const { return *objects_.front().skeleton; }

  std::vector<Object> objects_;
  Set loaded_;
  KernelNumbers numbers_;
  UniqueFd types_;  // a file with the types that the programs use, for libbpf
  std::array<UniqueFd, kPrograms> links_{};
  // Programs that an earlier process loaded, and their entries; see KNELL_ENTRY.
  std::array<UniqueFd, kPrograms> adopted_{}, adopted_entries_{};
  bool upgraded_ = false;
  bool adopting_ = false;                       // until forget_detached(): attach() may wait
  std::array<UniqueFd, kPrograms> detached_{};  // links that the keeper has; see forget_detached()
  handover::Keeper* keeper_ = nullptr;  // nullptr: the programs are attached without entries
  uint64_t hash_ = 0;                   // hash of the object
  void* adopted_bss_ = nullptr;  // mapped memory of adopted programs, which libbpf did not map
  std::atomic<uint64_t>* pids_ = nullptr;  // shared with the kernel
};

}  // namespace knell::source
