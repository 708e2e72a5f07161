// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The tracer against the live kernel: as the user that runs the tests, and as an ordinary user
// (nobody), for whom it exists. What the parents of the traced processes see must be what they see
// without a tracer; what the tracer reports must be what the parents see.
#include "source/ptrace/tracer.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "support/held.h"
#include "support/needs.h"
#include "support/scenarios.h"
#include "support/stage.h"
#include "support/ways_to_die.h"

namespace knell::test {
namespace {

using source::Released;
using source::TracedEvent;
using source::TracedFacts;
using source::Tracer;
using Type = TracedFacts::Type;

struct Traced : TracedFacts {
  std::string args, exe, cwd, cgroup;
  std::string text() const {
    constexpr const char* kNames[] = {"fork", "exec", "exit", "released", "lost"};
    std::string words = std::string(kNames[static_cast<int>(type)]) + " of " + std::to_string(pid) +
                        " (" + comm.data() + "), parent " + std::to_string(ppid) + ", child " +
                        std::to_string(child_pid) + ", status " + std::to_string(wait_status) +
                        ", args";
    for (const char c : args) words += c == '\0' ? ' ' : c;
    return words;
  }
};

// A tracer of one process, and the events that it reported so far.
class Watch {
 public:
  explicit Watch(pid_t pid, const Tracer::Options& options = {}) {
    auto tracer = Tracer::create(pid, options);
    EXPECT_TRUE(tracer.has_value()) << tracer.error().message();
    if (tracer) tracer_ = *std::move(tracer);
  }
  bool ok() const { return tracer_ != nullptr; }
  Tracer& tracer() { return *tracer_; }
  void end() { tracer_.reset(); }

  void read() {
    while (const auto event = tracer_->next()) {
      Traced copy{*event, std::string(event->args), std::string(event->exe),
                  std::string(event->cwd), std::string(event->cgroup)};
      seen.push_back(std::move(copy));
    }
  }
  bool read_until(const std::function<bool()>& enough) {
    for (const Deadline deadline; read(), !enough();) {
      if (deadline.passed()) return false;
      pollfd waiting{.fd = tracer_->fd(), .events = POLLIN, .revents = 0};
      (void)::poll(&waiting, 1, deadline.left_ms());
    }
    return true;
  }
  bool read_until_end() {
    return read_until([&] { return tracer_->ended() != Tracer::End::kNot; });
  }
  bool read_until_exit_of(pid_t pid) {
    return read_until([&] { return count(Type::kExit, pid) > 0; });
  }

  std::vector<Traced> of(Type type, pid_t pid) const {
    std::vector<Traced> some;
    std::ranges::copy_if(seen, std::back_inserter(some), [&](const Traced& event) {
      return event.type == type && (type == Type::kFork ? event.child_pid : event.pid) == pid;
    });
    return some;
  }
  size_t count(Type type, pid_t pid) const { return of(type, pid).size(); }
  size_t count(Type type) const {
    return static_cast<size_t>(
        std::ranges::count_if(seen, [&](const Traced& event) { return event.type == type; }));
  }
  std::string text() const {
    std::string all;
    for (const Traced& event : seen) all += event.text() + "\n";
    return all;
  }

  std::vector<Traced> seen;

 private:
  std::unique_ptr<Tracer> tracer_;
};

// ------------------------------------------------------------------------------------------------
// births and ends

struct Named {
  const char* name;
  Scenario scenario;
};
std::vector<Named> scenarios(const std::string& directory) {
  using namespace scenario;
  return {
      {"ends with 0", ends_with(0)},
      {"ends with 255", ends_with(255)},
      {"SIGTERM", killed_by(SIGTERM)},
      {"SIGKILL", killed_by(SIGKILL)},
      {"real-time signal", killed_by(SIGRTMIN + 3)},
      {"vfork", forked_with_vfork},
      {"vfork, exec", vfork_then_exec(3)},
      {"posix_spawn", posix_spawned(4)},
      {"failed exec", failed_exec},
      {"script", script(directory)},
      {"no exit signal", cloned_with_exit_signal(0)},
      {"another exit signal", cloned_with_exit_signal(SIGUSR1)},
      {"CLONE_PARENT", cloned_as_sibling},
      {"reaped by the kernel", reaped_by_the_kernel},
      {"SA_NOCLDWAIT", reaped_by_the_kernel_with_nocldwait},
      {"orphans", orphans},
      {"threads", threads_come_and_go},
      {"worker exits the process", worker_exits_process},
      {"main exits, workers live", main_exits_with_workers_alive},
      {"leader first", leader_leaves_first},
      {"leader first, pthread_exit", leader_leaves_first_by_pthread_exit},
      {"leader first, then 0", leader_leaves_first_then_all_is_well},
      {"leader 4, worker 9", leader_leaves_with_four_worker_exits_nine},
      {"both, leader first", both_leave_leader_first},
      {"both, worker first", both_leave_worker_first},
      {"both together", both_leave_together},
      {"worker 5, process 0", worker_leaves_with_five_process_exits_zero},
      {"leader 5, worker 0", leader_leaves_with_five_worker_exits_zero},
      {"SIGKILL of 50 threads", sigkill_of_fifty_threads},
      {"exec from a worker", exec_from_a_worker(6)},
      {"exec from the leader of many", exec_from_the_leader_of_many(6)},
      {"core in a worker", core_in_a_worker(directory, CoreFile::kYes)},
      {"core in the leader", core_in_the_leader(directory, CoreFile::kYes)},
      {"no core", core_in_the_leader(directory, CoreFile::kNo)},
  };
}

void expect_life(const Fate& fate, const Watch& watch) {
  const auto exits = watch.of(Type::kExit, fate.pid);
  ASSERT_EQ(exits.size(), 1U) << text_of(fate) << "\n" << watch.text();
  EXPECT_EQ(exits[0].wait_status, fate.status) << text_of(fate) << "\n" << watch.text();
  EXPECT_EQ(exits[0].ppid, fate.born_of) << text_of(fate) << "\n" << watch.text();
  const auto forks = watch.of(Type::kFork, fate.pid);
  ASSERT_EQ(forks.size(), 1U) << text_of(fate) << "\n" << watch.text();
  EXPECT_EQ(forks[0].pid, fate.born_of) << text_of(fate) << "\n" << watch.text();
  EXPECT_EQ(forks[0].child_start_ticks, exits[0].start_ticks);
  EXPECT_NE(exits[0].start_ticks, 0U);
  EXPECT_EQ(watch.count(Type::kExec, fate.pid), static_cast<size_t>(fate.execs))
      << text_of(fate) << "\n"
      << watch.text();
}

void expect_lives(const Named& named, int times) {
  SCOPED_TRACE(named.name);
  Stage stage(named.scenario);
  Watch watch(stage.pid());
  ASSERT_TRUE(watch.ok());
  std::set<pid_t> known{stage.pid()};
  for (int i = 0; i < times && !testing::Test::HasFailure(); i++) {
    stage.begin();
    for (const Deadline deadline; !stage.over(std::chrono::milliseconds(1)); watch.read())
      ASSERT_FALSE(deadline.passed()) << watch.text();
    const std::vector<Fate> fates = stage.end();
    ASSERT_FALSE(fates.empty());
    for (const Fate& fate : fates) {
      known.insert(fate.pid);
      ASSERT_TRUE(watch.read_until_exit_of(fate.pid)) << text_of(fate) << "\n" << watch.text();
      expect_life(fate, watch);
    }
    // A thread that was taken for a process is found here.
    for (const Traced& event : watch.seen)
      EXPECT_TRUE(known.contains(event.type == Type::kFork ? event.child_pid : event.pid))
          << event.text();
    watch.seen.clear();
  }
}

void expect_all_lives() {
  const TemporaryDirectory directory;
  for (const Named& named : scenarios(directory.path())) {
    expect_lives(named, repetitions(4));
    if (testing::Test::HasFailure()) return;
  }
}

// A guest tests the kernel, which makes no difference between the two.
std::string tested_as_nobody() { return in_vm() ? "tested as user nobody" : std::string(); }

TEST(Tracer, ReportsEveryLifeOnce) {
  KNELL_NEEDS(tested_as_nobody());
  expect_all_lives();
}
TEST(Tracer, ReportsEveryLifeOnceAsNobody) { as_nobody(expect_all_lives); }

// ------------------------------------------------------------------------------------------------
// who killed it

// What siginfo cannot tell: SIGKILL has no stop; the pid of sigqueue() and the negative codes can
// be forged; the end of a parent looks like kill(2) by it; a signal that was taken by sigwait() or
// signalfd is never delivered.
bool tracer_cannot_know(const char* way) {
  const std::set<std::string> unknown{"SIGKILL",
                                      "SIGKILL to a worker",
                                      "cgroup.kill",
                                      "SIGKILL while stopped",
                                      "SIGKILL after an ignored SIGTERM",
                                      "out of memory",
                                      "RLIMIT_CPU, hard",
                                      "end of a pid namespace",
                                      "end of its tracer",
                                      "parent-death SIGKILL",
                                      "parent-death SIGTERM",
                                      "timer_create",
                                      "timer_create, to a thread",
                                      "mq_notify",
                                      "timer after a signal",
                                      "exit after SIGINT by signalfd",
                                      "exit after SIGQUIT by sigwait",
                                      "forged SEGV_MAPERR, of itself",
                                      "from outside its pid namespace"};
  return unknown.contains(way);
}
// The sender is a process, but which one is not certain, or the kernel does not tell.
bool tracer_knows_cause_only(const char* way) {
  const std::set<std::string> causes{"sigqueue",
                                     "forged SI_QUEUE",
                                     "forged SI_ASYNCNL",
                                     "end of a session",
                                     "end of a session without terminal",
                                     "orphaned process group",
                                     "notice of a child's death",
                                     "end of a session after a reload"};
  return causes.contains(way);
}

Truth go_and_die(const WayToDie& way, Watch*& watch, std::unique_ptr<Watch>& owner) {
  Pipe says = make_pipe();
  auto stage = std::make_unique<Held>([&] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    const Truth truth = way.go();
    return ::write(says.write.get(), &truth, sizeof truth) == sizeof truth ? 0 : 1;
  });
  says.write.reset();
  owner = std::make_unique<Watch>(stage->pid());
  watch = owner.get();
  Truth truth;
  if (!watch->ok()) return truth;
  stage->go();
  EXPECT_TRUE(watch->read_until_end()) << watch->text();
  if (stage->wait() != 0 || ::read(says.read.get(), &truth, sizeof truth) != sizeof truth) {
    ADD_FAILURE() << way.name << ": the stage broke";
    truth.pid = 0;
  }
  return truth;
}

std::string text_of(uint32_t cause, pid_t killer, uint32_t request, pid_t asker) {
  return "cause " + std::to_string(cause) + " by " + std::to_string(killer) + ", request " +
         std::to_string(request) + " of " + std::to_string(asker);
}

void expect_all_deaths() {
  for (const WayToDie& way : ways_to_die()) {
    const std::string name = way.name;
    // They need to trace the victim themselves, or a user that may do more.
    if (name == "SIGTERM while traced" || name == "another signal of its tracer" ||
        name == "end of its tracer")
      continue;
    SCOPED_TRACE(name);
    Watch* watch = nullptr;
    std::unique_ptr<Watch> owner;
    const Truth truth = go_and_die(way, watch, owner);
    if (truth.pid == 0) continue;  // lacking here
    const auto exits = watch->of(Type::kExit, truth.pid);
    ASSERT_EQ(exits.size(), 1U) << watch->text();
    const Traced& exit = exits[0];
    EXPECT_EQ(exit.wait_status, truth.status);
    const source::Sender &killer = exit.killer, &last = exit.last_sender;
    const auto request = static_cast<uint32_t>(truth.request);
    const std::string told = text_of(killer.cause, killer.pid, last.signal, last.pid);
    const std::string whole = text_of(truth.cause, truth.killer, request, truth.asker);
    std::printf("%-36s %s%s\n", way.name, told.c_str(),
                told == whole ? "" : (" (" + whole + ")").c_str());
    // Nothing that is reported is wrong.
    EXPECT_TRUE(killer.cause == 0 || killer.cause == truth.cause) << told << ", and is " << whole;
    EXPECT_TRUE(killer.pid == 0 || killer.pid == truth.killer) << told << ", and is " << whole;
    EXPECT_TRUE(last.signal == 0 || (last.signal == request && last.pid == truth.asker))
        << told << ", and is " << whole;
    if (tracer_knows_cause_only(way.name)) {
      EXPECT_EQ(killer.cause, truth.cause) << told << ", and is " << whole;
    } else if (!tracer_cannot_know(way.name)) {
      EXPECT_EQ(told, whole);
    }
  }
}

TEST(Tracer, KnowsWhatSiginfoProves) {
  KNELL_NEEDS(tested_as_nobody());
  expect_all_deaths();
}
TEST(Tracer, KnowsWhatSiginfoProvesAsNobody) { as_nobody(expect_all_deaths); }

// ------------------------------------------------------------------------------------------------
// details

void expect_two_hundred() {
  const std::string program = victim("exit_with");
  Held shell(
      {"/bin/sh", "-c",
       "i=0; while [ $i -lt 200 ]; do " + program + " $((i % 7)) number $i; i=$((i+1)); done"});
  Watch watch(shell.pid());
  ASSERT_TRUE(watch.ok());
  shell.go();
  ASSERT_TRUE(watch.read_until_end());
  EXPECT_EQ(shell.wait(), 0);
  EXPECT_EQ(watch.tracer().ended(), Tracer::End::kAllEnded);
  EXPECT_EQ(watch.tracer().live(), 0U);
  EXPECT_EQ(watch.count(Type::kLost), 0U);
  EXPECT_EQ(watch.count(Type::kExit), 201U);
  EXPECT_EQ(watch.count(Type::kFork), 200U);
  EXPECT_EQ(watch.count(Type::kExec), 201U);
  std::map<int, Traced> exits;  // by their number
  for (const Traced& event : watch.seen) {
    if (event.type != Type::kExit || event.pid == shell.pid()) continue;
    const std::string words = event.args.substr(event.args.find("number") + 7);
    exits.emplace(std::atoi(words.c_str()), event);
  }
  ASSERT_EQ(exits.size(), 200U);
  char folder[4096];
  for (const auto& [number, exit] : exits) {
    const std::string code = std::to_string(number % 7), zero(1, '\0');
    EXPECT_EQ(exit.wait_status, (number % 7) << 8);
    EXPECT_EQ(exit.args,
              program + zero + code + zero + "number" + zero + std::to_string(number) + zero);
    EXPECT_EQ(exit.exe, std::filesystem::canonical(program).string());
    EXPECT_EQ(exit.cwd, ::getcwd(folder, sizeof folder));
    EXPECT_STREQ(exit.comm.data(), "exit_with");
    EXPECT_STREQ(exit.parent_comm.data(), "sh");
    EXPECT_EQ(exit.ppid, shell.pid());
    EXPECT_EQ(exit.uid, ::getuid());
    EXPECT_EQ(exit.gid, ::getgid());
    EXPECT_EQ(exit.exit_signal, static_cast<uint32_t>(SIGCHLD));
    EXPECT_FALSE(exit.cgroup.empty());
    EXPECT_NE(exit.stamp_ns, 0U);
  }
}

TEST(Tracer, ReportsEveryShortProcessWithItsArguments) {
  KNELL_NEEDS(tested_as_nobody());
  expect_two_hundred();
}
TEST(Tracer, ReportsEveryShortProcessWithItsArgumentsAsNobody) { as_nobody(expect_two_hundred); }

// ------------------------------------------------------------------------------------------------
// transparency

TEST(Tracer, TheParentSeesStopsContinuesAndTheEndOnce) {
  Pipe next = make_pipe();
  Held held([&] {
    ::setpgid(0, 0);
    ::signal(SIGTSTP, SIG_DFL);
    for (const int signal : {SIGSTOP, SIGTSTP}) {
      char byte;
      ::raise(signal);
      // Until the parent saw the continue: a later change would take its place.
      if (::read(next.read.get(), &byte, 1) != 1) return 1;
    }
    return 5;
  });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  for (const int signal : {SIGSTOP, SIGTSTP}) {
    // The kernel does not stop an orphaned group by SIGTSTP; ours is not, as its parent is in
    // another group of the same session.
    int status = 0;
    ASSERT_EQ(::waitpid(held.pid(), &status, WUNTRACED), held.pid());
    ASSERT_TRUE(WIFSTOPPED(status)) << status;
    EXPECT_EQ(WSTOPSIG(status), signal);
    ASSERT_TRUE(wait_until([&] { return std::strchr("Tt", state_of(held.pid())) != nullptr; }));
    held.child().kill(SIGCONT);
    ASSERT_EQ(::waitpid(held.pid(), &status, WUNTRACED | WCONTINUED), held.pid());
    ASSERT_TRUE(WIFCONTINUED(status)) << status;
    ASSERT_EQ(::write(next.write.get(), "", 1), 1);
  }
  EXPECT_EQ(held.wait(), 5 << 8);
  EXPECT_TRUE(watch.read_until_exit_of(held.pid()));
  EXPECT_EQ(watch.count(Type::kExit, held.pid()), 1U);
}

TEST(Tracer, AStoppedProcessStaysStoppedAndCanBeKilled) {
  Held held([] {
    ::raise(SIGSTOP);
    return 0;
  });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  int status = 0;
  ASSERT_EQ(::waitpid(held.pid(), &status, WUNTRACED), held.pid());
  held.child().kill(SIGTERM);  // stays pending
  held.child().kill(SIGKILL);
  EXPECT_EQ(held.wait(), SIGKILL);
  ASSERT_TRUE(watch.read_until_exit_of(held.pid()));
  EXPECT_EQ(watch.of(Type::kExit, held.pid())[0].killer.cause, 0U);
}

// The lines that the program writes must be the same with and without a tracer.
std::vector<std::string> signals_received(bool traced) {
  const TemporaryDirectory directory;
  const std::string log = directory.path() + "/log";
  Held held({victim("signal_log"), std::to_string(SIGTERM), log});
  std::unique_ptr<Watch> watch;
  if (traced) watch = std::make_unique<Watch>(held.pid());
  held.go();
  EXPECT_TRUE(wait_until([&] { return !lines_of(log).empty(); }));
  size_t lines = 1;
  for (const int signal : {SIGUSR1, SIGINT, SIGCHLD, SIGWINCH, SIGCONT, SIGRTMIN + 1, SIGTERM}) {
    ::sigqueue(held.pid(), signal, {.sival_int = 1000 + signal});
    lines++;
    EXPECT_TRUE(wait_until([&] { return lines_of(log).size() >= lines; })) << signal;
  }
  EXPECT_EQ(held.wait(), 0);
  std::vector<std::string> all = lines_of(log);
  if (!all.empty()) all.erase(all.begin());  // its pid
  return all;
}

TEST(Tracer, SignalsPassUnchanged) { EXPECT_EQ(signals_received(true), signals_received(false)); }

// A tracer that was stopped holds the signal; it is killed before it lets it pass.
TEST(Tracer, ASignalIsNotLostWhenTheTracerIsKilled) {
  Held held([] {
    ::signal(SIGUSR1, [](int) { ::_exit(9); });
    for (;;) ::pause();
    return 0;
  });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  ASSERT_TRUE(wait_until([&] { return state_of(held.pid()) == 'S'; }));
  ::kill(watch.tracer().tracer_pid(), SIGSTOP);
  ASSERT_TRUE(wait_until([&] { return state_of(watch.tracer().tracer_pid()) == 'T'; }));
  held.child().kill(SIGUSR1);
  ASSERT_TRUE(wait_until([&] { return state_of(held.pid()) == 't'; }));
  ::kill(watch.tracer().tracer_pid(), SIGKILL);
  const auto status = held.wait();
  EXPECT_TRUE(status == 9 << 8 || status == SIGUSR1) << *status;
  ASSERT_TRUE(watch.read_until_end());
  EXPECT_EQ(watch.tracer().ended(), Tracer::End::kKilled);
}

// They stop several threads; only the one that goes on first ends the process.
TEST(Tracer, NamesTheSenderOfOneOfSeveralSignals) {
  for (int round = 0; round < 20; round++) {
    Pipe ready = make_pipe();
    Held held([&] {
      std::vector<std::thread> threads;
      for (int i = 0; i < 6; i++)
        threads.emplace_back([] {
          for (;;) ::pause();
        });
      (void)!::write(ready.write.get(), "", 1);
      for (;;) ::pause();
      return 0;
    });
    Watch watch(held.pid());
    ASSERT_TRUE(watch.ok());
    held.go();
    char byte;
    ASSERT_EQ(::read(ready.read.get(), &byte, 1), 1);
    for (const int signal : {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP}) ::kill(held.pid(), signal);
    ASSERT_TRUE(watch.read_until_exit_of(held.pid()));
    const Traced exit = watch.of(Type::kExit, held.pid()).at(0);
    EXPECT_EQ(exit.killer.cause, uint32_t{KNELL_CAUSE_USER});
    EXPECT_EQ(exit.killer.pid, ::getpid());
  }
}

// The kernel translates the uid in a siginfo for the receiver.
TEST(Tracer, TheUserOfASenderIsNotThatOfTheReceiversNamespace) {
  KNELL_NEEDS(lacks_root());
  Pipe ready = make_pipe();
  Held held([&] {
    if (::unshare(CLONE_NEWUSER) != 0) return 77;
    (void)!::write(ready.write.get(), "", 1);
    for (;;) ::pause();
    return 0;
  });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  ready.write.reset();
  char byte;
  if (::read(ready.read.get(), &byte, 1) != 1) GTEST_SKIP() << "no user namespaces here";
  ::kill(held.pid(), SIGTERM);
  ASSERT_TRUE(watch.read_until_exit_of(held.pid()));
  const Traced exit = watch.of(Type::kExit, held.pid()).at(0);
  EXPECT_EQ(exit.killer.pid, ::getpid());
  EXPECT_EQ(exit.killer.uid, 0U);
}

// The owner of the tracer is killed: the process goes on untraced, and the tracer is gone.
TEST(Tracer, TheEndOfTheOwnerEndsTheTracingOnly) {
  Pipe says = make_pipe(), leave = make_pipe();
  struct Pids {
    pid_t tracee, tracer;
  };
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  Child owner = Child::fork([&] {
    const pid_t tracee = ::fork();
    if (tracee == 0) {
      char byte;
      leave.write.reset();
      ::_exit(::read(leave.read.get(), &byte, 1) == 1 ? 4 : 3);
    }
    auto tracer = Tracer::create(tracee, {});
    if (!tracer) return 1;
    const Pids pids{tracee, (*tracer)->tracer_pid()};
    if (::write(says.write.get(), &pids, sizeof pids) != sizeof pids) return 1;
    for (;;) ::pause();
    return 0;
  });
  Pids pids{};
  ASSERT_EQ(::read(says.read.get(), &pids, sizeof pids), static_cast<ssize_t>(sizeof pids));
  EXPECT_EQ(tracer_of(pids.tracee), pids.tracer);
  owner.kill(SIGKILL);
  EXPECT_EQ(owner.wait(), SIGKILL);
  int status = 0;
  EXPECT_EQ(::waitpid(pids.tracer, &status, 0), pids.tracer);  // given to us, as the subreaper
  EXPECT_EQ(tracer_of(pids.tracee), 0);
  ASSERT_EQ(::write(leave.write.get(), "", 1), 1);
  EXPECT_EQ(::waitpid(pids.tracee, &status, 0), pids.tracee);
  EXPECT_EQ(status, 4 << 8);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

TEST(Tracer, ADaemonThatOutlivesIsReleased) {
  Pipe says = make_pipe(), leave = make_pipe();
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  Held held([&] {
    if (::fork() != 0) return 0;
    ::setsid();
    const pid_t daemon = ::fork();
    if (daemon != 0) ::_exit(0);
    const pid_t self = ::getpid();
    leave.write.reset();
    char byte;
    (void)!::write(says.write.get(), &self, sizeof self);
    ::_exit(::read(leave.read.get(), &byte, 1) == 1 ? 6 : 3);
  });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  EXPECT_EQ(held.wait(), 0);
  pid_t daemon = 0;
  ASSERT_EQ(::read(says.read.get(), &daemon, sizeof daemon), static_cast<ssize_t>(sizeof daemon));
  ASSERT_TRUE(watch.read_until([&] { return watch.tracer().live() == 1; }));
  watch.tracer().release();
  ASSERT_TRUE(watch.read_until_end());
  EXPECT_EQ(watch.tracer().ended(), Tracer::End::kReleased);
  const auto released = watch.of(Type::kReleased, daemon);
  ASSERT_EQ(released.size(), 1U) << watch.text();
  EXPECT_EQ(released[0].released, Released::kTracerEnded);
  EXPECT_EQ(watch.count(Type::kReleased), 1U);
  EXPECT_EQ(tracer_of(daemon), 0);
  ASSERT_EQ(::write(leave.write.get(), "", 1), 1);
  int status = 0;
  EXPECT_EQ(::waitpid(daemon, &status, 0), daemon);
  EXPECT_EQ(status, 6 << 8);
  ::prctl(PR_SET_CHILD_SUBREAPER, 0);
}

// A stop is that of the process, not of its tracer: it outlives the tracer.
TEST(Tracer, AStoppedProcessStaysStoppedWhenTheTracerEnds) {
  for (const bool killed : {false, true}) {
    Held held([] {
      ::raise(SIGSTOP);
      return 7;
    });
    Watch watch(held.pid());
    ASSERT_TRUE(watch.ok());
    held.go();
    int status = 0;
    ASSERT_EQ(::waitpid(held.pid(), &status, WUNTRACED), held.pid());
    ASSERT_TRUE(WIFSTOPPED(status));
    ASSERT_TRUE(wait_until([&] { return state_of(held.pid()) == 't'; }));
    if (killed)
      ::kill(watch.tracer().tracer_pid(), SIGKILL);
    else
      watch.tracer().release();
    ASSERT_TRUE(watch.read_until_end());
    ASSERT_TRUE(wait_until([&] { return state_of(held.pid()) == 'T'; }));
    held.child().kill(SIGCONT);
    EXPECT_EQ(held.wait(), 7 << 8);
  }
}

// ------------------------------------------------------------------------------------------------
// other tracers, privileges

void expect_tracing_program_works(const std::vector<std::string>& words, int status) {
  Held held(words);
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  EXPECT_EQ(held.wait(), status);
  ASSERT_TRUE(watch.read_until_end());
  const auto released = watch.of(Type::kReleased, held.pid());
  ASSERT_EQ(released.size(), 1U) << watch.text();
  EXPECT_EQ(released[0].released, Released::kTracesItself);
  EXPECT_EQ(watch.count(Type::kExit), 0U) << watch.text();
  const auto execs = watch.of(Type::kExec, held.pid());
  ASSERT_EQ(execs.size(), 1U) << watch.text();
  EXPECT_EQ(execs[0].released, Released::kTracesItself);
}

TEST(Tracer, LetsGoOfStrace) {
  KNELL_NEEDS(lacks_file("/usr/bin/strace"));
  expect_tracing_program_works(
      {"/usr/bin/strace", "-f", "-o", "/dev/null", victim("exit_with"), "3"}, 3 << 8);
}

TEST(Tracer, LetsGoOfGdb) {
  KNELL_NEEDS(lacks_file("/usr/bin/gdb"));
  KNELL_NEEDS(not_in_vm());
  expect_tracing_program_works({"/usr/bin/gdb", "-nx", "-batch", "-return-child-result", "-ex",
                                "run", "--args", victim("exit_with"), "3"},
                               3 << 8);
}

TEST(Tracer, RefusesAProcessThatIsTraced) {
  Held held([] { return 0; });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  const auto second = Tracer::create(held.pid(), {});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().code, EPERM);
  EXPECT_NE(second.error().message().find("it is traced already"), std::string::npos);
}

TEST(Tracer, RefusesAProcessThatIsGone) {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {  // orphans of other tests
  }
  Child child = Child::fork([] { return 0; });
  const pid_t pid = child.pid();
  EXPECT_EQ(child.wait(), 0);
  const auto tracer = Tracer::create(pid, {});
  ASSERT_FALSE(tracer.has_value());
  EXPECT_EQ(tracer.error().code, ESRCH);
  int status = 0;
  EXPECT_EQ(::waitpid(-1, &status, WNOHANG), -1) << "a process was left";
}

void expect_withheld(PrivilegedProgram::Kind kind) {
  KNELL_NEEDS(lacks_root());
  const PrivilegedProgram program(kind);
  KNELL_NEEDS(program.lacking());
  as_nobody([&] {
    Held held({program.path(), "0"});
    Watch watch(held.pid());
    ASSERT_TRUE(watch.ok());
    held.go();
    EXPECT_EQ(held.wait(), 0);
    ASSERT_TRUE(watch.read_until_end());
    const auto execs = watch.of(Type::kExec, held.pid());
    ASSERT_EQ(execs.size(), 1U);
    EXPECT_TRUE(execs[0].privileges_withheld);
  });
  // Below a tracer with privileges it has its own.
  Held held([&] {
    return ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                   ::setresuid(kNobody, kNobody, kNobody) == 0
               ? Held::execute({program.path(), "0"})
               : 1;
  });
  Watch watch(held.pid());
  ASSERT_TRUE(watch.ok());
  held.go();
  EXPECT_EQ(held.wait(), 0);
  ASSERT_TRUE(watch.read_until_end());
  const auto execs = watch.of(Type::kExec, held.pid());
  ASSERT_EQ(execs.size(), 1U);
  EXPECT_FALSE(execs[0].privileges_withheld);
  EXPECT_EQ(execs[0].uid, kNobody);
}

TEST(Tracer, SaysThatASetUserIdProgramRunsWithoutItsPrivileges) {
  expect_withheld(PrivilegedProgram::Kind::kSetUserId);
}
TEST(Tracer, SaysThatASetGroupIdProgramRunsWithoutItsPrivileges) {
  expect_withheld(PrivilegedProgram::Kind::kSetGroupId);
}
TEST(Tracer, SaysThatAProgramWithFileCapabilitiesRunsWithoutThem) {
  expect_withheld(PrivilegedProgram::Kind::kCapabilities);
}

// ------------------------------------------------------------------------------------------------
// loss

TEST(Tracer, CountsWhatDoesNotFitAndKeepsExits) {
  constexpr int kChildren = 80;
  constexpr size_t kQueue = 16384;
  Held held([] {
    for (int i = 0; i < kChildren; i++) {
      const pid_t pid = ::fork();
      if (pid == 0) ::_exit(Held::execute({victim("exit_with"), "1"}));
      ::waitpid(pid, nullptr, 0);
    }
    return 0;
  });
  Watch watch(held.pid(), {.queue_bytes = kQueue});
  ASSERT_TRUE(watch.ok());
  held.go();
  EXPECT_EQ(held.wait(), 0);  // nothing is read until it is over
  ASSERT_TRUE(watch.read_until_end());
  uint64_t forks = watch.count(Type::kFork), execs = watch.count(Type::kExec),
           exits = watch.count(Type::kExit);
  const uint64_t exits_kept = exits;
  uint64_t others_lost = 0;
  for (const Traced& event : watch.seen) {
    forks += event.lost_forks;
    execs += event.lost_execs;
    exits += event.lost_exits;
    others_lost += event.lost_forks + event.lost_execs;
  }
  EXPECT_EQ(forks, static_cast<uint64_t>(kChildren));
  EXPECT_EQ(execs, static_cast<uint64_t>(kChildren));
  EXPECT_EQ(exits, static_cast<uint64_t>(kChildren) + 1);
  EXPECT_GT(others_lost, 0U);
  EXPECT_GT(exits_kept, watch.count(Type::kFork));
}

}  // namespace
}  // namespace knell::test
