// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/children.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "base/pid_list.h"
#include "base/unique_fd.h"

namespace knell {
namespace {

// limit of the list of the children of a thread; chosen, not measured
constexpr size_t kMostBytes = 4096;

// Calls visit(descriptor) with the file "children" of each thread, until it returns false. Returns
// false if it did, or if the process or a file is missing.
template <class F>
bool for_each_file(int proc, int32_t pid, F visit) {
  UniqueFd tasks(
      ::openat(proc, (std::to_string(pid) + "/task").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!tasks) return false;
  const int folder = tasks.get();
  PidList threads(std::move(tasks));
  bool any = false;
  while (const int32_t tid = threads.next()) {
    any = true;
    const UniqueFd children(
        ::openat(folder, (std::to_string(tid) + "/children").c_str(), O_RDONLY | O_CLOEXEC));
    if (!children || !visit(children.get())) return false;
  }
  return any && !threads.failed();
}

std::optional<std::vector<int32_t>> read_children(int proc, int32_t pid) {
  std::vector<int32_t> all;
  const bool whole = for_each_file(proc, pid, [&](int file) {
    std::array<char, kMostBytes> text{};
    const ssize_t bytes = ::read(file, text.data(), text.size());
    if (bytes < 0 || static_cast<size_t>(bytes) == text.size()) return false;
    const char* const end = text.data() + bytes;
    for (const char* at = text.data(); at != end;) {
      int32_t child = 0;
      const auto [after, error] = std::from_chars(at, end, child);
      if (error != std::errc() || after == end || *after != ' ') return false;
      all.push_back(child);
      at = after + 1;
    }
    return true;
  });
  if (!whole) return std::nullopt;
  std::ranges::sort(all);
  return all;
}

}  // namespace

// While children end, a read of the file can miss some of the others. If the read returns nothing,
// there are none.
bool may_have_children(int proc, int32_t pid) {
  return !for_each_file(proc, pid, [](int file) {
    char byte = 0;
    return ::read(file, &byte, 1) == 0;
  });
}

// The kernel misses a child only if the child before it in the list ends during the read, or if its
// thread ends. Then a second read returns another list.
std::optional<std::vector<int32_t>> children_of(int proc, int32_t pid) {
  auto children = read_children(proc, pid);
  return children == read_children(proc, pid) ? children : std::nullopt;
}

}  // namespace knell
