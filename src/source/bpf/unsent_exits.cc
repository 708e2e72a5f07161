// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/unsent_exits.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace knell::source {
namespace {

// Marks moved by one system call. A bucket of the map must fit: it holds one or two as a rule.
constexpr size_t kChunk = 256;

}  // namespace

uint64_t UnsentExits::take_all(uint64_t count) {
  if (count == count_) return 0;
  uint64_t left = count - std::exchange(count_, count);
  taken_ = true;
  std::array<knell_life, kChunk> lives;
  std::array<knell_mark, kChunk> marks;
  uint32_t position = 0;
  for (bool first = true, more = true; more; first = false) {
    auto taken = static_cast<uint32_t>(kChunk);
    more = bpf_map_lookup_and_delete_batch(map_fd_, first ? nullptr : &position, &position,
                                           lives.data(), marks.data(), &taken, nullptr) == 0;
    // At the end of the map the call fails with ENOENT, and returns the last ones all the same.
    if (!more && errno != ENOENT) break;
    marks_.insert(marks_.end(), marks.begin(), marks.begin() + taken);
    left -= std::min<uint64_t>(left, taken);
    if (!more) left = 0;
  }
  std::ranges::sort(marks_.begin() + static_cast<ptrdiff_t>(at_), marks_.end(), {},
                    [](const knell_mark& mark) { return mark.head.stamp_ns; });
  return left;
}

std::optional<std::string_view> UnsentExits::next(uint64_t until_ns) {
  if (!has_until(until_ns)) return std::nullopt;
  const knell_mark& mark = marks_[at_++];
  ++returned_;
  return std::string_view(reinterpret_cast<const char*>(&mark), sizeof mark);
}

UnsentExits::Unsaved UnsentExits::unsaved(bool whole) {
  const bool anew = std::exchange(taken_, false) || whole;
  const uint64_t consumed = returned_ - std::exchange(returned_saved_, returned_);
  if (anew) return {.anew = true, .consumed = 0, .marks = std::span(marks_).subspan(at_)};
  return {.anew = false, .consumed = consumed, .marks = {}};
}

void UnsentExits::restore(uint64_t count, bool anew, uint64_t consumed,
                          std::vector<knell_mark> marks) {
  count_ = count;
  if (anew) {
    marks_ = std::move(marks);
    at_ = 0;
  } else {
    at_ = std::min<size_t>(marks_.size(), at_ + consumed);
  }
}

void UnsentExits::release() {
  if (at_ < marks_.size() || marks_.empty()) return;
  marks_ = {};
  at_ = 0;
}

}  // namespace knell::source
