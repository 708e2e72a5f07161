// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Features that only the bpf source has; and a comparison of its events with those of the
// connector. The tests of traps_test.cc run over bpf as well.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "support/needs.h"
#include "support/scenarios.h"
#include "support/small_cgroup.h"
#include "support/stage.h"

namespace knell::test {
namespace {

// ------------------------------------------------------------------------------------------------
// the same as the connector

int storm_size() { return in_vm() ? 1'000 : 20'000; }

// All scenarios except the one in which two threads exit together: there the connector cannot
// always determine the status.
void everything(const std::string& directory, std::vector<Fate>& fates) {
  storm(storm_size(), 10, 3);
  const Scenario all[] = {scenario::forked_with_vfork,
                          scenario::vfork_then_exec(3),
                          scenario::posix_spawned(0),
                          scenario::cloned_with_exit_signal(0),
                          scenario::cloned_with_exit_signal(SIGUSR1),
                          scenario::cloned_as_sibling,
                          scenario::reaped_by_the_kernel,
                          scenario::reaped_by_the_kernel_with_nocldwait,
                          scenario::orphans,
                          scenario::threads_come_and_go,
                          scenario::worker_exits_process,
                          scenario::main_exits_with_workers_alive,
                          scenario::leader_leaves_first,
                          scenario::sigkill_of_fifty_threads,
                          scenario::exec_from_a_worker(5),
                          scenario::core_in_a_worker(directory, scenario::CoreFile::kNo),
                          scenario::core_in_the_leader(directory, scenario::CoreFile::kNo),
                          scenario::killed_by(SIGTERM)};
  for (const Scenario& one : all) one(fates);
}

// The events of each process as text, by its pid and the number of earlier processes with that pid.
// (Not by its id, since the connector does not always know the start.)
using Lives = std::map<std::pair<pid_t, int>, std::vector<std::string>>;

Lives lives_of(const Recorder& recorder) {
  Lives lives;
  std::map<pid_t, int> births;
  for (const Seen& event : recorder.seen()) {
    const bool fork = event.type() == KNELL_EVENT_FORK;
    const pid_t pid = fork ? event.raw.child_pid : event.pid();
    if (fork) ++births[pid];
    std::string words;
    if (fork) words = "born of " + std::to_string(event.raw.pid);
    if (event.type() == KNELL_EVENT_EXEC) words = "exec";
    if (event.type() == KNELL_EVENT_EXIT)
      words = "exit " + (event.status() ? std::to_string(*event.status()) : std::string("?"));
    lives[{pid, births[pid]}].push_back(words);
  }
  return lives;
}

std::string text_of(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + "; ";
  return text;
}

}  // namespace

TEST(Bpf, ReportsWhatTheConnectorReports) {
  KNELL_NEEDS(lacks_connector());
  KNELL_NEEDS(lacks_bpf());
  const TemporaryDirectory directory;
  Stage stage([&](std::vector<Fate>& fates) { everything(directory.path(), fates); });
  constexpr uint32_t kMask = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT;
  Recorder bpf({.events = kMask, .matches = {{"under", stage.name()}}, .via = "bpf"});
  Recorder connector({.events = kMask, .matches = {{"under", stage.name()}}});
  ASSERT_TRUE(bpf.ok() && connector.ok());
  stage.begin();
  while (!stage.over(std::chrono::milliseconds(1))) {
    // Drains both in turn: during a storm, the buffer of the other source would overflow otherwise.
    bpf.drain(1000);
    connector.drain(1000);
  }
  ASSERT_FALSE(stage.end().empty());
  ASSERT_TRUE(stage.sentinel(bpf));
  ASSERT_TRUE(connector.read_until_exit_of(stage.sentinels().back()));
  EXPECT_TRUE(bpf.of_type(KNELL_EVENT_LOST).empty());
  EXPECT_TRUE(connector.of_type(KNELL_EVENT_LOST).empty());

  const Lives by_bpf = lives_of(bpf), by_connector = lives_of(connector);
  EXPECT_GE(by_bpf.size(), static_cast<size_t>(storm_size()));
  EXPECT_EQ(by_bpf.size(), by_connector.size());
  int differ = 0;
  for (const auto& [id, life] : by_connector) {
    const auto same = by_bpf.find(id);
    if (same != by_bpf.end() && same->second == life) continue;
    if (++differ > 10) break;
    ADD_FAILURE() << "pid " << id.first << ", life " << id.second << ": connector " << text_of(life)
                  << " bpf " << (same == by_bpf.end() ? "nothing" : text_of(same->second));
  }
}

// ------------------------------------------------------------------------------------------------
// exit means that the resources are released

namespace {

// Resources of a process that are released when it has ended.
struct Holding {
  std::string lock_path;
  uint16_t port = 0;
  size_t bytes = 0;
};

size_t memory_to_hold() { return in_vm() ? size_t{16} << 20 : size_t{1} << 30; }

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

bool port_is_free(uint16_t port) {
  const UniqueFd sock(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = loopback(port);
  return ::bind(sock.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

// Takes all these resources, writes its pid and port to `ready`, and waits to be killed.
[[noreturn]] void hold(const Holding& holding, int ready) {
  const int lock = ::open(holding.lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || ::flock(lock, LOCK_EX | LOCK_NB) != 0) ::_exit(125);
  const int sock = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  if (::bind(sock, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
      ::listen(sock, 1) != 0 || ::getsockname(sock, reinterpret_cast<sockaddr*>(&address), &size))
    ::_exit(124);
  void* memory = ::mmap(nullptr, holding.bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) ::_exit(123);
  const int32_t words[2] = {::getpid(), ntohs(address.sin_port)};
  if (::write(ready, words, sizeof words) != sizeof words) ::_exit(122);
  for (;;) ::pause();
}

// The bytes of private memory of the process; 0: none, or the process has ended.
size_t resident_bytes(pid_t pid) {
  for (const std::string& line : lines_of("/proc/" + std::to_string(pid) + "/status"))
    if (line.starts_with("VmRSS:")) return std::stoul(line.substr(6)) << 10;
  return 0;
}

enum class Parent { kWaits, kIgnores, kNeverReaps };

void expect_all_given_back(Parent parent) {
  const TemporaryDirectory directory;
  Holding holding{directory.path() + "/lock", 0, memory_to_hold()};
  Pipe ready = make_pipe();
  Child family = Child::fork([&] {
    if (parent == Parent::kIgnores) ::signal(SIGCHLD, SIG_IGN);
    const pid_t victim = ::fork();
    if (victim == 0) hold(holding, ready.write.get());
    if (parent == Parent::kWaits) ::waitpid(victim, nullptr, 0);
    for (;;) ::pause();
    return 0;
  });
  int32_t words[2] = {};
  ASSERT_EQ(::read(ready.read.get(), words, sizeof words), static_cast<ssize_t>(sizeof words));
  const pid_t victim = words[0];
  const auto port = static_cast<uint16_t>(words[1]);
  ASSERT_GE(resident_bytes(victim), holding.bytes / 2);
  ASSERT_FALSE(port_is_free(port));

  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .latency_ns = 0, .via = "bpf"});
  ::kill(victim, SIGKILL);
  ASSERT_TRUE(recorder.read_until_exit_of(victim));
  const UniqueFd lock(::open(holding.lock_path.c_str(), O_RDWR | O_CLOEXEC));
  EXPECT_EQ(::flock(lock.get(), LOCK_EX | LOCK_NB), 0) << "its lock is held";
  EXPECT_TRUE(port_is_free(port)) << "its port is bound";
  EXPECT_EQ(resident_bytes(victim), 0u) << "its memory was not released";
  const Seen exit = recorder.of(victim).back();
  EXPECT_EQ(exit.status(), std::optional<int>(SIGKILL));
  EXPECT_EQ(exit.args.value_or(std::vector<std::string>{}).empty(), false) << exit.text();
}

}  // namespace

TEST(BpfOver, OfAParentThatWaits) {
  KNELL_NEEDS(lacks_bpf());
  expect_all_given_back(Parent::kWaits);
}
TEST(BpfOver, OfAParentThatIgnores) {
  KNELL_NEEDS(lacks_bpf());
  expect_all_given_back(Parent::kIgnores);
}
TEST(BpfOver, OfAParentThatNeverReaps) {
  KNELL_NEEDS(lacks_bpf());
  expect_all_given_back(Parent::kNeverReaps);
}

// ------------------------------------------------------------------------------------------------
// the sender of the signal

namespace {

std::optional<Seen> death_of(Recorder& recorder, pid_t pid) {
  if (!recorder.read_until_exit_of(pid)) return std::nullopt;
  return recorder.of(pid, KNELL_EVENT_EXIT).back();
}

Recorder::Wish failures_via_bpf() {
  return {.events = KNELL_EVENT_NONZERO_EXIT, .latency_ns = 0, .via = "bpf"};
}

}  // namespace

TEST(BpfKilledBy, AnotherProcess) {
  KNELL_NEEDS(lacks_bpf());
  Recorder recorder(failures_via_bpf());
  recorder.keep_json = true;
  Child victim = Child::fork([] {
    for (;;) ::pause();
    return 0;
  });
  Child killer = Child::fork([&] {
    ::prctl(PR_SET_NAME, "a killer");
    ::kill(victim.pid(), SIGKILL);
    return 0;
  });
  const auto exit = death_of(recorder, victim.pid());
  ASSERT_TRUE(exit);
  EXPECT_TRUE((exit->raw.has & KNELL_HAS_KILLER) != 0) << exit->text();
  EXPECT_EQ(exit->raw.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_USER));
  EXPECT_EQ(exit->raw.killed_by.pid, killer.pid());
  EXPECT_NE(exit->json.find(R"("comm":"a killer")"), std::string::npos) << exit->json;
}

TEST(BpfKilledBy, AFault) {
  KNELL_NEEDS(lacks_bpf());
  Recorder recorder(failures_via_bpf());
  Child victim = Child::fork([] {
    const rlimit none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    void* page = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return *static_cast<volatile int*>(page);
  });
  const auto exit = death_of(recorder, victim.pid());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status(), std::optional<int>(SIGSEGV));
  EXPECT_EQ(exit->raw.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_KERNEL));
  EXPECT_EQ(exit->raw.killed_by.pid, 0);
}

TEST(BpfKilledBy, ALimit) {
  KNELL_NEEDS(lacks_bpf());
  Recorder recorder(failures_via_bpf());
  Child victim = Child::fork([] {
    const rlimit second{1, 2}, none{0, 0};
    ::setrlimit(RLIMIT_CORE, &none);
    ::setrlimit(RLIMIT_CPU, &second);
    for (;;) (void)::getppid();
    return 0;
  });
  const auto exit = death_of(recorder, victim.pid());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->status(), std::optional<int>(SIGXCPU));
  EXPECT_EQ(exit->raw.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_KERNEL));
}

TEST(BpfKilledBy, NullWhenItExited) {
  KNELL_NEEDS(lacks_bpf());
  Recorder recorder(failures_via_bpf());
  Child victim = Child::fork([] {
    ::signal(SIGTERM, [](int) {});
    ::raise(SIGTERM);
    return 15;
  });
  const auto exit = death_of(recorder, victim.pid());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->raw.has & KNELL_HAS_KILLER, 0u);
}

TEST(BpfKilledBy, ItsMemoryCgroupsLimit) {
  KNELL_NEEDS(lacks_bpf());
  KNELL_NEEDS(lacks_root());
  const SmallCgroup cgroup(size_t{16} << 20);
  if (!cgroup.ok()) GTEST_SKIP() << "no memory cgroup can be made here";
  Recorder recorder(failures_via_bpf());
  Child victim = Child::fork([&] {
    if (!cgroup.enter()) return 99;
    constexpr size_t kMuch = size_t{256} << 20;
    void* memory =
        ::mmap(nullptr, kMuch, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < kMuch; i += 4096) static_cast<volatile char*>(memory)[i] = 1;
    return 0;
  });
  const auto exit = death_of(recorder, victim.pid());
  ASSERT_TRUE(exit);
  if (exit->status() == std::optional<int>(99 << 8)) GTEST_SKIP() << "may not enter a cgroup here";
  EXPECT_EQ(exit->status(), std::optional<int>(SIGKILL));
  EXPECT_EQ(exit->raw.killed_by.cause, static_cast<uint32_t>(KNELL_CAUSE_OOM));
  EXPECT_EQ(exit->killer_memory_cgroup, std::optional(cgroup.name()));
  ASSERT_TRUE(victim.wait());
}

// ------------------------------------------------------------------------------------------------
// details

TEST(BpfDetails, OfAChildThatNeverExeced) {
  KNELL_NEEDS(lacks_bpf());
  Recorder recorder(failures_via_bpf());
  Child child = Child::fork([] { return 3; });
  const auto exit = death_of(recorder, child.pid());
  ASSERT_TRUE(exit);
  std::ifstream file("/proc/self/cmdline");
  std::vector<std::string> words;
  for (std::string word; std::getline(file, word, '\0');) words.push_back(word);
  EXPECT_EQ(exit->args, words);
  EXPECT_EQ(exit->exe, link_of("/proc/self/exe"));
  EXPECT_EQ(exit->cwd, std::filesystem::current_path().string());
  EXPECT_EQ(exit->raw.ppid, ::getpid());
  EXPECT_EQ(exit->raw.parent_id.start, start_ticks(::getpid()));
  EXPECT_EQ(exit->raw.uid, ::getuid());
  EXPECT_TRUE(exit->cgroup) << "no cgroup";
  EXPECT_TRUE((exit->raw.has & KNELL_HAS_DURATION) != 0);
}

TEST(BpfDetails, OfAProgramOlderThanTheListener) {
  KNELL_NEEDS(lacks_bpf());
  const std::vector<std::string> words{victim("exit_with"), "5", "after-eof", "older"};
  Pipe input = make_pipe();
  Child older = Child::spawn(words, {.in = input.read.get()});
  ASSERT_TRUE(wait_for_exec(older.pid(), words[0]));
  const uint64_t start = start_ticks(older.pid());
  Recorder recorder(failures_via_bpf());
  input.write.reset();
  const auto exit = death_of(recorder, older.pid());
  ASSERT_TRUE(exit);
  EXPECT_EQ(exit->args, words);
  EXPECT_EQ(exit->exe, words[0]);
  EXPECT_EQ(exit->comm, "exit_with");
  EXPECT_EQ(exit->raw.id.start, start);
}

TEST(BpfDetails, OfEveryShellThatIsGoneAtOnce) {
  KNELL_NEEDS(lacks_bpf());
  KNELL_NEEDS(lacks_shell());
  Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT, .via = "bpf"});
  std::vector<pid_t> pids;
  for (int i = 0; i < 100; ++i) {
    Child shell = Child::spawn({"/bin/sh", "-c", "exit 7"});
    pids.push_back(shell.pid());
    ASSERT_TRUE(shell.wait());
  }
  const std::vector<std::string> words{"/bin/sh", "-c", "exit 7"};
  for (const pid_t pid : pids) {
    const auto exit = death_of(recorder, pid);
    ASSERT_TRUE(exit);
    EXPECT_EQ(exit->args, words);
  }
}

TEST(BpfDetails, TitleThatWasRewritten) {
  KNELL_NEEDS(lacks_bpf());
  Recorder recorder(failures_via_bpf());
  Child child = Child::fork([] {
    // Fields 48 and 49 of /proc/PID/stat: the addresses of the arguments. Servers write their
    // titles there.
    std::ifstream file("/proc/self/stat");
    std::string field;
    unsigned long start = 0, end = 0;
    for (int i = 1; i <= 49 && file >> field; ++i) {
      if (i == 48) start = std::stoul(field);
      if (i == 49) end = std::stoul(field);
    }
    constexpr char kTitle[] = "server: at work";
    if (start == 0 || end - start < sizeof kTitle) return 99;
    std::memset(reinterpret_cast<void*>(start), 0, end - start);
    std::memcpy(reinterpret_cast<void*>(start), kTitle, sizeof kTitle);
    return 3;
  });
  const auto exit = death_of(recorder, child.pid());
  ASSERT_TRUE(exit);
  ASSERT_EQ(exit->status(), std::optional<int>(3 << 8));
  ASSERT_TRUE(exit->args);
  if (exit->args->front() != "server: at work" && in_vm())
    GTEST_SKIP() << "this kernel does not let a dying process be read";
  EXPECT_EQ(exit->args, std::vector<std::string>{"server: at work"});
}

// ------------------------------------------------------------------------------------------------
// waking up

// Single exits, each at another time while the reader falls asleep. Each must wake the reader,
// since no later event will.
TEST(BpfWakeUps, NoneIsMissed) {
  KNELL_NEEDS(lacks_bpf());
  for (const int64_t latency_ns : {0, 1'000'000, 10'000'000}) {
    SCOPED_TRACE(latency_ns);
    Stage stage([](std::vector<Fate>& fates) {
      Fate fate;
      fate.pid = fork_running([] { return 3; });
      fate.status = reap(fate.pid);
      fates.push_back(fate);
    });
    Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                       .details = KNELL_DETAILS_STATUS,
                       .latency_ns = latency_ns,
                       .matches = {{"under", stage.name()}},
                       .via = "bpf"});
    ASSERT_TRUE(recorder.ok());
    const int times = in_vm() ? 100 : latency_ns > 5'000'000 ? 200 : 1000;
    for (int i = 0; i < times; ++i) {
      const std::vector<Fate> fates = stage.play_unread();
      ASSERT_EQ(fates.size(), 1u);
      // Sometimes the next exit happens while the pacing is still active, sometimes when the reader
      // is asleep.
      if (i % 7 == 0) ::usleep(static_cast<useconds_t>(i % 13) * 1000);
      ASSERT_TRUE(recorder.read_until_exit_of(fates[0].pid))
          << "exit " << i << " did not wake the reader";
      recorder.forget();
    }
  }
}

TEST(BpfWakeUps, ThereAreNoneWhenNothingHappens) {
  KNELL_NEEDS(lacks_bpf());
  // This process has no descendants, so events of other processes do not matter; with details
  // `status` the listener does not receive new cgroups either, which other tests create.
  Child idle = Child::fork([] {
    for (;;) ::pause();
    return 0;
  });
  Recorder recorder({.events = KNELL_EVENT_EXIT,
                     .details = KNELL_DETAILS_STATUS,
                     .matches = {{"under", std::to_string(idle.pid())}},
                     .via = "bpf"});
  ASSERT_TRUE(recorder.ok());
  recorder.drain();
  const uint64_t before = recorder.listener().stats().wakeups;
  pollfd fd{recorder.listener().fd(), POLLIN, 0};
  const int woken = ::poll(&fd, 1, 2000);
  EXPECT_EQ(woken, 0) << "an idle listener was woken";
  EXPECT_LE(recorder.listener().stats().wakeups - before, 1u);
}

// ------------------------------------------------------------------------------------------------
// of some cgroups only

namespace {

// The mount point of the hierarchy of the reported cgroup paths; empty: it is not mounted.
std::string cgroup_mount() {
  for (const char* mount : {"/sys/fs/cgroup/systemd", "/sys/fs/cgroup"})
    if (::access((std::string(mount) + "/cgroup.procs").c_str(), W_OK) == 0) return mount;
  return {};
}

bool enter(const std::string& cgroup) {
  std::ofstream procs(cgroup + "/cgroup.procs");
  procs << 0 << std::flush;
  return static_cast<bool>(procs);
}

pid_t die_in(const std::string& cgroup) {
  Child child = Child::fork([&] { return enter(cgroup) ? 3 : 99; });
  const pid_t pid = child.pid();
  EXPECT_EQ(child.wait(), std::optional<int>(3 << 8)) << cgroup;
  return pid;
}

}  // namespace

TEST(BpfCgroups, AreFollowedAsTheyComeAndGo) {
  KNELL_NEEDS(lacks_bpf());
  KNELL_NEEDS(lacks_root());
  const std::string mount = cgroup_mount();
  if (mount.empty()) GTEST_SKIP() << "no cgroups can be made here";
  const std::string name = "/knell-test-" + std::to_string(::getpid());
  const std::string path = mount + name;
  Recorder recorder(
      {.events = KNELL_EVENT_NONZERO_EXIT, .matches = {{"cgroup", name}}, .via = "bpf"});
  ASSERT_TRUE(recorder.ok());
  const uint64_t before = recorder.listener().stats().received;
  std::vector<pid_t> inside;
  // The cgroup is created after the listener has requested it, then removed and created again:
  // another inode under the same path.
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
    inside.push_back(die_in(path));
    ASSERT_EQ(::mkdir((path + "/below").c_str(), 0700), 0);
    inside.push_back(die_in(path + "/below"));
    Child outside = Child::fork([] { return 4; });
    ASSERT_TRUE(outside.wait());
    ASSERT_EQ(::rmdir((path + "/below").c_str()), 0);
    ASSERT_EQ(::rmdir(path.c_str()), 0);
  }
  for (const pid_t pid : inside) EXPECT_TRUE(recorder.read_until_exit_of(pid));
  EXPECT_EQ(recorder.seen().size(), inside.size());
  // Counts details, marks and the two new cgroups, but no event of a process outside.
  EXPECT_LE(recorder.listener().stats().received - before, 2 * inside.size() + 6);
}

// ------------------------------------------------------------------------------------------------
// overload

namespace {

// More exits than fit in the ring, the reserve and the map behind it, which hold 80,000.
int overload_size() { return in_vm() ? 100'000 : 200'000; }

void blow(std::vector<Fate>& fates) {
  storm(overload_size(), 10, 3);
  fates.push_back({});
}

}  // namespace

// Exits whose details found no room pass predicates about them: a listener with such a predicate
// gets all exits of the storm.
TEST(BpfLoss, ExitsWithoutDetailsPassPredicatesAboutThem) {
  KNELL_NEEDS(lacks_bpf());
  constexpr int kCount = 4000, kOneIn = 10, kCode = 3;
  Stage stage([](std::vector<Fate>& fates) {
    ::prctl(PR_SET_NAME, "knell-storm");
    storm(kCount, kOneIn, kCode);
    fates.push_back({});
  });
  for (const auto& [key, value] : std::vector<std::pair<std::string, std::string>>{
           {"comm", "knell-storm"}, {"comm", "!cron"}, {"exe", "/*"}, {"tty", "!tty1"}}) {
    Recorder recorder({.events = KNELL_EVENT_NONZERO_EXIT,
                       .buffer_bytes = 4096,
                       .matches = {{"under", stage.name()}, {key, value}},
                       .via = "bpf"});
    ASSERT_TRUE(recorder.ok());
    ASSERT_FALSE(stage.play_unread().empty());
    const auto failures = [&] {
      return std::ranges::count_if(recorder.seen(), [](const Seen& seen) {
        return seen.status() == std::optional<int>(kCode << 8);
      });
    };
    EXPECT_TRUE(recorder.read_until([&] { return failures() >= kCount / kOneIn; }))
        << key << " " << value << ": " << failures() << " exits";
    const auto without_details = std::ranges::count_if(recorder.seen(), [](const Seen& seen) {
      return (seen.raw.flags & KNELL_FLAG_DETAILS_LOST) != 0;
    });
    EXPECT_GT(without_details, kCount / kOneIn / 2) << "details were not lost: the test is void";
    EXPECT_TRUE(recorder.of_type(KNELL_EVENT_LOST).empty());
    for (const Seen& seen : recorder.seen()) {
      EXPECT_EQ(!seen.comm, (seen.raw.flags & KNELL_FLAG_DETAILS_LOST) != 0) << seen.text();
      EXPECT_NE(seen.raw.has & KNELL_HAS_UID, 0U) << seen.text();
    }
  }
}

// The listener does not read during the storm: its reported and lost events must add up to all.
TEST(BpfLoss, IsCountedExactly) {
  KNELL_NEEDS(lacks_bpf());
  Stage stage(blow);
  Recorder recorder({.events = KNELL_EVENT_EXIT,
                     .buffer_bytes = 64 << 10,
                     .matches = {{"under", stage.name()}},
                     .via = "bpf"});
  ASSERT_TRUE(recorder.ok());
  ASSERT_FALSE(stage.play_unread().empty());
  // Reading makes room again for the sentinel.
  ASSERT_TRUE(recorder.read_until([&] { return !recorder.of_type(KNELL_EVENT_LOST).empty(); }));
  recorder.drain();
  ASSERT_TRUE(stage.sentinel(recorder));
  uint64_t reported = 0, lost = 0;
  for (const Seen& event : recorder.seen()) {
    if (event.type() != KNELL_EVENT_LOST) {
      ++reported;
      continue;
    }
    EXPECT_TRUE((event.raw.has & KNELL_HAS_COUNT) != 0);
    EXPECT_EQ(event.raw.lost_types & KNELL_EVENT_EXIT, KNELL_EVENT_EXIT);
    lost += event.raw.lost_count;
  }
  EXPECT_GT(lost, 0u) << "nothing was lost: the test is void";
  EXPECT_EQ(reported + lost, static_cast<uint64_t>(overload_size()) + 1) << "and the sentinel";
}

}  // namespace knell::test
