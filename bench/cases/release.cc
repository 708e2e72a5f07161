// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One victim: it takes a lock and memory, a waiter in another process blocks on the lock, the
// victim is killed. Waiter and handler stamp what they see into shared memory, each on the
// listeners' cores; the victim dies on the storm's. The waiter stays until both have stamped, since
// its own end would be in the handler's way.
#include "bench/cases/release.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <knell/knell.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <memory>
#include <string>

#include "base/pidfd.h"
#include "bench/frame/hearing.h"
#include "bench/frame/shared_memory.h"
#include "bench/frame/statistics.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kPatienceNs = 10'000 * kMillisecond;
constexpr uint64_t kSettleNs = 5 * kMillisecond;  // for the waiter to block in its lock

constexpr Metric kEarliest{.name = "min_us", .title = "min us", .decimals = 1, .is_pooled = true};
constexpr Metric kP50{.name = "p50_us", .title = "p50 us", .decimals = 1};
constexpr Metric kP90{.name = "p90_us", .title = "p90 us", .decimals = 1};
constexpr Metric kMost{.name = "max_us", .title = "max us", .decimals = 1, .is_pooled = true};
constexpr Metric kEarly{.name = "early", .title = "too early", .is_sum = true};
constexpr Metric kUnheard{.name = "lost", .title = "lost", .is_sum = true};
constexpr Metric kDying{.name = "kill_to_free_us", .title = "SIGKILL to free us", .decimals = 1};

struct Stamps {
  std::atomic<int32_t> victim = 0;
  std::atomic<uint64_t> free_ns = 0, told_ns = 0;

  void tell(int32_t pid) {
    if (pid == victim.load(std::memory_order_acquire)) told_ns = now_ns();
  }
};

struct Pipe {
  UniqueFd reader, writer;
  static Outcome<Pipe> create() {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
      return std::unexpected(errno_error("make a pipe").error());
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
  }
};

// A child that the end of ours ends as well; it does not return.
template <class Body>
Outcome<pid_t> start_child(Body body) {
  const pid_t pid = ::fork();
  if (pid < 0) return std::unexpected(errno_error("make a process").error());
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::setpgid(0, 0);
    body();
    ::_exit(kFailed);
  }
  return pid;
}

void end_child(pid_t pid) {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void say_ready(int pipe) { (void)!::write(pipe, "", 1); }

void sleep_for_ever() {
  for (;;) ::pause();
}

// An open file of its own: locks belong to these, and a forked one would be shared.
int reopen(int file) {
  return ::open(fmt::format("/proc/self/fd/{}", file).c_str(), O_RDWR | O_CLOEXEC);
}

void be_victim(int file, uint64_t bytes, int ready) {
  const int lock = reopen(file);
  if (lock < 0 || ::flock(lock, LOCK_EX) != 0) return;
  if (bytes != 0 && ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0) == MAP_FAILED)
    return;
  say_ready(ready);
  sleep_for_ever();
}

// Ahead of whoever else wakes up on that core, the listener too: it is to see when the lock is
// free, not when it is its turn.
void go_first() {
  const sched_param first{.sched_priority = 1};
  (void)::sched_setscheduler(0, SCHED_FIFO, &first);
}

void be_waiter(int file, Stamps& stamps, int ready) {
  const int lock = reopen(file);
  if (lock < 0) return;
  say_ready(ready);
  if (::flock(lock, LOCK_EX) == 0) stamps.free_ns = now_ns();
  sleep_for_ever();
}

bool await_ready(int pipe) {
  pollfd wait{.fd = pipe, .events = POLLIN, .revents = 0};
  char byte = 0;
  return ::poll(&wait, 1, static_cast<int>(kPatienceNs / kMillisecond)) == 1 &&
         ::read(pipe, &byte, 1) == 1;
}

// What people do today who must know that one process is gone: a pidfd for it. The pids come
// through a pipe.
int wait_with_pidfd(Board& board, int stop_fd, int pids, Stamps& stamps) {
  board.ready = 1;
  UniqueFd victim;
  int32_t pid = 0;
  for (;;) {
    std::array<pollfd, 3> wait{pollfd{.fd = stop_fd, .events = POLLIN, .revents = 0},
                               pollfd{.fd = pids, .events = POLLIN, .revents = 0},
                               pollfd{.fd = victim.get(), .events = POLLIN, .revents = 0}};
    if (::poll(wait.data(), wait.size(), -1) < 0) continue;
    if (wait[0].revents != 0) return 0;
    if (wait[2].revents != 0) {
      stamps.tell(pid);
      victim.reset();
    }
    if ((wait[1].revents & POLLIN) == 0) continue;
    if (::read(pids, &pid, sizeof pid) != sizeof pid) return EIO;
    if (auto opened = pidfd_open(pid)) victim = std::move(*opened);
  }
}

struct Sample {
  double told_us, dying_us;  // from the lock found free; from SIGKILL until then
};

std::string part_of(uint64_t bytes) {
  return fmt::format("release of a victim that holds {} MiB: from its lock free to the handler",
                     bytes >> 20);
}

struct Candidate {
  std::unique_ptr<Contender> contender;
  bool wants_pids = false;
  bool out = false;
  std::vector<std::vector<double>> pools{};  // of each amount of memory: all rounds' samples
};

class Release {
 public:
  Release(Run& run, const ReleaseOptions& options, Pipe pids)
      : run_(run), options_(options), pids_(std::move(pids)) {}

  Outcome<void> measure();

 private:
  void add_candidates();
  Outcome<void> take_turn(Candidate& candidate, size_t hold);
  Outcome<std::optional<Sample>> kill_one(const Candidate& candidate, uint64_t bytes);
  Outcome<std::optional<Sample>> kill_it(const Candidate& candidate, pid_t victim);

  Run& run_;
  const ReleaseOptions& options_;
  Pipe pids_;
  SharedMemory<Stamps> stamps_;
  std::vector<Candidate> candidates_;
};

void Release::add_candidates() {
  Stamps* stamps = &*stamps_;
  const auto handler = [stamps](Board&, const Heard& heard) {
    if (heard.type == KNELL_EVENT_EXIT) stamps->tell(heard.pid);
  };
  candidates_.push_back(
      {make_hearing("naive client", NaiveOptions{.events = KNELL_EVENT_EXIT}, handler)});
  candidates_.push_back({.contender = std::make_unique<InProcess>(
                             "a pidfd of its own", 0,
                             [stamps, pids = pids_.reader.get()](Board& board, int stop_fd) {
                               return wait_with_pidfd(board, stop_fd, pids, *stamps);
                             }),
                         .wants_pids = true});
  for (const char* via : {"connector", "bpf"}) {
    if (why_no_source(via)) continue;
    const LibraryOptions options{
        .events = KNELL_EVENT_EXIT, .details = KNELL_DETAILS_STATUS, .via = via};
    candidates_.push_back({make_hearing(fmt::format("knell {}", via), options, handler)});
  }
}

Outcome<std::optional<Sample>> Release::kill_it(const Candidate& candidate, pid_t victim) {
  stamps_->free_ns = stamps_->told_ns = 0;
  stamps_->victim = victim;
  if (candidate.wants_pids) (void)!::write(pids_.writer.get(), &victim, sizeof victim);
  rest(kSettleNs + run_.random() % kSettleNs);
  const uint64_t killed_ns = now_ns();
  end_child(victim);
  for (const uint64_t end = killed_ns + kPatienceNs;
       (stamps_->told_ns == 0 || stamps_->free_ns == 0) && now_ns() < end && !interrupted();)
    rest(kMillisecond);
  const uint64_t free_ns = stamps_->free_ns;
  const uint64_t told_ns = stamps_->told_ns;
  if (free_ns == 0 && !interrupted()) return fail(kFailed, "a victim's lock was not given back");
  if (told_ns == 0) return std::nullopt;
  return Sample{static_cast<double>(static_cast<int64_t>(told_ns - free_ns)) / 1000,
                static_cast<double>(static_cast<int64_t>(free_ns - killed_ns)) / 1000};
}

Outcome<std::optional<Sample>> Release::kill_one(const Candidate& candidate, uint64_t bytes) {
  const UniqueFd file(::memfd_create("lock", MFD_CLOEXEC));
  if (!file) return std::unexpected(errno_error("make a file in memory").error());
  KNELL_ASSIGN(const Pipe ready, Pipe::create());
  KNELL_ASSIGN(const pid_t victim,
               start_child([&] { be_victim(file.get(), bytes, ready.writer.get()); }));
  if (!await_ready(ready.reader.get())) {
    end_child(victim);
    return fail(kCannotMeasure, "a victim that holds {} MiB cannot be made", bytes >> 20);
  }
  const auto waiter = start_child([&] {
    pin(run_.cores.listeners);
    go_first();
    be_waiter(file.get(), *stamps_, ready.writer.get());
  });
  if (!waiter || !await_ready(ready.reader.get())) {
    end_child(victim);
    return fail(kFailed, "nobody can wait for the lock");
  }
  auto sample = kill_it(candidate, victim);
  end_child(*waiter);
  return sample;
}

Outcome<void> Release::take_turn(Candidate& candidate, size_t hold) {
  const uint64_t bytes = options_.hold_bytes[hold];
  Contender& contender = *candidate.contender;
  KNELL_TRY(contender.start(run_.cores));
  rest(kPauseNs);
  std::vector<double> told, dying;
  double unheard = 0;
  for (size_t i = 0; i < options_.victims && !interrupted(); ++i) {
    KNELL_ASSIGN(const auto sample, kill_one(candidate, bytes));
    if (!sample) {
      unheard += 1;
      continue;
    }
    told.push_back(sample->told_us);
    dying.push_back(sample->dying_us);
  }
  contender.stop();
  if (interrupted()) return {};
  const auto add = [&](const Metric& metric, double value) {
    run_.report.add(part_of(bytes), contender.name(), metric, value);
  };
  if (!told.empty()) {
    std::vector<double>& pool = candidate.pools[hold];
    pool.insert(pool.end(), told.begin(), told.end());
    add(kEarliest, std::ranges::min(pool));
    add(kP50, median(told));
    add(kP90, quantile(told, 0.9));
    add(kMost, std::ranges::max(pool));
    add(kDying, median(dying));
  }
  add(kEarly, static_cast<double>(std::ranges::count_if(told, [](double us) { return us < 0; })));
  add(kUnheard, unheard);
  return {};
}

Outcome<void> Release::measure() {
  add_candidates();
  for (Candidate& candidate : candidates_) candidate.pools.resize(options_.hold_bytes.size());
  for (const uint64_t bytes : options_.hold_bytes) {
    for (const Candidate& candidate : candidates_)
      run_.report.expect(part_of(bytes), candidate.contender->name());
  }
  run_.progress.begin(run_.rounds * options_.hold_bytes.size() * candidates_.size());
  for (size_t round = 0; round < run_.rounds && !interrupted(); ++round) {
    for (size_t hold = 0; hold < options_.hold_bytes.size(); ++hold) {
      for (const size_t i : run_.shuffled(candidates_.size())) {
        if (interrupted() || candidates_[i].out) continue;
        run_.progress.show(fmt::format("release: {}", candidates_[i].contender->name()));
        const auto done = take_turn(candidates_[i], hold);
        if (!done) {
          candidates_[i].contender->stop();
          candidates_[i].out = true;
          run_.report.absent(candidates_[i].contender->name(), done.error().line);
        }
        run_.progress.step();
      }
    }
  }
  run_.progress.clear();
  return {};
}

}  // namespace

Outcome<void> check_release(const ReleaseOptions& options) {
  struct sysinfo machine{};
  if (::sysinfo(&machine) != 0) return std::unexpected(errno_error("look at the memory").error());
  const uint64_t spare = uint64_t{machine.freeram} * machine.mem_unit / 2;
  for (const uint64_t bytes : options.hold_bytes) {
    if (bytes > spare)
      return fail(kUsage, "--hold: a victim of {} MiB is too much here; up to {} MiB", bytes >> 20,
                  spare >> 20);
  }
  return {};
}

Outcome<void> measure_release(Run& run, const ReleaseOptions& options) {
  KNELL_ASSIGN(Pipe pids, Pipe::create());
  return Release(run, options, std::move(pids)).measure();
}

}  // namespace knell::bench
