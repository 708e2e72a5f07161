// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The structures of the C ABI that begin with `size`. The program may have been built with an older
// or newer <knell/knell.h> than the library: such structures grow only at their end, and nothing
// past `size` is read or written. All functions of the C ABI use the functions below to read and
// fill these structures.
#pragma once

#include <knell/knell.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace knell::lib {

// The smallest accepted size of each structure, and its last member at that size. Frozen: these
// numbers do not change when members are appended. The first header of this soname has at least
// these sizes: they are from before the soname was raised, so that tests/abi can build a program
// with structures smaller than those of this version.
template <class T>
struct StructureSize;
template <>
struct StructureSize<knell_options> {
  static constexpr std::string_view kName = "knell_options";
  static constexpr size_t kFirstSize = 40;  // args_bytes
};
template <>
struct StructureSize<knell_replay_options> {
  static constexpr std::string_view kName = "knell_replay_options";
  static constexpr size_t kFirstSize = 24;  // speed
};
template <>
struct StructureSize<knell_history_options> {
  static constexpr std::string_view kName = "knell_history_options";
  static constexpr size_t kFirstSize = 48;  // reserved
};
template <>
struct StructureSize<knell_event> {
  static constexpr std::string_view kName = "knell_event";
  static constexpr size_t kFirstSize = 488;  // lost_until_time_ns
};
template <>
struct StructureSize<knell_stats> {
  static constexpr std::string_view kName = "knell_stats";
  static constexpr size_t kFirstSize = 104;  // daemon
};
template <>
struct StructureSize<knell_recording> {
  static constexpr std::string_view kName = "knell_recording";
  static constexpr size_t kFirstSize = 264;  // boot_id
};

// Errors: EINVAL `size` is not set, or is less than `first`.
Result<void> check_size(std::string_view structure, size_t size, size_t first);
// Errors: E2BIG a byte past `known` bytes is not zero, or `size` is more than a page.
Result<void> check_tail(std::string_view structure, const char* given, size_t size, size_t known);

template <class T>
Result<size_t> size_of(const T* given) {
  using Known = StructureSize<T>;
  static_assert(Known::kFirstSize <= sizeof(T) && offsetof(T, size) == 0);
  size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  KNELL_TRY(check_size(Known::kName, size, Known::kFirstSize));
  return size;
}

// Copies the program's options to the library's structure. Missing members are 0, their default. As
// in the kernel, unknown members must be 0, since the library does not implement them.
template <class T>
Result<T> copy_request(const T* given) {
  KNELL_ASSIGN(const size_t size, size_of(given));
  const char* const bytes = reinterpret_cast<const char*>(given);
  KNELL_TRY(check_tail(StructureSize<T>::kName, bytes, size, sizeof(T)));
  T today{};
  std::memcpy(&today, bytes, std::min(size, sizeof(T)));
  today.size = sizeof(T);
  return today;
}

// Fills as much of the program's structure as fits, and sets its `size` to the bytes filled.
template <class T>
Result<void> fill(T* given, T today) {
  KNELL_ASSIGN(const size_t size, size_of(given));
  today.size = std::min(size, sizeof(T));
  std::memcpy(static_cast<void*>(given), &today, today.size);
  return {};
}

// Events passed by the program, converted to the library's structure: missing members are unknown,
// additional members are dropped. Nothing is copied if all events have the library's size.
class CallerEvents {
 public:
  // `events` must outlive the object. Errors: those of size_of().
  static Result<CallerEvents> create(std::span<const knell_event* const> events);
  std::span<const knell_event* const> get() const { return events_; }

 private:
  std::span<const knell_event* const> events_;
  std::vector<knell_event> copies_;
  std::vector<const knell_event*> pointers_;
};
Result<void> copy_event(const knell_event* given, knell_event& today);

}  // namespace knell::lib
