// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/root_map.h"

#include <bpf/bpf.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/children.h"
#include "base/proc_stat.h"
#include "base/unique_fd.h"

// The program on_fork() gives each child the bits of its parent in the map. So a root is put into
// the map while the program is attached. Existing descendants are found in /proc: each pass gives a
// process the bits of its parent, until a pass finds no new process. A child that is created during
// a pass gets its bits from the program, or is found by the next pass. A root whose children have
// no children, as that of `knell run`, needs no pass.
//
// The programs remove a process from the map when it ends, and on_fork() replaces the entry of its
// pid. So the bits in the map are those of the process that has the pid now, and bits are only
// added here. If the pid was reused meanwhile, they are removed again.
namespace knell::source {
namespace {

constexpr int kMostPasses = 64;       // chosen, not measured: one pass finds all descendants
                                      // whose pids are greater than that of their parent
constexpr size_t kMostChildren = 16;  // chosen, not measured: a pass finds more than these
constexpr size_t kMostForgotten =
    1'000'000;  // chosen, not measured: several times the capacity of the map

std::optional<uint64_t> bits_at(int map_fd, int32_t pid) {
  uint64_t bits = 0;
  if (bpf_map_lookup_elem(map_fd, &pid, &bits) != 0) return std::nullopt;
  return bits;
}

}  // namespace

int RootMap::bit_of(const Root& root) const {
  const auto at = std::ranges::find(roots_, root);
  return at == roots_.end() ? -1 : static_cast<int>(at - roots_.begin());
}

int RootMap::free_bit() const {
  for (size_t bit = 0; bit < roots_.size(); bit++)
    if (roots_[bit].pid == 0 && (forgetting_ >> bit & 1) == 0) return static_cast<int>(bit);
  return -1;
}

Result<void> RootMap::add(const std::vector<Root>& wanted) {
  if (wanted.size() > roots_.size()) {
    return say(EINVAL, "at most 64 processes can be followed with their descendants");
  }
  bool any = false;
  const UniqueFd proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (const Root& root : wanted) {
    if (root.pid <= 0 || bit_of(root) >= 0) continue;
    int bit = free_bit();
    if (bit < 0) {  // all bits are used, some of them by roots that were removed
      keep(wanted);
      ScanBudget enough{.left = kMostForgotten};
      forget_some(enough);
      bit = free_bit();
    }
    if (bit < 0) return say(EINVAL, "all 64 places for processes to follow are still in use");
    roots_[static_cast<size_t>(bit)] = root;
    // After its end another process may have its pid.
    const auto stat = read_proc_stat(root.pid);
    if (!stat || !root.has_start(stat->start)) continue;
    KNELL_TRY(insert(root, uint64_t{1} << bit));
    any |= !add_children(proc.get(), root.pid, uint64_t{1} << bit);
  }
  if (!any) return {};
  scanning_ = true;
  found_ = true;  // so that scan_under() makes a pass
  passes_ = 0;
  pass_.cancel();
  return {};
}

// Adds the children of a root. Returns whether there is no other process under the root.
bool RootMap::add_children(int proc, int32_t root, uint64_t bits) {
  const auto children = children_of(proc, root);
  if (!children || children->size() > kMostChildren) return false;
  for (const int32_t child : *children) {
    // From here on the program gives the bits to new children of this child.
    if (!insert({.pid = child}, bits) || may_have_children(proc, child)) return false;
  }
  return true;
}

// Adds bits to a process. The program may add the same process to the map at the same time.
Result<void> RootMap::insert(const Root& process, uint64_t bits) {
  const int32_t pid = process.pid;
  for (int attempt = 0; attempt < 4; attempt++) {
    const auto before = bits_at(map_fd_, pid);
    const uint64_t after = before.value_or(0) | bits;
    if (before == after) return {};
    const int error = bpf_map_update_elem(map_fd_, &pid, &after, before ? BPF_EXIST : BPF_NOEXIST);
    if (error == 0) break;
    if (errno != EEXIST && errno != ENOENT)
      return errno_error("follow the descendants of a process");
  }
  // If the process died before it was added, the program does not remove it.
  const auto stat = read_proc_stat(pid);
  if (!stat || !process.has_start(stat->start)) (void)remove(pid, bits);
  return {};
}

Result<bool> RootMap::scan_under(ScanBudget& budget) {
  Result<void> looked;
  const auto visit = [&](int32_t pid) {
    const auto found = check(pid);
    if (found) {
      found_ |= *found;
      return;
    }
    looked = std::unexpected(found.error());
    pass_.cancel();
    scanning_ = false;
  };
  while (scanning_ && budget.left > 0) {
    if (!pass_.running()) {
      scanning_ = std::exchange(found_, false) && passes_++ < kMostPasses;
      if (scanning_) pass_.begin();
    }
    (void)pass_.advance(budget, 1, visit);
  }
  KNELL_TRY(looked);
  return !scanning_;
}

// Gives a process the bits of its parent. Returns whether some of them were missing.
Result<bool> RootMap::check(int32_t pid) {
  const auto stat = read_proc_stat(pid);
  const auto parent_bits = stat ? bits_at(map_fd_, stat->ppid) : std::nullopt;
  if (!parent_bits) return false;
  if ((bits_at(map_fd_, pid).value_or(0) | *parent_bits) == bits_at(map_fd_, pid)) return false;
  KNELL_TRY(insert({.pid = pid, .start = stat->start}, *parent_bits));
  return true;
}

void RootMap::keep(const std::vector<Root>& wanted) {
  for (size_t bit = 0; bit < roots_.size(); bit++) {
    if (roots_[bit].pid == 0 || std::ranges::find(wanted, roots_[bit]) != wanted.end()) continue;
    forgetting_ |= uint64_t{1} << bit;
    next_.reset();
    roots_[bit] = {};
  }
  order_ = wanted;
  for (size_t bit = 0; bit < roots_.size(); bit++) {
    const auto at = std::ranges::find(order_, roots_[bit]);
    position_[bit] =
        roots_[bit].pid == 0 || at == order_.end() ? -1 : static_cast<int>(at - order_.begin());
  }
}

// New children get the bits of their parent even while these bits are being removed. So this scans
// the map until a whole pass finds no process with such bits. If the process at next_ was removed
// meanwhile, the kernel continues with the first key of the map.
void RootMap::forget_some(ScanBudget& budget) {
  for (; forgetting_ != 0 && budget.left > 0; budget.spend(1)) {
    int32_t pid = 0, next = 0;
    if (!next_) {
      if (bpf_map_get_next_key(map_fd_, nullptr, &pid) != 0) forgetting_ = 0;
      if (forgetting_ == 0) return;
      next_ = pid;
    }
    pid = *next_;
    const bool more = bpf_map_get_next_key(map_fd_, &pid, &next) == 0;
    some_had_ |= remove(pid, forgetting_);
    next_ = more ? std::optional(next) : std::nullopt;
    if (!more && !std::exchange(some_had_, false)) forgetting_ = 0;
  }
}

// Removes bits from a process. Returns whether it had any of them.
bool RootMap::remove(int32_t pid, uint64_t bits) {
  const uint64_t before = bits_at(map_fd_, pid).value_or(0), after = before & ~bits;
  if (after == before) return false;
  if (after == 0)
    bpf_map_delete_elem(map_fd_, &pid);
  else
    bpf_map_update_elem(map_fd_, &pid, &after, BPF_EXIST);
  return true;
}

void RootMap::remove_ended(int32_t pid, uint64_t start) {
  if (!bits_at(map_fd_, pid)) return;
  const auto stat = read_proc_stat(pid);
  if (stat && stat->start != start) return;  // another process has this pid now
  bpf_map_delete_elem(map_fd_, &pid);
}

std::optional<uint64_t> RootMap::bits_of(int32_t pid) const {
  return order_.empty() ? std::nullopt : bits_at(map_fd_, pid);
}

uint64_t RootMap::translate(uint64_t bits) const {
  uint64_t translated = 0;
  for (; bits != 0; bits &= bits - 1) {
    const int position = position_[static_cast<size_t>(__builtin_ctzll(bits))];
    if (position >= 0) translated |= uint64_t{1} << position;
  }
  return translated;
}

}  // namespace knell::source
