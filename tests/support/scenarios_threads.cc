// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Threads exit here by SYS_exit, which pthread_exit calls as well: pthread_exit would unwind the
// stack of the forked child up into the test framework. victims/leader_leaves uses pthread_exit, as
// programs do.
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <string>
#include <thread>

#include "base/result.h"
#include "support/scenarios.h"

namespace knell::test::scenario {

namespace {

[[noreturn]] void leave_thread(int code) {
  ::syscall(SYS_exit, code);
  std::abort();
}

template <class Body>
void start(Body body) {
  std::thread(body).detach();
}

[[noreturn]] void wait_for_ever() {
  for (;;) ::pause();
}

// Runs this process and its threads on one processor. On a kernel without preemption (and on one
// with a single processor) a thread that another thread sees as dead has then sent all its events,
// so the order is certain.
void settle_on_one_processor() {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(static_cast<size_t>(::sched_getcpu()), &one);
  KNELL_CHECK(::sched_setaffinity(0, sizeof one, &one) == 0);
}

// The state letter of a thread of this process; 0 when it is gone.
char state_of(pid_t tid) {
  const std::string path = "/proc/self/task/" + std::to_string(tid) + "/stat";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  char bytes[256];
  const ssize_t size = ::read(file.get(), bytes, sizeof bytes);
  if (size <= 0) return 0;
  const std::string text(bytes, static_cast<size_t>(size));
  const size_t end_of_name = text.rfind(')');
  return end_of_name + 2 < text.size() ? text[end_of_name + 2] : '\0';
}

// The leader stays a zombie until the process has ended; another thread disappears.
void wait_for_end_of(pid_t tid) {
  for (;;) {
    const char state = state_of(tid);
    if (state == 0 || state == 'Z' || state == 'X') return;
    ::sched_yield();
  }
}

// A child that runs `body`; its exit comes from whichever thread was the last.
void play(std::vector<Fate>& fates, const std::function<int()>& body) {
  const pid_t pid = fork_running(body);
  fates.push_back({.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = reap(pid)});
}

// The leader exits with `leader_code`; then a worker runs `last`.
template <class Last>
void leader_first(std::vector<Fate>& fates, int leader_code, Last last) {
  play(fates, [=]() -> int {
    settle_on_one_processor();
    const pid_t leader = ::gettid();
    start([=] {
      wait_for_end_of(leader);
      last();
    });
    leave_thread(leader_code);
  });
}

// A worker exits with `worker_code`; then the leader runs `last`.
template <class Last>
void worker_first(std::vector<Fate>& fates, int worker_code, Last last) {
  play(fates, [=]() -> int {
    settle_on_one_processor();
    std::atomic<pid_t> worker = 0;
    start([&] {
      worker = ::gettid();
      leave_thread(worker_code);
    });
    while (worker == 0) ::sched_yield();
    wait_for_end_of(worker);
    last();
    std::abort();
  });
}

// Workers that wait for ever; all have started when this returns. The count outlives the call:
// threads still access it.
void start_workers(int count) {
  static std::atomic<int> started;
  started = 0;
  for (int i = 0; i < count; i++) {
    start([] {
      started++;
      wait_for_ever();
    });
  }
  while (started < count) ::sched_yield();
}

int exec_exit_with(int code) {
  std::string path = victim("exit_with"), number = std::to_string(code);
  char* argv[] = {path.data(), number.data(), nullptr};
  ::execv(path.c_str(), argv);
  return 127;
}

void prepare_for_core(const std::string& directory, CoreFile core_file) {
  KNELL_CHECK(::chdir(directory.c_str()) == 0);
  rlimit limit{};
  KNELL_CHECK(::getrlimit(RLIMIT_CORE, &limit) == 0);
  limit.rlim_cur = core_file == CoreFile::kYes ? limit.rlim_max : 0;
  KNELL_CHECK(::setrlimit(RLIMIT_CORE, &limit) == 0);
  ::signal(SIGABRT, SIG_DFL);
}

}  // namespace

void threads_come_and_go(std::vector<Fate>& fates) {
  for (const int code : {0, 16}) {
    play(fates, [=] {
      for (int i = 0; i < 10; i++) std::thread([] {}).join();
      return code;
    });
  }
}

void worker_exits_process(std::vector<Fate>& fates) {
  play(fates, []() -> int {
    start([] { ::_exit(7); });
    wait_for_ever();
  });
}

void main_exits_with_workers_alive(std::vector<Fate>& fates) {
  play(fates, [] {
    start_workers(3);
    return 5;
  });
}

void leader_leaves_first(std::vector<Fate>& fates) {
  leader_first(fates, 0, [] { ::_exit(7); });
}

void leader_leaves_first_by_pthread_exit(std::vector<Fate>& fates) {
  play(fates, [] {
    std::string path = victim("leader_leaves"), code = "7";
    char* argv[] = {path.data(), code.data(), nullptr};
    ::execv(path.c_str(), argv);
    return 127;
  });
  fates.back().execs = 1;
}

void leader_leaves_first_then_all_is_well(std::vector<Fate>& fates) {
  leader_first(fates, 0, [] { ::_exit(0); });
}

void leader_leaves_with_four_worker_exits_nine(std::vector<Fate>& fates) {
  leader_first(fates, 4, [] { ::_exit(9); });
  fates.back().also = 4 << 8;
}

void both_leave_leader_first(std::vector<Fate>& fates) {
  leader_first(fates, 4, [] { leave_thread(3); });
  fates.back().also = 4 << 8;
}

void both_leave_worker_first(std::vector<Fate>& fates) {
  worker_first(fates, 3, [] { leave_thread(4); });
  fates.back().also = 3 << 8;
}

void both_leave_together(std::vector<Fate>& fates) {
  play(fates, []() -> int {
    static std::atomic<int> there;
    there = 0;
    const auto meet_and_leave = [](int code) {
      there++;
      while (there < 2) {
      }
      leave_thread(code);
    };
    start([=] { meet_and_leave(3); });
    meet_and_leave(4);
    return 1;
  });
}

void worker_leaves_with_five_process_exits_zero(std::vector<Fate>& fates) {
  worker_first(fates, 5, [] { ::_exit(0); });
  fates.back().also = 5 << 8;
}

void leader_leaves_with_five_worker_exits_zero(std::vector<Fate>& fates) {
  leader_first(fates, 5, [] { ::_exit(0); });
  fates.back().also = 5 << 8;
}

void sigkill_of_fifty_threads(std::vector<Fate>& fates) {
  Pipe ready = make_pipe();
  const pid_t pid = fork_running([&]() -> int {
    start_workers(49);
    if (::write(ready.write.get(), "", 1) != 1) return 1;
    wait_for_ever();
  });
  char byte;
  KNELL_CHECK(::read(ready.read.get(), &byte, 1) == 1);
  KNELL_CHECK(::kill(pid, SIGKILL) == 0);
  fates.push_back({.pid = pid, .parent = ::getpid(), .born_of = ::getpid(), .status = reap(pid)});
}

Scenario exec_from_a_worker(int exit_code) {
  return [=](std::vector<Fate>& fates) {
    play(fates, [=]() -> int {
      start_workers(3);
      start([=] { ::_exit(exec_exit_with(exit_code)); });
      wait_for_ever();
    });
    fates.back().execs = 1;
  };
}

Scenario exec_from_the_leader_of_many(int exit_code) {
  return [=](std::vector<Fate>& fates) {
    play(fates, [=]() -> int {
      start_workers(3);
      return exec_exit_with(exit_code);
    });
    fates.back().execs = 1;
  };
}

Scenario core_in_a_worker(const std::string& directory, CoreFile core_file) {
  return [=](std::vector<Fate>& fates) {
    play(fates, [=]() -> int {
      prepare_for_core(directory, core_file);
      start_workers(3);
      start([] { std::abort(); });
      wait_for_ever();
    });
    fates.back().cores = 1;
  };
}

Scenario core_in_the_leader(const std::string& directory, CoreFile core_file) {
  return [=](std::vector<Fate>& fates) {
    play(fates, [=]() -> int {
      prepare_for_core(directory, core_file);
      std::abort();
    });
    fates.back().cores = 1;
  };
}

}  // namespace knell::test::scenario
