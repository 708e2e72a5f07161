// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-trace-cost [-r ROUNDS] CMD ARG...: how much longer CMD takes under `knell run` with each of
// its sources, and under strace, than alone. In each round it runs once in each way, so that
// changes of the machine's speed concern all of them; printed are medians, and ratios to the run
// alone of the same round; also of the CPU time of the command and what watches it, which other
// load does not change much. As root, for bpf. For example:
//
//   knell-trace-cost make -s -j2 -C SOURCE clean all
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

namespace knell::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

struct Cost {
  double seconds = -1;  // negative: the command failed
  double cpu = 0;       // seconds, of the command and of what watches it
};

struct Way {
  const char* name;
  Words words;
  std::vector<double> seconds{}, ratios{}, cpu{}, cpu_ratios{};
};

double cpu_of_children() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Cost run(const Words& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  const double cpu_before = cpu_of_children();
  const auto from = Clock::now();
  pid_t pid = 0;
  int status = 1;
  if (::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0)
    ::waitpid(pid, &status, 0);
  ::posix_spawn_file_actions_destroy(&actions);
  const std::chrono::duration<double> time = Clock::now() - from;
  if (status != 0) return {};
  return {.seconds = time.count(), .cpu = cpu_of_children() - cpu_before};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

std::vector<Way> ways_of(const Words& command) {
  const auto below = [&](Words words) {
    words.insert(words.end(), command.begin(), command.end());
    return words;
  };
  const std::string knell =
      (std::filesystem::read_symlink("/proc/self/exe").parent_path() / "knell").string();
  return {{"alone", command},
          {"knell run", below({knell, "run", "--report", "/dev/null", "--"})},
          // There is no connector in another network namespace.
          {"knell run, traced",
           below({"unshare", "-n", "setpriv", "--bounding-set=-bpf,-perfmon,-sys_admin", knell,
                  "run", "--report", "/dev/null", "--"})},
          {"strace -f -e trace=none", below({"strace", "-f", "-qq", "-e", "trace=none", "-e",
                                             "signal=none", "-o", "/dev/null"})}};
}

int compare(const Words& words, int rounds) {
  std::vector<Way> ways = ways_of(words);
  for (int round = 0; round < rounds; round++) {
    for (Way& way : ways) {
      const Cost cost = run(way.words);
      if (cost.seconds < 0) {
        (void)std::fprintf(stderr, "knell-trace-cost: %s: the command failed\n", way.name);
        return 1;
      }
      way.seconds.push_back(cost.seconds);
      way.ratios.push_back(cost.seconds / ways[0].seconds.back());
      way.cpu.push_back(cost.cpu);
      way.cpu_ratios.push_back(cost.cpu / ways[0].cpu.back());
    }
  }
  for (const Way& way : ways)
    fmt::print("{:<24} {:8.3f} s  x{:<6.2f} CPU {:8.3f} s  x{:.2f}\n", way.name,
               median(way.seconds), median(way.ratios), median(way.cpu), median(way.cpu_ratios));
  return 0;
}

}  // namespace
}  // namespace knell::bench

int main(int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  int rounds = 5;
  if (words.size() > 2 && words[0] == "-r") {
    rounds = std::max(1, std::atoi(words[1].c_str()));
    words.erase(words.begin(), words.begin() + 2);
  }
  if (words.empty()) {
    (void)std::fprintf(stderr, "usage: knell-trace-cost [-r ROUNDS] CMD ARG...\n");
    return 2;
  }
  return knell::bench::compare(words, rounds);
}
