// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/cpu.h"

#include <time.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace knell::bench {
namespace {

std::vector<std::string> threads_of(pid_t pid) {
  std::vector<std::string> paths;
  std::error_code error;
  std::filesystem::directory_iterator at("/proc/" + std::to_string(pid) + "/task", error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error))
    paths.push_back(at->path());
  return paths;
}

uint64_t own_ns(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (::clock_getcpuclockid(pid, &clock) == 0 && ::clock_gettime(clock, &used) == 0)
    return static_cast<uint64_t>(used.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(used.tv_nsec);
  return schedstat_ns(pid);
}

// The fields of a stat file from the third on: behind the name, which may hold anything.
std::istringstream stat_fields(const std::string& folder) {
  std::ifstream file(folder + "/stat");
  std::string line;
  std::getline(file, line);
  const size_t name_end = line.rfind(')');
  return std::istringstream(name_end == std::string::npos ? "" : line.substr(name_end + 1));
}

// cutime and cstime, fields 16 and 17.
uint64_t reaped_ns(pid_t pid) {
  std::istringstream fields = stat_fields("/proc/" + std::to_string(pid));
  std::string skipped;
  for (int field = 3; field < 16; ++field) fields >> skipped;
  uint64_t user = 0;
  uint64_t system = 0;
  fields >> user >> system;
  return (user + system) * (1'000'000'000 / static_cast<uint64_t>(::sysconf(_SC_CLK_TCK)));
}

std::vector<pid_t> children_of(pid_t pid) {
  std::vector<pid_t> children;
  for (const std::string& thread : threads_of(pid)) {
    std::ifstream file(thread + "/children");
    for (pid_t child = 0; file >> child;) children.push_back(child);
  }
  return children;
}

}  // namespace

uint64_t schedstat_ns(pid_t pid) {
  uint64_t sum = 0;
  for (const std::string& thread : threads_of(pid)) {
    uint64_t ran = 0;
    std::ifstream(thread + "/schedstat") >> ran;
    sum += ran;
  }
  return sum;
}

uint64_t tree_cpu_ns(pid_t pid) {
  uint64_t sum = own_ns(pid) + reaped_ns(pid);
  for (const pid_t child : children_of(pid)) sum += tree_cpu_ns(child);
  return sum;
}

bool tree_is_runnable(pid_t pid) {
  for (const std::string& thread : threads_of(pid)) {
    std::string state;
    stat_fields(thread) >> state;
    if (state == "R") return true;
  }
  for (const pid_t child : children_of(pid)) {
    if (tree_is_runnable(child)) return true;
  }
  return false;
}

uint64_t resident_bytes(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  uint64_t size = 0;
  uint64_t resident = 0;
  file >> size >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace knell::bench
