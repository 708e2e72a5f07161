// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-postgres-watcher WAY POSTMASTER: detects the end of backends of a PostgreSQL server in one
// of these ways, for bench/postgres_cost, which compares them:
//   scan     reads /proc every 3 s; a backend that is missing has ended, its status is unknown
//   pidfd    a pidfd for each backend; scans /proc for new backends every 100 ms
//   knell    a listener in this process for non-zero exits below the postmaster
//   durable  the same through knelld, as a durable listener that acknowledges each event
// Prints "ready" when the watch has started. When standard input is closed, prints a line `PID
// STAMP SEEN` for each backend that ended. Both times are CLOCK_MONOTONIC in ns: STAMP is the time
// of the kernel's event (0: unknown), SEEN the time when this program detected the end.
#include <dirent.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/pidfd.h"

namespace knell::bench {
namespace {

constexpr int kScanMs = 3000, kLookMs = 100;

struct Death {
  pid_t pid;
  uint64_t stamp_ns, seen_ns;
};
std::vector<Death> deaths;

uint64_t now_ns() { return system_clock().monotonic_ns(); }

bool fail(const char* why) {
  (void)std::fprintf(stderr, "%s\n", why);
  return false;
}

void say_ready() {
  (void)std::puts("ready");
  (void)std::fflush(stdout);
}

// Waits until `fd` (-1: none) is readable or the time has passed. False: standard input has ended.
bool wait_for(int fd, int timeout_ms) {
  pollfd ready[] = {{STDIN_FILENO, POLLIN, 0}, {fd, POLLIN, 0}};
  while (::poll(ready, fd < 0 ? 1 : 2, timeout_ms) < 0) {
  }
  return ready[0].revents == 0;
}

std::vector<pid_t> list_processes(DIR* proc) {
  std::vector<pid_t> pids;
  ::rewinddir(proc);
  while (const dirent* entry = ::readdir(proc)) {
    if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
      pids.push_back(std::atoi(entry->d_name));
  }
  return pids;
}

// The parent in /proc/PID/stat; 0: there is no such process.
pid_t parent_of(int proc, pid_t pid) {
  char text[512];
  const int fd = ::openat(proc, (std::to_string(pid) + "/stat").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  const ssize_t size = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  text[size < 0 ? 0 : size] = '\0';
  const char* const name_end = std::strrchr(text, ')');  // "PID (NAME) STATE PARENT ..."
  return name_end == nullptr || std::strlen(name_end) < 5 ? 0 : std::atoi(name_end + 4);
}

bool scan(pid_t postmaster) {
  DIR* const proc = ::opendir("/proc");
  if (proc == nullptr) return fail("cannot open /proc");
  std::vector<pid_t> before;
  for (bool first = true; first || wait_for(-1, kScanMs); first = false) {
    std::vector<pid_t> alive;
    for (const pid_t pid : list_processes(proc))
      if (parent_of(::dirfd(proc), pid) == postmaster) alive.push_back(pid);
    std::ranges::sort(alive);
    for (const pid_t pid : before)
      if (!std::ranges::binary_search(alive, pid)) deaths.push_back({pid, 0, now_ns()});
    before = std::move(alive);
    if (first) say_ready();
  }
  return true;
}

class PidfdWatcher {
 public:
  explicit PidfdWatcher(pid_t postmaster) : postmaster_(postmaster) {}

  bool run() {
    rlimit files{};
    (void)::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &files);
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    proc_ = ::opendir("/proc");
    if (!epoll_ || proc_ == nullptr) return fail("cannot open /proc");
    look_for_new();
    say_ready();
    uint64_t next = now_ns();
    for (;;) {
      const uint64_t now = now_ns();
      const int left_ms = now >= next ? 0 : static_cast<int>((next - now) / 1'000'000 + 1);
      if (!wait_for(epoll_.get(), left_ms)) return true;
      take_deaths();
      if (now_ns() < next) continue;
      look_for_new();
      next = now_ns() + kLookMs * uint64_t{1'000'000};
    }
  }

 private:
  void look_for_new() {
    std::vector<pid_t> pids = list_processes(proc_);
    std::ranges::sort(pids);
    for (const pid_t pid : pids) {
      if (std::ranges::binary_search(listed_, pid)) continue;
      if (parent_of(::dirfd(proc_), pid) != postmaster_) continue;
      auto fd = try_pidfd_open(pid);
      if (!fd) continue;
      epoll_event wanted{.events = EPOLLIN, .data = {.fd = pid}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd->get(), &wanted) == 0)
        pidfds_.insert_or_assign(pid, *std::move(fd));
    }
    listed_ = std::move(pids);
  }

  void take_deaths() {
    epoll_event ready[64];
    const int count = ::epoll_wait(epoll_.get(), ready, 64, 0);
    for (int i = 0; i < count; ++i) {
      const pid_t pid = ready[i].data.fd;
      (void)exit_info(pidfds_[pid].get());  // its status, where the kernel has it
      deaths.push_back({pid, 0, now_ns()});
      pidfds_.erase(pid);
    }
  }

  pid_t postmaster_;
  UniqueFd epoll_;
  DIR* proc_ = nullptr;
  std::vector<pid_t> listed_;
  std::unordered_map<pid_t, UniqueFd> pidfds_;
};

bool listen(pid_t postmaster, const char* durable) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  options.durable = durable;
  options.via = durable != nullptr ? KNELL_VIA_DAEMON : KNELL_VIA_BPF;
  knell_listener* k = nullptr;
  if (knell_open(&options, &k) != 0) return fail(knell_explain());
  char program[PATH_MAX] = {};
  (void)!::readlink(("/proc/" + std::to_string(postmaster) + "/exe").c_str(), program,
                    sizeof program - 1);
  // A durable listener cannot select processes by `under`, it can only exclude them.
  const int matched = durable != nullptr
                          ? knell_match(k, "exe", program)
                          : knell_match(k, "under", std::to_string(postmaster).c_str());
  if (matched != 0) return fail(knell_explain());
  if (durable != nullptr && knell_ack(k, nullptr) != 0) return fail(knell_explain());
  say_ready();
  do {
    const knell_event* events[64];
    ssize_t count = 0;
    while ((count = knell_read(k, events, 64)) > 0) {
      for (ssize_t i = 0; i < count; ++i) {
        const knell_event& event = *events[i];
        if (event.type == KNELL_EVENT_EXIT) deaths.push_back({event.pid, event.mono_ns, now_ns()});
        if (durable != nullptr) (void)knell_ack(k, &event);
      }
    }
    if (count < 0) return fail(knell_explain());
  } while (wait_for(knell_fd(k), -1));
  knell_close(k);
  return true;
}

bool watch(std::string_view way, pid_t postmaster) {
  if (way == "scan") return scan(postmaster);
  if (way == "pidfd") return PidfdWatcher(postmaster).run();
  if (way == "knell") return listen(postmaster, nullptr);
  if (way == "durable") return listen(postmaster, "postgres-cost");
  return fail("WAY must be scan, pidfd, knell or durable");
}

}  // namespace
}  // namespace knell::bench

int main(int argc, char** argv) {
  using namespace knell::bench;
  if (argc != 3) return fail("knell-postgres-watcher WAY POSTMASTER"), 2;
  if (!watch(argv[1], std::atoi(argv[2]))) return 1;
  for (const Death& death : deaths) {
    std::printf("%d %llu %llu\n", death.pid, static_cast<unsigned long long>(death.stamp_ns),
                static_cast<unsigned long long>(death.seen_ns));
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}
