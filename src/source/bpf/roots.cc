// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/roots.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "base/proc_stat.h"

// Who is under a root is known from the births: on_fork() gives a child the bits of its parent. So
// first the root is put in, while the program runs; who was born under it before is found in /proc,
// parent by parent, until a pass finds nobody new. A child born between the look at its parent and
// the look at it has its bits from the program, or is found by the next pass.
namespace knell::source {
namespace {

constexpr int kMostPasses = 64;  // picked, never tuned: a pass follows a whole line of descent
                                 // when pids rise along it

std::optional<uint64_t> bits_at(int map_fd, int32_t pid) {
  uint64_t bits = 0;
  if (bpf_map_lookup_elem(map_fd, &pid, &bits) != 0) return std::nullopt;
  return bits;
}

}  // namespace

int Roots::bit_of(int32_t root) const {
  const auto at = std::ranges::find(roots_, root);
  return at == roots_.end() ? -1 : static_cast<int>(at - roots_.begin());
}

Result<void> Roots::add(const std::vector<int32_t>& wanted) {
  if (wanted.size() > roots_.size()) {
    return say(EINVAL, "not more than 64 processes can be followed with all that is under them");
  }
  bool any = false;
  for (const int32_t root : wanted) {
    if (root <= 0 || bit_of(root) >= 0) continue;
    int bit = bit_of(0);
    if (bit < 0) {  // all bits are taken, by some that are not wanted any more
      keep(wanted);
      bit = bit_of(0);
    }
    if (bit < 0) return say(EINVAL, "the same process was asked for twice among too many");
    roots_[static_cast<size_t>(bit)] = root;
    KNELL_TRY(insert(root, uint64_t{1} << bit));
    any = true;
  }
  if (!any) return {};
  looking_ = true;
  passes_ = 0;
  proc_.reset();
  return {};
}

// Adds bits. The program may put the same process in at the same time.
Result<void> Roots::insert(int32_t pid, uint64_t bits) {
  for (int attempt = 0; attempt < 4; attempt++) {
    const auto before = bits_at(map_fd_, pid);
    const uint64_t after = before.value_or(0) | bits;
    if (before == after) return {};
    const int error = bpf_map_update_elem(map_fd_, &pid, &after, before ? BPF_EXIST : BPF_NOEXIST);
    if (error == 0) break;
    if (errno != EEXIST && errno != ENOENT) return errno_error("follow the processes under one");
  }
  // It may have died before it was put in; then nobody takes it out again.
  if (!read_proc_stat(pid)) bpf_map_delete_elem(map_fd_, &pid);
  return {};
}

Result<bool> Roots::look_under(size_t most) {
  for (; looking_ && most > 0; most--) {
    if (!proc_) {
      proc_.reset(::opendir("/proc"));
      found_ = false;
    }
    const dirent* const entry = proc_ ? ::readdir(proc_.get()) : nullptr;
    if (entry == nullptr) {
      proc_.reset();
      looking_ = found_ && ++passes_ < kMostPasses;
      continue;
    }
    int32_t pid = 0;
    const char* const end = entry->d_name + std::strlen(entry->d_name);
    if (std::from_chars(entry->d_name, end, pid).ptr != end) continue;
    const auto found = look_at(pid);
    if (!found) {
      looking_ = false;
      proc_.reset();
      return std::unexpected(found.error());
    }
    found_ |= *found;
  }
  return !looking_;
}

// Whether it is under one more than was known.
Result<bool> Roots::look_at(int32_t pid) {
  const auto stat = read_proc_stat(pid);
  const auto above = stat ? bits_at(map_fd_, stat->ppid) : std::nullopt;
  if (!above) return false;
  if ((bits_at(map_fd_, pid).value_or(0) | *above) == bits_at(map_fd_, pid)) return false;
  KNELL_TRY(insert(pid, *above));
  return true;
}

void Roots::keep(const std::vector<int32_t>& wanted) {
  uint64_t gone = 0;
  for (size_t bit = 0; bit < roots_.size(); bit++) {
    if (roots_[bit] == 0 || std::ranges::find(wanted, roots_[bit]) != wanted.end()) continue;
    gone |= uint64_t{1} << bit;
    roots_[bit] = 0;
  }
  if (gone != 0) clear_bits(gone);
  order_ = wanted;
  for (size_t bit = 0; bit < roots_.size(); bit++) {
    const auto at = std::ranges::find(order_, roots_[bit]);
    position_[bit] =
        roots_[bit] == 0 || at == order_.end() ? -1 : static_cast<int>(at - order_.begin());
  }
}

void Roots::clear_bits(uint64_t bits) {
  std::vector<int32_t> all;
  int32_t key = 0;
  const int32_t* from = nullptr;
  while (bpf_map_get_next_key(map_fd_, from, &key) == 0) {
    all.push_back(key);
    from = &key;
  }
  for (const int32_t pid : all) {
    const auto before = bits_at(map_fd_, pid);
    if (!before || (*before & bits) == 0) continue;
    const uint64_t after = *before & ~bits;
    if (after == 0)
      bpf_map_delete_elem(map_fd_, &pid);
    else
      bpf_map_update_elem(map_fd_, &pid, &after, BPF_EXIST);
  }
}

void Roots::gone(int32_t pid, uint64_t start) {
  const auto bits = bits_at(map_fd_, pid);
  if (!bits) return;
  const auto stat = read_proc_stat(pid);
  if (stat && stat->start != start) return;  // another has its pid
  bpf_map_delete_elem(map_fd_, &pid);
  const uint64_t known = *bits;
  bpf_map_update_elem(departed_fd_, &pid, &known, BPF_ANY);
}

uint64_t Roots::of(int32_t pid) const {
  const auto bits = bits_at(map_fd_, pid);
  return translate(bits ? *bits : bits_at(departed_fd_, pid).value_or(0));
}

uint64_t Roots::translate(uint64_t bits) const {
  uint64_t told = 0;
  for (; bits != 0; bits &= bits - 1) {
    const int position = position_[static_cast<size_t>(__builtin_ctzll(bits))];
    if (position >= 0) told |= uint64_t{1} << position;
  }
  return told;
}

}  // namespace knell::source
