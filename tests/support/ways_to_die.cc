// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Each way to die is a function that arranges the death of one process, the victim, and returns the
// true facts about it. They run in processes that must not return into gtest, so all of them abort
// on errors; a process that is left over dies by SIGALRM.
#include "support/ways_to_die.h"

#include <fcntl.h>
#include <knell/knell.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mqueue.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <functional>

#include "base/result.h"
#include "support/nested.h"
#include "support/small_cgroup.h"

namespace knell::test {
namespace {

using Body = std::function<void()>;

pid_t start(const Body& body) {
  const pid_t pid = ::fork();
  KNELL_CHECK(pid >= 0);
  if (pid == 0) {
    ::alarm(120);
    // The caller of the tests may ignore some signals.
    for (int signal = 1; signal < 32; signal++) ::signal(signal, SIG_DFL);
    body();
    ::_exit(0);
  }
  return pid;
}

int status_of(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, __WALL) != pid) {
    // It is not a child of this process yet: its parent is about to exit.
    KNELL_CHECK(errno == EINTR || errno == ECHILD);
    ::sched_yield();
  }
  return status;
}

// A pipe that signals an event to another process.
class Gate {
 public:
  Gate() { KNELL_CHECK(::pipe(fds_.data()) == 0); }
  void open() const { KNELL_CHECK(::write(fds_[1], "", 1) == 1); }
  void wait() const {
    char byte;
    KNELL_CHECK(::read(fds_[0], &byte, 1) == 1);
  }
  void send(pid_t pid) const { KNELL_CHECK(::write(fds_[1], &pid, sizeof pid) == sizeof pid); }
  pid_t receive() const {
    pid_t pid = 0;
    KNELL_CHECK(::read(fds_[0], &pid, sizeof pid) == sizeof pid);
    return pid;
  }

 private:
  std::array<int, 2> fds_{};
};

void pause_for_ever() {
  for (;;) ::pause();
}

// Waits until the state of the process in /proc is one of `states`.
void wait_for_state(pid_t pid, const char* states) {
  for (;;) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    std::array<char, 256> text{};
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    KNELL_CHECK(fd >= 0 && ::read(fd, text.data(), text.size() - 1) > 0);
    ::close(fd);
    const char* behind = std::strrchr(text.data(), ')');
    KNELL_CHECK(behind != nullptr);
    if (std::strchr(states, behind[2]) != nullptr) return;
    ::sched_yield();
  }
}

Truth by(uint32_t cause, pid_t victim, pid_t killer) {
  return {.pid = victim, .status = status_of(victim), .cause = cause, .killer = killer};
}
Truth by_user(pid_t victim, pid_t killer) { return by(KNELL_CAUSE_USER, victim, killer); }
Truth by_itself(const Body& body) {
  const pid_t victim = start(body);
  return by_user(victim, victim);
}
Truth by_kernel(const Body& body) { return by(KNELL_CAUSE_KERNEL, start(body), 0); }
Truth unknown(pid_t victim) { return by(0, victim, 0); }
Truth lacking(const char* what) {
  Truth truth;
  std::snprintf(truth.lacking, sizeof truth.lacking, "%s", what);
  return truth;
}

// A victim that waits to be killed, and another process that kills it.
Truth killed(const std::function<void(pid_t)>& kill, const Body& prepare = [] {}) {
  const Gate ready;
  const pid_t victim = start([&] {
    prepare();
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t killer = start([&] { kill(victim); });
  const Truth truth = by_user(victim, killer);
  status_of(killer);
  return truth;
}
template <int Signal>
Truth killed_with() {
  return killed([](pid_t victim) { ::kill(victim, Signal); });
}

void send_forged(pid_t pid, int signal, int code) {
  siginfo_t info{};
  info.si_signo = signal;
  info.si_code = code;
  info.si_pid = 1;
  KNELL_CHECK(::syscall(SYS_rt_sigqueueinfo, pid, signal, &info) == 0);
}
template <int Code>
Truth forged() {
  return killed([](pid_t victim) { send_forged(victim, SIGTERM, Code); });
}
// The kernel also sends these codes, so the sender is unknown.
template <int Code>
Truth forged_as_of_the_kernel() {
  Truth truth = forged<Code>();
  truth.cause = 0;
  truth.killer = 0;
  return truth;
}
Truth forged_fault_of_itself() {
  return by_itself([] {
    send_forged(::getpid(), SIGSEGV, SEGV_MAPERR);
    pause_for_ever();
  });
}
Truth forged_kernel_of_itself() {
  return unknown(start([] {
    send_forged(::getpid(), SIGTERM, SI_KERNEL);
    pause_for_ever();
  }));
}

Truth queued() {
  return killed([](pid_t victim) { ::sigqueue(victim, SIGTERM, {.sival_int = 1}); });
}
Truth by_pidfd() {
  return killed([](pid_t victim) {
    const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, victim, 0));
    KNELL_CHECK(fd >= 0);
    ::syscall(SYS_pidfd_send_signal, fd, SIGTERM, nullptr, 0);
  });
}

// ---------------------------------------------------------------------------------------------
// threads

void* pause_thread(void* gate) {
  if (gate != nullptr) static_cast<const Gate*>(gate)->send(static_cast<pid_t>(::gettid()));
  pause_for_ever();
  return nullptr;
}
void start_thread(const Gate* says) {
  pthread_t thread;
  KNELL_CHECK(::pthread_create(&thread, nullptr, pause_thread, const_cast<Gate*>(says)) == 0);
}

template <int Signal>
Truth worker_killed() {
  const Gate says;
  const pid_t victim = start([&] {
    start_thread(&says);
    pause_for_ever();
  });
  const pid_t worker = says.receive();
  const pid_t killer = start([&] { ::syscall(SYS_tgkill, victim, worker, Signal); });
  const Truth truth = by_user(victim, killer);
  status_of(killer);
  return truth;
}
Truth killed_after_its_leader_left() {
  const Gate says;
  const pid_t victim = start([&] {
    start_thread(&says);
    ::syscall(SYS_exit, 0);
  });
  says.receive();
  wait_for_state(victim, "Z");
  const pid_t killer = start([&] { ::kill(victim, SIGTERM); });
  const Truth truth = by_user(victim, killer);
  status_of(killer);
  return truth;
}

// ---------------------------------------------------------------------------------------------
// faults and limits

Truth faulted() {
  return by_kernel([] {
    void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *static_cast<volatile int*>(page) = 1;
  });
}
Truth faulted_in_a_worker() {
  return by_kernel([] {
    pthread_t thread;
    ::pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
          *static_cast<volatile int*>(page) = 1;
          return nullptr;
        },
        nullptr);
    pause_for_ever();
  });
}
Truth bus_error() {
  return by_kernel([] {
    const int fd = ::memfd_create("short", MFD_CLOEXEC);
    void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    (void)*static_cast<volatile int*>(page);
  });
}
#if defined(__x86_64__)
Truth illegal_instruction() {
  return by_kernel([] { asm volatile("ud2"); });
}
Truth breakpoint() {
  return by_kernel([] { asm volatile("int3"); });
}
Truth division_by_zero() {
  return by_kernel([] { asm volatile("xorl %%ecx, %%ecx; idivl %%ecx" ::: "eax", "ecx", "edx"); });
}
#endif
Truth forbidden_system_call() {
  return by_kernel([] {
    sock_filter kill = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
    sock_fprog program{.len = 1, .filter = &kill};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
    ::getppid();
  });
}
// The victim dies by a SIGKILL that no process sends.
Truth strict_seccomp() {
  const pid_t victim = start([] {
    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    ::getppid();
  });
  return unknown(victim);
}
template <int Soft, int Hard>
Truth out_of_time() {
  return by_kernel([] {
    const rlimit limit{Soft, Hard};
    ::setrlimit(RLIMIT_CPU, &limit);
    for (;;) ::getppid();
  });
}
Truth file_too_large() {
  return by_kernel([] {
    const rlimit limit{1, 1};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const int fd = ::memfd_create("large", MFD_CLOEXEC);
    (void)!::write(fd, "ab", 2);
    (void)!::write(fd, "ab", 2);
  });
}
Truth broken_pipe() {
  return by_kernel([] {
    std::array<int, 2> fds{};
    (void)!::pipe(fds.data());
    ::close(fds[0]);
    (void)!::write(fds[1], "a", 1);
  });
}

// ---------------------------------------------------------------------------------------------
// timers, and signals of descriptors

template <int Which>
Truth interval_timer() {
  return by_kernel([] {
    const itimerval soon{.it_interval = {}, .it_value = {0, 2000}};
    ::setitimer(Which, &soon, nullptr);
    volatile int turns = 0;
    for (;;) {
      turns = turns + 1;
      if (Which == ITIMER_REAL) ::pause();
      if (Which == ITIMER_PROF) ::getppid();
    }
  });
}
Truth alarmed() {
  return by_kernel([] {
    ::alarm(1);
    pause_for_ever();
  });
}
template <int Notify>
Truth posix_timer() {
  return by_kernel([] {
    sigevent event{};
    event.sigev_notify = Notify;
    event.sigev_signo = SIGTERM;
    event._sigev_un._tid = ::gettid();
    itimerspec soon{};
    soon.it_value.tv_nsec = 2'000'000;
    timer_t timer;
    KNELL_CHECK(::timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    ::timer_settime(timer, 0, &soon, nullptr);
    pause_for_ever();
  });
}
// Another process writes to the pipe or socket; the victim itself requested the signal that kills
// it.
template <int Signal>
Truth asynchronous_input() {
  std::array<int, 2> fds{};
  KNELL_CHECK(::pipe(fds.data()) == 0);
  const Gate ready;
  const pid_t victim = start([&] {
    ::fcntl(fds[0], F_SETOWN, ::getpid());
    if (Signal != 0) ::fcntl(fds[0], F_SETSIG, Signal);
    ::fcntl(fds[0], F_SETFL, O_ASYNC | O_NONBLOCK);
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t writer = start([&] { (void)!::write(fds[1], "a", 1); });
  const Truth truth = by(KNELL_CAUSE_KERNEL, victim, 0);
  status_of(writer);
  return truth;
}
Truth message_queue() {
  const std::string name = "/knell-test-" + std::to_string(::getpid());
  const mqd_t queue = ::mq_open(name.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600, nullptr);
  if (queue == -1) return lacking("no message queues here");
  ::mq_unlink(name.c_str());
  const Gate ready;
  const pid_t victim = start([&] {
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    ::mq_notify(queue, &event);
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t sender = start([&] { ::mq_send(queue, "a", 1, 0); });
  const Truth truth = by(KNELL_CAUSE_KERNEL, victim, 0);
  status_of(sender);
  return truth;
}

// ---------------------------------------------------------------------------------------------
// the end of another process

template <int Signal>
Truth parent_death() {
  const Gate says;
  const pid_t parent = start([&] {
    const Gate ready;
    const pid_t victim = start([&] {
      ::prctl(PR_SET_PDEATHSIG, Signal);
      ready.open();
      pause_for_ever();
    });
    ready.wait();
    says.send(victim);
  });
  const pid_t victim = says.receive();
  status_of(parent);
  return by(KNELL_CAUSE_KERNEL, victim, parent);
}

pid_t only_child_of(pid_t parent) {
  const std::vector<pid_t> children = children_of(parent);
  KNELL_CHECK(children.size() == 1);
  return children[0];
}

Truth end_of_a_pid_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) return lacking("may not make pid namespaces");
  const Gate ready, leave;
  const pid_t init = start([&] {
    start(pause_for_ever);
    ready.open();
    leave.wait();
  });
  ready.wait();
  // The parent of the process reaps it as soon as it dies.
  const Truth truth{
      .pid = only_child_of(init), .status = SIGKILL, .cause = KNELL_CAUSE_KERNEL, .killer = init};
  leave.open();
  status_of(init);
  return truth;
}
Truth killed_in_a_pid_namespace() {
  if (::unshare(CLONE_NEWPID) != 0) return lacking("may not make pid namespaces");
  const Gate ready, leave, killed;
  const pid_t init = start([&] {
    const pid_t victim = start(pause_for_ever);
    ready.open();
    KNELL_CHECK(status_of(victim) == SIGTERM);
    killed.open();
    leave.wait();
  });
  ready.wait();
  const pid_t victim = only_child_of(init);
  const Truth truth{
      .pid = victim, .status = SIGTERM, .cause = KNELL_CAUSE_USER, .killer = ::getpid()};
  ::kill(victim, SIGTERM);
  killed.wait();
  leave.open();
  status_of(init);
  return truth;
}

// A session with a terminal; its leader starts the victim in the foreground group.
struct Session {
  int master = -1;
  pid_t leader = 0, victim = 0;
};
Session open_session(const Body& prepare) {
  Session session;
  session.master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  std::array<char, 64> name{};
  if (session.master < 0 || ::grantpt(session.master) != 0 || ::unlockpt(session.master) != 0 ||
      ::ptsname_r(session.master, name.data(), name.size()) != 0)
    return session;
  const Gate says;
  session.leader = start([&] {
    ::setsid();
    KNELL_CHECK(::open(name.data(), O_RDWR) >= 0);
    ::close(session.master);
    const Gate ready;
    const pid_t victim = start([&] {
      prepare();
      ready.open();
      pause_for_ever();
    });
    ready.wait();
    ::signal(SIGINT, SIG_IGN);
    ::signal(SIGHUP, SIG_IGN);
    says.send(victim);
    pause_for_ever();
  });
  session.victim = says.receive();
  return session;
}
Truth no_terminal() { return lacking("no terminals here"); }

Truth end_of_a_session() {
  const Session session = open_session([] {});
  if (session.victim == 0) return no_terminal();
  ::kill(session.leader, SIGKILL);
  status_of(session.leader);
  return by(KNELL_CAUSE_KERNEL, session.victim, session.leader);
}
// The other end is closed first, which sends SIGHUP to the leader. The leader ignores it, and when
// it ends the kernel signals its group.
Truth end_of_a_terminal() {
  const Session session = open_session([] {});
  if (session.victim == 0) return no_terminal();
  ::close(session.master);
  ::kill(session.leader, SIGKILL);
  status_of(session.leader);
  return by(KNELL_CAUSE_KERNEL, session.victim, session.leader);
}
Truth hangup_of_the_leader() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  std::array<char, 64> name{};
  if (master < 0 || ::grantpt(master) != 0 || ::unlockpt(master) != 0 ||
      ::ptsname_r(master, name.data(), name.size()) != 0)
    return no_terminal();
  const Gate ready;
  const pid_t victim = start([&] {
    ::setsid();
    KNELL_CHECK(::open(name.data(), O_RDWR) >= 0);
    ::close(master);
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  ::close(master);
  return by(KNELL_CAUSE_KERNEL, victim, 0);
}
Truth interrupt_key() {
  const Session session = open_session([] {});
  if (session.victim == 0) return no_terminal();
  KNELL_CHECK(::write(session.master, "\x03", 1) == 1);
  wait_for_state(session.victim, "Z");
  ::kill(session.leader, SIGKILL);
  status_of(session.leader);
  return by(KNELL_CAUSE_KERNEL, session.victim, 0);
}
Truth orphaned_group() {
  const Gate says;
  const pid_t parent = start([&] {
    ::setsid();
    const pid_t victim = start([] {
      ::setpgid(0, 0);
      ::raise(SIGSTOP);
      pause_for_ever();
    });
    ::waitpid(victim, nullptr, WUNTRACED);
    says.send(victim);
  });
  const pid_t victim = says.receive();
  status_of(parent);
  return by(KNELL_CAUSE_KERNEL, victim, parent);
}
Truth end_of_its_tracer() {
  const Gate ready;
  const pid_t victim = start([&] {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t tracer = start([&] {
    if (::ptrace(PTRACE_SEIZE, victim, 0, PTRACE_O_EXITKILL) != 0) ::_exit(1);
  });
  if (status_of(tracer) != 0) {
    ::kill(victim, SIGKILL);
    status_of(victim);
    return lacking("may not trace here");
  }
  return by(KNELL_CAUSE_KERNEL, victim, tracer);
}
// A child whose end sends its parent a signal that kills the parent.
Truth notice_of_a_childs_death() {
  const Gate says, leave;
  const pid_t victim = start([&] {
    const auto child = static_cast<pid_t>(::syscall(SYS_clone, SIGUSR1, nullptr, 0, 0, 0));
    if (child == 0) {
      leave.wait();
      ::_exit(0);
    }
    says.send(child);
    pause_for_ever();
  });
  const pid_t child = says.receive();
  leave.open();
  const Truth truth = by(KNELL_CAUSE_KERNEL, victim, child);
  status_of(child);
  return truth;
}

Truth out_of_memory() {
  const SmallCgroup cgroup(size_t{16} << 20);
  if (!cgroup.ok()) return lacking("no memory cgroup can be made here");
  const pid_t victim = start([&] {
    if (!cgroup.enter()) ::_exit(99);
    constexpr size_t kMuch = size_t{256} << 20;
    void* memory =
        ::mmap(nullptr, kMuch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < kMuch; i += 4096) static_cast<volatile char*>(memory)[i] = 1;
  });
  const Truth truth = by(KNELL_CAUSE_OOM, victim, 0);
  return truth.status == 99 << 8 ? lacking("may not enter a cgroup here") : truth;
}

// ---------------------------------------------------------------------------------------------
// stopped, traced, blocked

Truth killed_while_stopped() {
  return killed([](pid_t victim) {
    ::kill(victim, SIGSTOP);
    wait_for_state(victim, "Tt");  // t: stopped by a tracer
    ::kill(victim, SIGKILL);
  });
}
// One process sends the signal and exits; then another process continues the victim.
Truth terminated_while_stopped() {
  const pid_t victim = start(pause_for_ever);
  ::kill(victim, SIGSTOP);
  ::waitpid(victim, nullptr, WUNTRACED);
  const pid_t killer = start([&] { ::kill(victim, SIGTERM); });
  status_of(killer);
  ::kill(victim, SIGCONT);
  return by_user(victim, killer);
}
template <int Signal>
Truth blocked_at_first() {
  const Gate ready, go;
  const pid_t victim = start([&] {
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, Signal);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    ready.open();
    go.wait();
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
    pause_for_ever();
  });
  ready.wait();
  const pid_t killer = start([&] { ::kill(victim, Signal); });
  status_of(killer);
  go.open();
  return by_user(victim, killer);
}

pid_t start_tracer(pid_t victim, const Gate& ready, int inject) {
  return start([&, victim, inject] {
    if (::ptrace(PTRACE_SEIZE, victim, 0, 0) != 0) ::_exit(1);
    ready.open();
    for (int status = 0; ::waitpid(victim, &status, __WALL) == victim && WIFSTOPPED(status);)
      ::ptrace(PTRACE_CONT, victim, 0, inject != 0 ? inject : WSTOPSIG(status));
  });
}
template <int Inject>
Truth while_traced() {
  const pid_t victim = start([] {
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    pause_for_ever();
  });
  const Gate ready;
  const pid_t tracer = start_tracer(victim, ready, Inject);
  ready.wait();
  const pid_t killer = start([&] { ::kill(victim, SIGTERM); });
  Truth truth = by_user(victim, killer);
  if (Inject != 0) truth.cause = 0, truth.killer = 0;
  status_of(killer);
  status_of(tracer);
  return truth;
}

Truth group_killed() {
  const Gate ready;
  const pid_t victim = start([&] {
    ::setpgid(0, 0);
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t killer = start([&] { ::kill(-victim, SIGTERM); });
  const Truth truth = by_user(victim, killer);
  status_of(killer);
  return truth;
}
Truth cgroup_killed() {
  std::string path;
  for (const char* base : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
    path = std::string(base) + "/knell-test-" + std::to_string(::getpid());
    if (::mkdir(path.c_str(), 0700) != 0) continue;
    if (::access((path + "/cgroup.kill").c_str(), W_OK) == 0) break;
    ::rmdir(path.c_str());
    path.clear();
  }
  if (::access(path.c_str(), X_OK) != 0) return lacking("no cgroup.kill here");
  const auto write = [&](const char* file, const char* text) {
    const int fd = ::open((path + "/" + file).c_str(), O_WRONLY | O_CLOEXEC);
    KNELL_CHECK(fd >= 0 && ::write(fd, text, 1) == 1);
  };
  const Gate ready;
  const pid_t victim = start([&] {
    write("cgroup.procs", "0");
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t killer = start([&] { write("cgroup.kill", "1"); });
  const Truth truth = by_user(victim, killer);
  status_of(killer);
  ::rmdir(path.c_str());
  return truth;
}

// ---------------------------------------------------------------------------------------------
// signals that were taken before

void block(int signal) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
}
void unblock(int signal) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
}
void take(int signal) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, signal);
  int taken = 0;
  ::sigwait(&set, &taken);
}

// sigwait() takes SIGHUP as a request to reload; then the session ends.
Truth hangup_after_a_reload() {
  const Gate taken;
  const Session session = open_session([&] {
    block(SIGHUP);
    const pid_t self = ::getpid();
    const pid_t reloader = start([self] { ::kill(self, SIGHUP); });
    status_of(reloader);
    take(SIGHUP);
    unblock(SIGHUP);
    taken.send(reloader);
  });
  if (session.victim == 0) return no_terminal();
  const pid_t reloader = taken.receive();
  ::kill(session.leader, SIGKILL);
  status_of(session.leader);
  Truth truth = by(KNELL_CAUSE_KERNEL, session.victim, session.leader);
  truth.request = SIGHUP;
  truth.asker = reloader;
  return truth;
}
// The victim accepts a signal by sigwait(); then its own timer sends the same signal.
Truth timer_after_a_signal() {
  const Gate ready, says;
  const pid_t victim = start([&] {
    block(SIGUSR1);
    ready.open();
    take(SIGUSR1);
    unblock(SIGUSR1);
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = SIGUSR1;
    itimerspec soon{};
    soon.it_value.tv_nsec = 1'000'000;
    timer_t timer;
    ::timer_create(CLOCK_MONOTONIC, &event, &timer);
    ::timer_settime(timer, 0, &soon, nullptr);
    pause_for_ever();
  });
  ready.wait();
  const pid_t sender = start([&] { ::kill(victim, SIGUSR1); });
  const Truth truth = by(KNELL_CAUSE_KERNEL, victim, 0);
  status_of(sender);
  return truth;
}
// A SIGKILL without a sender, after a signal that the victim has received.
Truth seccomp_after_a_signal() {
  const Gate ready;
  const pid_t victim = start([&] {
    block(SIGUSR1);
    ready.open();
    take(SIGUSR1);
    ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
    ::getppid();
  });
  ready.wait();
  const pid_t sender = start([&] { ::kill(victim, SIGUSR1); });
  const Truth truth = unknown(victim);
  status_of(sender);
  return truth;
}
Truth killed_after_an_ignored_request() {
  const Gate ready;
  const pid_t victim = start([&] {
    ::signal(SIGTERM, SIG_IGN);
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  status_of(start([&] { ::kill(victim, SIGTERM); }));
  const pid_t killer = start([&] { ::kill(victim, SIGKILL); });
  const Truth truth = by_user(victim, killer);
  status_of(killer);
  return truth;
}

volatile sig_atomic_t caught = 0;

// `victim` reports through the gate that it is ready.
Truth asked(int signal, const std::function<void(const Gate&)>& victim_body) {
  const Gate ready;
  const pid_t victim = start([&] { victim_body(ready); });
  ready.wait();
  const pid_t asker = start([&] { ::kill(victim, signal); });
  Truth truth = unknown(victim);
  truth.request = signal;
  truth.asker = asker;
  status_of(asker);
  return truth;
}
template <int Signal, int Code>
Truth exits_when_asked() {
  return asked(Signal, [](const Gate& ready) {
    block(Signal);
    ::signal(Signal, [](int) { caught = 1; });
    sigset_t none;
    ::sigemptyset(&none);
    ready.open();
    while (caught == 0) ::sigsuspend(&none);
    ::_exit(Code);
  });
}
Truth exits_in_the_handler() {
  return asked(SIGTERM, [](const Gate& ready) {
    ::signal(SIGTERM, [](int) { ::_exit(0); });
    ready.open();
    pause_for_ever();
  });
}
Truth exits_by_signalfd() {
  return asked(SIGINT, [](const Gate& ready) {
    block(SIGINT);
    sigset_t set;
    ::sigemptyset(&set);
    ::sigaddset(&set, SIGINT);
    const int fd = ::signalfd(-1, &set, SFD_CLOEXEC);
    signalfd_siginfo info;
    ready.open();
    KNELL_CHECK(::read(fd, &info, sizeof info) == sizeof info);
    ::_exit(1);
  });
}
Truth exits_by_sigwait() {
  return asked(SIGQUIT, [](const Gate& ready) {
    block(SIGQUIT);
    ready.open();
    take(SIGQUIT);
    ::_exit(3);
  });
}
Truth raises_what_it_was_asked() {
  Truth truth = asked(SIGTERM, [](const Gate& ready) {
    ::signal(SIGTERM, [](int signal) {
      ::signal(signal, SIG_DFL);
      ::raise(signal);
    });
    ready.open();
    pause_for_ever();
  });
  truth.cause = KNELL_CAUSE_USER;
  truth.killer = truth.pid;
  return truth;
}
// The second request arrives while the first one is handled, and is never received.
Truth asked_again_too_late() {
  const Gate ready, handling, go;
  static const Gate *says = nullptr, *waits = nullptr;
  says = &handling;
  waits = &go;
  const pid_t victim = start([&] {
    ::signal(SIGTERM, [](int) {
      says->open();
      waits->wait();
      ::_exit(0);
    });
    ready.open();
    pause_for_ever();
  });
  ready.wait();
  const pid_t asker = start([&] { ::kill(victim, SIGTERM); });
  handling.wait();
  status_of(asker);
  status_of(start([&] { ::kill(victim, SIGTERM); }));
  go.open();
  Truth truth = unknown(victim);
  truth.request = SIGTERM;
  truth.asker = asker;
  return truth;
}
Truth asks_itself() {
  const pid_t victim = start([] {
    ::signal(SIGTERM, [](int) { ::_exit(0); });
    ::raise(SIGTERM);
  });
  return unknown(victim);
}

}  // namespace

const std::vector<WayToDie>& ways_to_die() {
  static const std::vector<WayToDie> all{
      {"SIGKILL", killed_with<SIGKILL>},
      {"SIGTERM", killed_with<SIGTERM>},
      {"SIGQUIT", killed_with<SIGQUIT>},
      {"SIGUSR1", killed_with<SIGUSR1>},
      {"SIGRTMIN+2", [] { return killed([](pid_t victim) { ::kill(victim, SIGRTMIN + 2); }); }},
      {"SIGTERM to its group", group_killed},
      {"SIGTERM to a worker", worker_killed<SIGTERM>},
      {"SIGKILL to a worker", worker_killed<SIGKILL>},
      {"SIGABRT to a worker", worker_killed<SIGABRT>},
      {"SIGTERM without its leader", killed_after_its_leader_left},
      {"sigqueue", queued},
      {"pidfd_send_signal", by_pidfd},
      {"cgroup.kill", cgroup_killed},
      {"from outside its pid namespace", killed_in_a_pid_namespace},
      {"forged SI_QUEUE", forged<SI_QUEUE>},
      {"forged SI_ASYNCNL", forged<SI_ASYNCNL>},
      {"forged SI_TIMER", forged_as_of_the_kernel<SI_TIMER>},
      {"forged SI_MESGQ", forged_as_of_the_kernel<SI_MESGQ>},
      {"forged SI_ASYNCIO", forged_as_of_the_kernel<SI_ASYNCIO>},
      {"forged SI_SIGIO", forged_as_of_the_kernel<SI_SIGIO>},
      {"forged SI_KERNEL, of itself", forged_kernel_of_itself},
      {"forged SEGV_MAPERR, of itself", forged_fault_of_itself},
      {"kill(getpid())",
       [] {
         return by_itself([] {
           ::kill(::getpid(), SIGTERM);
           pause_for_ever();
         });
       }},
      {"raise", [] { return by_itself([] { ::raise(SIGTERM); }); }},
      {"abort", [] { return by_itself([] { ::abort(); }); }},
      {"SIGSEGV", faulted},
      {"SIGSEGV of a worker", faulted_in_a_worker},
      {"SIGBUS", bus_error},
#if defined(__x86_64__)
      {"SIGILL", illegal_instruction},
      {"SIGTRAP", breakpoint},
      {"SIGFPE", division_by_zero},
#endif
      {"SIGSYS of seccomp", forbidden_system_call},
      {"SIGKILL of strict seccomp", strict_seccomp},
      {"SIGXFSZ", file_too_large},
      {"SIGPIPE", broken_pipe},
      {"RLIMIT_CPU, soft", out_of_time<1, 5>, true},
      {"RLIMIT_CPU, hard", out_of_time<1, 1>, true},
      {"out of memory", out_of_memory},
      {"alarm", alarmed, true},
      {"ITIMER_REAL", interval_timer<ITIMER_REAL>},
      {"ITIMER_VIRTUAL", interval_timer<ITIMER_VIRTUAL>},
      {"ITIMER_PROF", interval_timer<ITIMER_PROF>},
      {"timer_create", posix_timer<SIGEV_SIGNAL>},
      {"timer_create, to a thread", posix_timer<SIGEV_THREAD_ID>},
      {"O_ASYNC", asynchronous_input<0>},
      {"O_ASYNC, F_SETSIG", asynchronous_input<SIGUSR2>},
      {"mq_notify", message_queue},
      {"parent-death SIGKILL", parent_death<SIGKILL>},
      {"parent-death SIGTERM", parent_death<SIGTERM>},
      {"end of a pid namespace", end_of_a_pid_namespace},
      {"end of a session", end_of_a_session},
      {"end of a session without terminal", end_of_a_terminal},
      {"hangup of a terminal", hangup_of_the_leader},
      {"interrupt key", interrupt_key},
      {"orphaned process group", orphaned_group},
      {"end of its tracer", end_of_its_tracer},
      {"notice of a child's death", notice_of_a_childs_death},
      {"SIGKILL while stopped", killed_while_stopped},
      {"SIGTERM while stopped", terminated_while_stopped},
      {"SIGTERM, blocked at first", blocked_at_first<SIGTERM>},
      {"SIGUSR1, blocked at first", blocked_at_first<SIGUSR1>},
      {"SIGABRT, blocked at first", blocked_at_first<SIGABRT>},
      {"SIGTERM while traced", while_traced<0>},
      {"another signal of its tracer", while_traced<SIGUSR2>},
      {"end of a session after a reload", hangup_after_a_reload},
      {"timer after a signal", timer_after_a_signal},
      {"strict seccomp after a signal", seccomp_after_a_signal},
      {"SIGKILL after an ignored SIGTERM", killed_after_an_ignored_request},
      {"exit 0 after SIGTERM", exits_when_asked<SIGTERM, 0>},
      {"exit 143 after SIGTERM", exits_when_asked<SIGTERM, 143>},
      {"exit 0 after SIGHUP", exits_when_asked<SIGHUP, 0>},
      {"exit in a handler", exits_in_the_handler},
      {"exit after SIGINT by signalfd", exits_by_signalfd},
      {"exit after SIGQUIT by sigwait", exits_by_sigwait},
      {"raise after SIGTERM", raises_what_it_was_asked},
      {"second SIGTERM too late", asked_again_too_late},
      {"SIGTERM of itself, handled", asks_itself},
  };
  return all;
}

}  // namespace knell::test
