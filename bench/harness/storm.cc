// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/harness/storm.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <random>

#include "base/unique_fd.h"
#include "bench/harness/machine.h"

namespace knell::bench {
namespace {

constexpr int kCannotExecute = 127;

// A function of its own: a vfork child must not overwrite registers that the caller still needs.
[[gnu::noinline]] pid_t create(StormKind kind, const char* program, char* const* words,
                               int status) {
  const pid_t pid = kind == StormKind::kFork ? ::fork() : ::vfork();  // NOLINT: it is measured
  if (pid != 0) return pid;
  if (kind == StormKind::kExec) {
    ::execve(program, words, environ);
    ::_exit(kCannotExecute);
  }
  ::_exit(status);
}

// Creates a process that exits with `status`, and reaps it.
Result<ExitedProcess> run_one(StormKind kind, const std::string& program, int status) {
  static char name[] = "true", word[] = "of knell-bench", failing[] = "failing";
  char* const zero[] = {name, word, nullptr};
  char* const one[] = {name, word, failing, nullptr};  // tiny.c exits with argc - 2
  const pid_t pid = create(kind, program.c_str(), status == 0 ? zero : one, status);
  int wait_status = 0;
  while (pid > 0 && ::waitpid(pid, &wait_status, 0) != pid && errno == EINTR) {
  }
  if (pid < 0) return errno_error("create a process");
  if (wait_status == kCannotExecute << 8) return refuse(ENOEXEC, "cannot execute {}", program);
  return ExitedProcess{pid, WEXITSTATUS(wait_status)};
}

// harness/tiny.c as a file in memory, so that the measurement does not depend on a disk. A file
// that is open for writing cannot be executed, so a second descriptor is opened.
Result<std::string> tiny_program() {
#ifdef KNELL_BENCH_TINY
  static UniqueFd image;
  if (!image) {
    const UniqueFd file(::open(KNELL_BENCH_TINY, O_RDONLY | O_CLOEXEC));
    const UniqueFd copy(::memfd_create("true", MFD_CLOEXEC));
    if (!file || !copy || ::sendfile(copy.get(), file.get(), nullptr, 1 << 20) <= 0)
      return errno_error("copy " KNELL_BENCH_TINY " into memory");
    image.reset(::open(fmt::format("/proc/self/fd/{}", copy.get()).c_str(), O_RDONLY | O_CLOEXEC));
    if (!image) return errno_error("open the program in memory");
  }
  return fmt::format("/proc/self/fd/{}", image.get());
#else
  return std::string("/bin/true");
#endif
}

class Schedule {
 public:
  Schedule(const StormOptions& options, uint64_t begin_ns)
      : period_ns_(options.per_second > 0 ? static_cast<uint64_t>(1e9 / options.per_second) : 0),
        shift_(-options.jitter, options.jitter),
        due_ns_(begin_ns) {
    (void)::prctl(PR_SET_TIMERSLACK, 1UL);
  }

  // Waits until the next process is due. Returns whether it is late.
  bool wait() {
    if (period_ns_ == 0) return false;
    due_ns_ += period_ns_;
    const auto shift = static_cast<int64_t>(shift_(random_) * static_cast<double>(period_ns_));
    const uint64_t start_ns = due_ns_ + static_cast<uint64_t>(shift);
    if (period_ns_ >= kSpinBelowNs) sleep_until(start_ns);
    while (now_ns() < start_ns && !interrupted()) {
    }
    return now_ns() > start_ns + std::max(period_ns_, kMillisecondNs);
  }

 private:
  // Waking up takes tens of microseconds, so shorter periods are spent spinning.
  static constexpr uint64_t kSpinBelowNs = 200'000;
  uint64_t period_ns_;
  std::uniform_real_distribution<double> shift_;
  std::minstd_rand random_{std::random_device{}()};
  uint64_t due_ns_;
};

}  // namespace

Result<StormResult> run_storm(const StormOptions& options) {
  StormResult result;
  result.execs = options.kind == StormKind::kExec;
  std::string program = options.program;
  if (result.execs && program.empty()) {
    KNELL_ASSIGN(program, tiny_program());
  }
  result.processes.reserve(options.count);
  result.begin_ns = now_ns();
  Schedule schedule(options, result.begin_ns);
  for (size_t i = 1; i <= options.count && !interrupted(); ++i) {
    if (schedule.wait()) ++result.late;
    const bool fails = options.failing_one_in != 0 && i % options.failing_one_in == 0;
    KNELL_ASSIGN(const ExitedProcess exited, run_one(options.kind, program, fails ? 1 : 0));
    result.processes.push_back(exited);
  }
  result.end_ns = now_ns();
  KNELL_ASSIGN(const ExitedProcess marker, run_one(StormKind::kVfork, "", kMarkerStatus));
  result.marker = marker.pid;
  return result;
}

}  // namespace knell::bench
