// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Parents are returned before their children: the entries are visited in the order of /proc, and
// before each entry those of its ancestors that were not visited yet. Each entry is pushed to the
// path once, so the work is linear, whatever the shape of the tree.
//
// Pids are reused between the two passes, and while each of them runs. A process is returned only
// if its start is that of the first pass. The start of a parent must not be later than that of its
// child; if it is, another process has the parent's pid now.
#include "process/living_processes.h"

#include <algorithm>
#include <utility>

#include "event/fields.h"
#include "event/string_views.h"

namespace knell::process {
namespace {

constexpr size_t kFilesListed = 1;  // stat
// files read by ProcessTable, stat once more, stat of the parent
constexpr size_t kFilesDescribed = 8;

bool is_alive(const ProcStat& stat) {
  return stat.state != 'X' && (stat.state != 'Z' || stat.threads > 1);
}

}  // namespace

LivingProcesses::LivingProcesses(const ProcReader& proc, const Clock& clock, Options options)
    : proc_(proc),
      clock_(clock),
      options_(std::move(options)),
      table_(proc, clock, time_, options_.boot) {
  (void)table_.keep({.details = std::min<uint32_t>(options_.details, KNELL_DETAILS_NAMES)});
  time_.take(clock);
  if (!options_.look_up_names) table_.users().disable();
  scan_.begin(proc.list());
}

Result<bool> LivingProcesses::list_some(ScanBudget& budget) {
  const size_t units = kFilesListed + (options_.may_list ? 1 : 0);
  (void)scan_.advance(budget, units, [this](int32_t pid) { list_one(pid); });
  if (scan_.failed()) return say(EIO, "the list of processes in /proc cannot be read");
  return !scan_.running();
}

void LivingProcesses::list_one(int32_t pid) {
  const ProcFolder folder = proc_.folder(pid);
  if (!folder) return;
  const bool listed = !options_.may_list || options_.may_list(folder);
  // Keep it as a link: a listed process may be its descendant.
  if (!listed && options_.roots.empty()) return;
  const auto stat = folder.stat();
  if (!stat || !is_alive(*stat)) return;
  const auto [index, made] = by_pid_.emplace(pid);
  // A pid that occurs twice: the first process has ended, the second one got its pid.
  if (made) {
    *index = static_cast<uint32_t>(entries_.size());
    entries_.emplace_back();
  }
  Entry& entry = entries_[*index];
  entry.pid = pid;
  entry.ppid = stat->ppid;
  entry.start = stat->start;
  entry.listed = listed;
}

LivingProcesses::Entry* LivingProcesses::parent_of(const Entry& entry) {
  const uint32_t* index = by_pid_.find(entry.ppid);
  if (index == nullptr) return nullptr;
  Entry& parent = entries_[*index];
  return parent.start <= entry.start && &parent != &entry ? &parent : nullptr;
}

// Pushes the parent of the last entry of the path if it was not pushed before. The flag also ends a
// cycle, which pids reused within one clock tick can make.
bool LivingProcesses::push_parent() {
  Entry* parent = parent_of(entries_[path_.back()]);
  if (parent == nullptr || std::exchange(parent->on_path, true)) return false;
  path_.push_back(*by_pid_.find(parent->pid));
  return true;
}

LivingProcesses::Next LivingProcesses::next(ScanBudget& budget, event::Batch& batch) {
  while (budget.left > 0) {
    if (path_.empty()) {
      if (at_ == entries_.size()) return Next::kEnd;
      if (!std::exchange(entries_[at_].on_path, true)) path_.push_back(static_cast<uint32_t>(at_));
      ++at_;
      continue;
    }
    budget.spend(1);
    if (push_parent()) continue;
    Entry& entry = entries_[path_.back()];
    path_.pop_back();
    const Entry* parent = parent_of(entry);
    if (parent != nullptr && parent->placed) entry.roots = parent->roots;
    for (size_t i = 0; i < options_.roots.size(); ++i)
      if (options_.roots[i].pid == entry.pid && options_.roots[i].has_start(entry.start))
        entry.roots |= uint64_t{1} << i;
    entry.placed = true;
    if (!entry.listed || !is_wanted(entry)) continue;
    budget.spend(kFilesDescribed);
    if (describe(entry, batch)) return Next::kProcess;
  }
  return Next::kMore;
}

// Reading the details takes most of the time, so processes that cannot match are skipped before.
bool LivingProcesses::is_wanted(const Entry& entry) const {
  if (options_.only_under && entry.roots == 0) return false;
  return options_.pids.empty() ||
         std::ranges::find(options_.pids, entry.pid) != options_.pids.end();
}

// False: the process has ended.
bool LivingProcesses::describe(const Entry& entry, event::Batch& batch) {
  batch.clear();
  Slot& slot = *batch.reserve();
  knell_event& event = slot.event;
  event.size = sizeof event;
  event.type = KNELL_EVENT_NONE;
  event.via = KNELL_VIA_PROC;
  event.mono_ns = clock_.monotonic_ns();
  event.time_ns = time_.realtime_ns(event.mono_ns);
  event.pid = event.tid = entry.pid;
  table_.describe(slot, entry.pid, ProcessTable::ReadProc::kYes);
  if (event.id.kind != KNELL_ID_START || event.id.start != entry.start) return false;
  const ProcFolder folder = proc_.folder(entry.pid);
  const auto stat = folder ? folder.stat() : std::nullopt;
  if (!stat || stat->start != entry.start || !is_alive(*stat)) return false;
  fill_parent(event, slot);
  slot.note = entry.roots;
  slot.ready = true;
  return true;
}

void LivingProcesses::fill_parent(knell_event& event, Slot& slot) const {
  const ProcFolder folder = event.ppid > 0 ? proc_.folder(event.ppid) : ProcFolder();
  const auto stat = folder ? folder.stat() : std::nullopt;
  if (!stat || stat->start > event.id.start) return;
  event.parent_id.start = stat->start;
  event.parent_id.kind = KNELL_ID_START;
  slot.parent_comm = stat->comm;
  event.parent_comm = event::known_view_of(slot.parent_comm);
}

size_t LivingProcesses::bytes() const {
  return entries_.size() * sizeof(Entry) + by_pid_.bytes() + path_.capacity() * sizeof(uint32_t);
}

}  // namespace knell::process
