// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-journal-cost FILE [EVENTS [HOURS [CMD ARG...]]]: what the journal costs. Writes EVENTS (a
// million) exits of the last HOURS (24) of an imaginary machine into the new journal FILE: with
// Store alone, in transactions of 1000, and prints events a second, CPU time and bytes an event.
// Then reads the failures of the last hour: with Reader alone, and, where CMD is given, by running
// CMD five times, best time. For example:
//
//   knell-journal-cost /tmp/j.db 1000000 24 build/bin/knell history --journal /tmp/j.db --since 1h
//     -e nonzero-exit --by comm
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "filter/rule.h"
#include "journal/reader.h"
#include "journal/recorder.h"
#include "journal/store.h"

namespace knell::bench {
namespace {

using namespace std::string_view_literals;
using Clock = std::chrono::steady_clock;

constexpr int64_t kHourNs = int64_t{3600} * 1'000'000'000;

struct Program {
  std::string_view comm, exe, args, cgroup, unit;
  bool changing;  // its arguments have a number that is never the same
};
// NOLINTBEGIN(bugprone-string-literal-with-embedded-nul): arguments end with one
constexpr Program kPrograms[] = {
    {"grep", "/usr/bin/grep", "grep\0-q\0nosuch\0/etc/passwd\0"sv, "/system.slice/cron.service",
     "cron.service", false},
    {"postgres", "/usr/lib/postgresql/15/bin/postgres", "postgres: app orders 10.1.2.3 UPDATE\0"sv,
     "/system.slice/postgresql@15-main.service", "postgresql@15-main.service", true},
    {"php-fpm8.2", "/usr/sbin/php-fpm8.2", "php-fpm: pool www\0"sv,
     "/system.slice/php8.2-fpm.service", "php8.2-fpm.service", false},
    {"cc1", "/usr/lib/gcc/x86_64-linux-gnu/12/cc1",
     "/usr/lib/gcc/x86_64-linux-gnu/12/cc1\0-quiet\0parser.c\0-O2\0-Wall\0-o\0/tmp/cc.s\0"sv,
     "/user.slice/user-1000.slice/session-3.scope", "session-3.scope", true},
    {"sh", "/usr/bin/dash", "sh\0-c\0run-parts /etc/cron.hourly\0"sv, "/system.slice/cron.service",
     "cron.service", false},
};
// NOLINTEND(bugprone-string-literal-with-embedded-nul)

knell_string bytes(std::string_view text) { return {text.data(), text.size()}; }

// Exits in the order of their times, one in ten with a status other than 0.
class Machine {
 public:
  Machine(int64_t count, int64_t span_ns)
      : span_ns_(span_ns),
        step_ns_(span_ns / count),
        mono_ns_(static_cast<uint64_t>(span_ns + kHourNs)),  // as long ago was the boot
        epoch_ns_(system_clock().realtime_ns() - static_cast<int64_t>(mono_ns_)) {}

  const knell_event& next() {
    const Program& program = kPrograms[random_() % std::size(kPrograms)];
    const auto i = static_cast<uint64_t>(at_++);
    event_ = {};
    event_.size = sizeof event_;
    event_.type = KNELL_EVENT_EXIT;
    event_.has =
        KNELL_HAS_STATUS | KNELL_HAS_UID | KNELL_HAS_GID | KNELL_HAS_PPID | KNELL_HAS_DURATION;
    event_.via = KNELL_VIA_BPF;
    event_.time_ns = epoch_ns_ + static_cast<int64_t>(mono_ns_) - span_ns_ +
                     static_cast<int64_t>(i) * step_ns_ + static_cast<int64_t>(random_() % 1000);
    event_.mono_ns = static_cast<uint64_t>(event_.time_ns - epoch_ns_);
    event_.pid = event_.tid = static_cast<int32_t>(1000 + i % 4'000'000);
    event_.ppid = 900 + static_cast<int32_t>(random_() % 50);
    event_.id = {.boot = 0x6fa276d3,
                 .pid = event_.pid,
                 .start = event_.mono_ns / 10'000'000,
                 .kind = KNELL_ID_START};
    event_.parent_id = {
        .boot = 0x6fa276d3, .pid = event_.ppid, .start = 77, .kind = KNELL_ID_START};
    event_.uid = event_.gid = program.unit.starts_with("session") ? 1000 : 33;
    event_.wait_status = i % 10 == 0 ? 0x100 : 0;
    event_.duration_ns = 1'000'000 + random_() % 100'000'000;
    args_ = program.args;
    if (program.changing) args_ += std::to_string(random_() % 1'000'000'000) + '\0';
    event_.comm = bytes(program.comm);
    event_.parent_comm = bytes("backup.sh");
    event_.exe = bytes(program.exe);
    event_.args = bytes(args_);
    event_.cwd = bytes("/var/lib/app");
    event_.cgroup = bytes(program.cgroup);
    event_.unit = bytes(program.unit);
    return event_;
  }

 private:
  int64_t at_ = 0, span_ns_, step_ns_;
  uint64_t mono_ns_;
  int64_t epoch_ns_;
  std::mt19937_64 random_{7};
  std::string args_;
  knell_event event_{};
};

double cpu_seconds() {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

class Stopwatch {
 public:
  double seconds() const { return std::chrono::duration<double>(Clock::now() - from_).count(); }
  double cpu() const { return cpu_seconds() - cpu_; }

 private:
  Clock::time_point from_ = Clock::now();
  double cpu_ = cpu_seconds();
};

Result<void> write_journal(const std::string& path, int64_t count, int64_t span_ns) {
  Machine machine(count, span_ns);
  {
    const Stopwatch making;
    for (int64_t i = 0; i < count; ++i) (void)machine.next();
    fmt::print("making {} events: CPU {:.2f} s, part of what follows\n", count, making.cpu());
  }
  machine = Machine(count, span_ns);
  KNELL_ASSIGN(auto store, journal::Store::open({.path = path, .most_bytes = 0}));
  const Stopwatch writing;
  for (int64_t i = 1; i <= count; ++i) {
    KNELL_TRY(store.append(machine.next()));
    if (i % 1000 == 0) KNELL_TRY(store.commit());
  }
  KNELL_TRY(store.commit());
  const auto n = static_cast<double>(count);
  fmt::print("write: {:.0f} events/s, {:.0f} events/s of CPU, {:.1f} bytes an event\n",
             n / writing.seconds(), n / writing.cpu(), static_cast<double>(store.bytes()) / n);
  return {};
}

class Failures final : public journal::EventFilter {
 public:
  bool may_want(const journal::Record& record) override {
    return filter::passes(filter::Rule::kReleased, KNELL_EVENT_NONZERO_EXIT, record.type,
                          record.nonzero ? 1 : 0);
  }
  bool wants(knell_event&) override { return true; }
};

Result<void> read_journal(const std::string& path) {
  const Stopwatch reading;
  KNELL_ASSIGN(auto reader, journal::Reader::open(path));
  KNELL_TRY(reader.set_window(system_clock().realtime_ns() - kHourNs, INT64_MAX));
  Failures failures;
  std::vector<knell_event> events(256);
  size_t count = 0;
  for (bool end = false; !end;) {
    KNELL_ASSIGN(const auto read, reader.read(events, failures));
    count += read.count;
    end = read.end;
  }
  fmt::print("read: {} failures of the last hour in {:.1f} ms, CPU {:.1f} ms\n", count,
             reading.seconds() * 1e3, reading.cpu() * 1e3);
  return {};
}

int run_command(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  double best = 1e9;
  int status = 0;
  for (int i = 0; i < 5; ++i) {
    const Stopwatch running;
    pid_t pid = 0;
    if (::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) return 1;
    ::waitpid(pid, &status, 0);
    best = std::min(best, running.seconds());
  }
  fmt::print("command: {:.1f} ms, the best of five{}\n", best * 1e3,
             status == 0 ? "" : "; it failed");
  return status == 0 ? 0 : 1;
}

}  // namespace
}  // namespace knell::bench

int main(int argc, char** argv) {
  using namespace knell::bench;
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words[0].starts_with("-")) {
    (void)std::fprintf(stderr, "usage: knell-journal-cost FILE [EVENTS [HOURS [CMD ARG...]]]\n");
    return 2;
  }
  const int64_t count = words.size() > 1 ? std::atoll(words[1].c_str()) : 1'000'000;
  const int64_t hours = words.size() > 2 ? std::atoll(words[2].c_str()) : 24;
  auto done =
      write_journal(words[0], std::max<int64_t>(count, 1), std::max<int64_t>(hours, 1) * kHourNs);
  if (done) done = read_journal(words[0]);
  if (!done) {
    (void)std::fprintf(stderr, "knell-journal-cost: %s\n", done.error().message().c_str());
    return 1;
  }
  return words.size() > 3 ? run_command({words.begin() + 3, words.end()}) : 0;
}
