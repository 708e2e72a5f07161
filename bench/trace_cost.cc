// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-trace-cost [-r ROUNDS] CMD ARG...: how much longer CMD takes below the tracer of the ptrace
// source and below strace than alone. In each round it runs once in each way, so that changes of
// the machine's speed concern all of them; printed are medians, and ratios to the run alone of the
// same round; also of the CPU time of the command and its tracer, which other load does not change
// much. For example:
//
//   knell-trace-cost make -s -j2 -C SOURCE clean all
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "source/ptrace/tracer.h"

namespace knell::bench {
namespace {

using Clock = std::chrono::steady_clock;
using Words = std::vector<std::string>;

struct Cost {
  double seconds = -1;  // negative: the command failed
  double cpu = 0;       // seconds, of the command and of what traces it
};

struct Way {
  const char* name;
  std::function<Cost()> run;
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

// A child that executes the program when `go` gets a byte.
pid_t start(const Words& words, int go) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  char byte;
  const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(null, STDOUT_FILENO);
  if (::read(go, &byte, 1) == 1) ::execvp(argv[0], argv.data());
  ::_exit(127);
}

uint64_t events = 0, lost = 0;

// Reads events as they come, as `knell run` does, until the tracer has ended.
void read_all(source::Tracer& tracer) {
  while (tracer.ended() == source::Tracer::End::kNot) {
    pollfd waiting{.fd = tracer.fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&waiting, 1, -1);
    while (const auto event = tracer.next()) {
      events++;
      if (event->type == source::TracedFacts::Type::kLost) lost++;
    }
  }
}

Cost run(const Words& words, bool traced) {
  int gate[2];
  if (::pipe2(gate, O_CLOEXEC) != 0) return {};
  const double cpu_before = cpu_of_children();
  const pid_t pid = start(words, gate[0]);
  std::unique_ptr<source::Tracer> tracer;
  const auto from = Clock::now();
  if (traced) {
    auto made = source::Tracer::create(pid, {});
    if (!made) {
      (void)std::fprintf(stderr, "knell-trace-cost: %s\n", made.error().message().c_str());
      ::close(gate[1]);
      ::waitpid(pid, nullptr, 0);
      return {};
    }
    tracer = *std::move(made);
  }
  (void)!::write(gate[1], "", 1);
  if (tracer) read_all(*tracer);
  int status = 0;
  ::waitpid(pid, &status, 0);
  const std::chrono::duration<double> time = Clock::now() - from;
  ::close(gate[0]);
  ::close(gate[1]);
  tracer.reset();
  if (status != 0) return {};
  return {.seconds = time.count(), .cpu = cpu_of_children() - cpu_before};
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int compare(const Words& words, int rounds) {
  Words strace{"strace", "-f", "-qq", "-e", "trace=none", "-e", "signal=none", "-o", "/dev/null"};
  strace.insert(strace.end(), words.begin(), words.end());
  std::vector<Way> ways{{"alone", [&] { return run(words, false); }},
                        {"tracer", [&] { return run(words, true); }},
                        {"strace -f -e trace=none", [&] { return run(strace, false); }}};
  for (int round = 0; round < rounds; round++) {
    for (Way& way : ways) {
      const Cost cost = way.run();
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
  fmt::print("{} events of the tracer in {} rounds, {} reports of loss\n", events, rounds, lost);
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
