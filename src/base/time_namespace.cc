// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/time_namespace.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "base/unique_fd.h"

namespace knell {
namespace {

constexpr int64_t kSecondNs = 1'000'000'000;
constexpr int64_t kTickNs = 10'000'000;         // USER_HZ is 100 on every Linux
constexpr uint64_t kInitialInode = 0xEFFFFFFA;  // of the initial namespace, linux/proc_ns.h

// Removes the next word from `text` and returns it; empty at the end.
std::string_view next_word(std::string_view& text) {
  const size_t from = text.find_first_not_of(" \n");
  if (from == std::string_view::npos) return {};
  text.remove_prefix(from);
  const std::string_view word = text.substr(0, text.find_first_of(" \n"));
  text.remove_prefix(word.size());
  return word;
}

std::optional<int64_t> next_number(std::string_view& text) {
  const std::string_view word = next_word(text);
  int64_t number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return number;
}

uint64_t inode_of(const char* path) {
  struct stat ns{};
  return ::stat(path, &ns) == 0 ? ns.st_ino : 0;
}

ClockOffsets read_clock_offsets() {
  const uint64_t ours = inode_of("/proc/self/ns/time");
  if (ours == 0 || ours == kInitialInode) return {};  // 0: a kernel without time namespaces
  // The file describes the namespace that our children are created in, which may differ from ours.
  const UniqueFd file(::open("/proc/self/timens_offsets", O_RDONLY | O_CLOEXEC));
  char text[256];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : -1;
  const auto offsets =
      size > 0 ? parse_clock_offsets({text, static_cast<size_t>(size)}) : std::nullopt;
  if (!offsets || ours != inode_of("/proc/self/ns/time_for_children")) return {.known = false};
  return *offsets;
}

int64_t whole_ticks(int64_t ns) {
  const int64_t half = ns < 0 ? -kTickNs / 2 : kTickNs / 2;
  return (ns + half) / kTickNs;
}

}  // namespace

std::optional<ClockOffsets> parse_clock_offsets(std::string_view text) {
  ClockOffsets offsets;
  bool monotonic = false, boottime = false;
  for (;;) {
    const std::string_view clock = next_word(text);
    if (clock.empty()) break;
    const auto seconds = next_number(text), ns = next_number(text);
    if (!seconds || !ns) return std::nullopt;
    const int64_t ahead = *seconds * kSecondNs + *ns;
    if (clock == "monotonic") {
      offsets.monotonic_ns = ahead;
      monotonic = true;
    } else if (clock == "boottime") {
      offsets.boottime_ns = ahead;
      boottime = true;
    }
  }
  if (!monotonic || !boottime) return std::nullopt;
  return offsets;
}

const ClockOffsets& clock_offsets() {
  static const ClockOffsets offsets = read_clock_offsets();
  return offsets;
}

uint64_t kernel_start(uint64_t shown, const ClockOffsets& offsets) {
  return static_cast<uint64_t>(static_cast<int64_t>(shown) - whole_ticks(offsets.boottime_ns));
}

bool starts_are_exact(const ClockOffsets& offsets) {
  return offsets.known && offsets.boottime_ns % kTickNs == 0;
}

timespec timer_time(uint64_t monotonic_ns) { return timer_time(monotonic_ns, clock_offsets()); }

timespec timer_time(uint64_t monotonic_ns, const ClockOffsets& offsets) {
  if (monotonic_ns == 0) return {};
  const int64_t at = static_cast<int64_t>(monotonic_ns) + offsets.monotonic_ns;
  if (at <= 0) return {.tv_sec = 0, .tv_nsec = 1};  // long past
  return {.tv_sec = at / kSecondNs, .tv_nsec = at % kSecondNs};
}

}  // namespace knell
