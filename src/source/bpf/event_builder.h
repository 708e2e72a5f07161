// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "process/births.h"
#include "process/cgroup_tree.h"
#include "process/process_table.h"
#include "source/bpf/decode.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::source {

// Makes finished events from the records of the programs. Keeps no state of processes: all data is
// in the records. Not thread-safe.
class EventBuilder {
 public:
  // The references must outlive the object. `table` reads from /proc what a record does not
  // contain.
  EventBuilder(Output& out, process::ProcessTable& table) : out_(out), table_(table) {}

  // From here on events have this level and these roots.
  void set_request(const SourceRequest& wanted) {
    raw_ = wanted.level == KNELL_LEVEL_RAW;
    details_ = wanted.details != KNELL_DETAILS_STATUS;
    owners_ = wanted.owners;
    namespaces_ = wanted.namespaces;
    lifetimes_ = wanted.lifetimes;
    roots_ = wanted.roots;
  }
  process::CgroupTree& cgroups() { return cgroups_; }

  // Adds the event of a record. `roots`: a bit for each root that its process is under, in the
  // order of SourceRequest::roots.
  void add(const Decoded& record, uint64_t roots);
  // Adds the exit that a mark reports. `details` is null if there is no record with details;
  // `lost`: whether the details were lost. Otherwise none were requested when the process began to
  // exit.
  enum class DetailsLost : bool { kNo, kYes };
  void add_exit(const Decoded* details, const knell_mark& mark, uint64_t roots, DetailsLost lost);
  // Adds an event that was lost. For a living process, with its current details in /proc.
  void add_missed(const Missed& missed, uint64_t roots);

 private:
  // The subject of an event, from any kind of record.
  struct Subject {
    uint32_t what;
    int32_t pid, tid, ppid;
    uint64_t stamp_ns, start_ns, parent_start_ns;
    uint32_t uid;
    uint64_t roots;
    int32_t status, signal;   // EXIT
    bool details_lost;        // EXIT
    std::string_view levels;  // as in Decoded
    bool levels_known;
  };
  static Subject subject_of(const Decoded& record);
  void add(const Subject& subject, const Decoded* record);
  void report_thread_event(const Subject& subject, const Decoded* record);
  void report_birth(const Decoded& record);
  std::span<event::NamespacePids> read_levels(std::string_view levels);
  void set_uid(Slot& slot, uint32_t uid);
  void fill(Slot& slot, const Subject& subject) const;
  void fill_details(Slot& slot, const Decoded& record);
  void fill_type(Slot& slot, uint32_t what, const knell_process& process) const;
  void fill_exit(Slot& slot, const Subject& subject) const;
  void fill_senders(Slot& slot, const Subject& subject, const Decoded& record);
  void fill_killer(Slot& slot, const knell_sender& sender);
  static void fill_last_signal(Slot& slot, const knell_sender& sender, uint64_t stamp_ns);
  knell_string copy_path(std::string_view names, bool deleted);
  knell_id id_of(int32_t pid, uint64_t start_ns) const;

  Output& out_;
  process::ProcessTable& table_;
  process::CgroupTree cgroups_;
  bool raw_ = false, details_ = true, owners_ = false, namespaces_ = false, lifetimes_ = false;
  std::vector<filter::Root> roots_;
  std::array<event::NamespacePids, event::kMostLevels> levels_{};
};

}  // namespace knell::source
