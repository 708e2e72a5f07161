// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/process_table.h"

#include <gtest/gtest.h>

#include <vector>

#include "process/fake_proc.h"

namespace knell::process {
namespace {

using NumberList = std::vector<event::NamespacePid>;

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kTick = Timebase::kTickNs;

class ProcessTableTest : public ::testing::Test {
 protected:
  ProcessTableTest() { clock.now_ns = 100 * kSecond; }

  ProcessTable& table() {
    if (!table_) {
      reader_ = tree.reader();
      table_.emplace(*reader_, clock, time, 0xabcd, limits, fake_namespaces_from);
    }
    return *table_;
  }
  void keep(const Kept& kept) {
    if (table().keep(kept)) table().begin_scan();
    scan();
  }
  void keep_details(uint32_t details = KNELL_DETAILS_FULL) { keep({.details = details}); }
  void keep_owners(bool namespaces = true) { keep({.owners = true, .namespaces = namespaces}); }
  void scan() {
    ScanBudget all;
    EXPECT_TRUE(table().scan_some(all));
  }
  void search() {
    ScanBudget all;
    EXPECT_TRUE(table().scan_under_roots(all));
  }

  static event::Raw raw_of(uint32_t what, int32_t pid, int32_t tid, uint64_t at) {
    event::Raw raw;
    raw.what = what;
    raw.stamp_ns = at;
    raw.pid = pid;
    raw.tid = tid;
    return raw;
  }
  void fork(int32_t parent, int32_t child, uint64_t at) { thread(parent, child, child, at); }
  void thread(int32_t parent, int32_t pid, int32_t tid, uint64_t at) {
    event::Raw raw = raw_of(KNELL_EVENT_FORK, pid, tid, at);
    raw.u.fork = {parent, parent};
    table().on_fork(raw);
  }
  void exec(int32_t pid, uint64_t at) { table().on_exec(raw_of(KNELL_EVENT_EXEC, pid, pid, at)); }
  void change_uid(int32_t pid, int32_t tid, uint32_t uid, uint64_t at) {
    event::Raw raw = raw_of(KNELL_EVENT_UID, pid, tid, at);
    raw.u.id = {uid, 0};
    table().on_change(raw);
  }
  void birth(int32_t child, uint64_t at, uint32_t uid, std::vector<event::NamespacePids> levels) {
    table().on_birth({.pid = child,
                      .tid = child,
                      .start = at / kTick,
                      .uid = uid,
                      .stamp_ns = at,
                      .levels = levels,
                      .levels_known = true});
  }
  // The fields that describe() fills in for an event of this process at this time.
  const knell_event& described(int32_t pid, uint64_t at,
                               ProcessTable::ReadProc read = ProcessTable::ReadProc::kNo) {
    slot = Slot();
    slot.event.type = KNELL_EVENT_EXIT;
    slot.event.mono_ns = at;
    slot.event.pid = pid;
    table().describe(slot, pid, read);
    return slot.event;
  }
  static std::string text(const knell_string& string) {
    return string.data == nullptr ? "unknown" : std::string(string.data, string.size);
  }
  // The pids in namespaces, as text for readable failures.
  std::string numbers(int32_t tid, uint64_t at) {
    const auto found = table().numbers_of(tid, at);
    if (!found.known) return "unknown";
    std::string all;
    for (const event::NamespacePid& number : found.of)
      all += std::to_string(number.ns) + ":" + std::to_string(number.nr) + " ";
    return all;
  }
  bool is_under(const filter::Root& root, int32_t pid) {
    knell_event event{};
    event.pid = pid;
    return table().is_under(root, event);
  }

  FakeProc tree;
  FakeClock clock;
  Timebase time;
  TableLimits limits;
  Slot slot;
  std::optional<ProcReader> reader_;
  std::optional<ProcessTable> table_;
};

// ---------------------------------------------------------------------------------------- live set

TEST_F(ProcessTableTest, TheLiveSetOutlivesTheDataOfAnEntry) {
  tree.add(50, {.start = 1});
  keep_details();
  table().add_live(50)->start = 1;
  table().forget(50);
  EXPECT_EQ(table().id_of(50, clock.now_ns).kind, static_cast<uint32_t>(KNELL_ID_NONE));
  fork(40, 50, clock.now_ns + kTick / 2);  // another process has the pid
  ASSERT_NE(table().find_live(50), nullptr);
  EXPECT_EQ(table().find_live(50)->start, 1U);
  EXPECT_EQ(table().live_count(), 1U);
  table().remove_live(50);
  EXPECT_EQ(table().find_live(50), nullptr);
  EXPECT_EQ(table().live_count(), 0U);
  EXPECT_NE(table().at(50, UINT64_MAX), nullptr) << "the data stay";
}

TEST_F(ProcessTableTest, AnEntryOfTheLiveSetOnlyHidesNothing) {
  tree.add(40, {.start = 1, .comm = "parent"});
  tree.add(50, {.ppid = 40, .start = 2, .comm = "child"});
  clock.now_ns = 100 * kSecond;
  (void)table().keep({.details = KNELL_DETAILS_FULL});
  for (const int32_t pid : {40, 50}) table().add_live(pid)->start = 1;
  slot.event.mono_ns = clock.now_ns;
  table().describe(slot, 50, ProcessTable::ReadProc::kYes);
  EXPECT_EQ(std::string(slot.event.comm.data, slot.event.comm.size), "child");
  EXPECT_EQ(std::string(slot.event.parent_comm.data, slot.event.parent_comm.size), "parent");
  EXPECT_EQ(slot.event.parent_id.kind, static_cast<uint32_t>(KNELL_ID_START));
}

TEST_F(ProcessTableTest, ProcessesOfTheLiveSetAreNeitherSweptNorErasedByAScan) {
  for (int pid = 50; pid < 54; ++pid) tree.add(pid, {.start = 1});
  keep_details();
  for (const int32_t pid : {50, 51}) table().add_live(pid)->start = 1;
  for (int pid = 50; pid < 54; ++pid) tree.remove(pid);
  const auto gone = [](int32_t) { return true; };
  for (int i = 0; i < 2; ++i) {
    clock.now_ns += 2 * GoneTimer::kGoneNs;
    table().sweep(100, gone);
  }
  EXPECT_EQ(table().size(), 2U);
  table().read_again();
  ScanBudget all;
  (void)table().scan_some(all);
  EXPECT_EQ(table().size(), 2U);
  EXPECT_NE(table().at(50, UINT64_MAX)->image, nullptr) << "its exit may still be reported";
}

TEST_F(ProcessTableTest, TheLiveSetMovesToAnotherTable) {
  ProcessTable other(*reader_, clock, time, 1);
  *other.add_live(50) = {.start = 7, .round = 3, .alive = true, .executed = true};
  table().move_live_from(other);
  EXPECT_EQ(other.live_count(), 0U);
  EXPECT_EQ(other.size(), 0U);
  ASSERT_NE(table().find_live(50), nullptr);
  EXPECT_EQ(table().find_live(50)->start, 7U);
  EXPECT_TRUE(table().find_live(50)->executed);
}

TEST_F(ProcessTableTest, AFullTableIsNoErrorForTheLiveSet) {
  limits.tasks = 1;
  EXPECT_NE(table().add_live(50), nullptr);
  EXPECT_EQ(table().add_live(51), nullptr);
  EXPECT_EQ(table().forgotten(), 1U);
}

// ----------------------------------------------------------------------------------------- details

TEST_F(ProcessTableTest, ScansInPieces) {
  for (int pid = 50; pid < 55; ++pid) tree.add(pid, {.start = 1});
  keep_details();
  tree.remove(52);  // the process ends without an exit event
  clock.now_ns += kSecond;
  table().read_again();
  fork(50, 60, clock.now_ns + kTick / 2);
  int pieces = 1;
  for (;; ++pieces) {
    ScanBudget one{.left = 1};
    if (table().scan_some(one)) break;
  }
  EXPECT_EQ(pieces, 5);
  EXPECT_EQ(table().at(52, UINT64_MAX), nullptr);
  EXPECT_NE(table().at(54, UINT64_MAX), nullptr);
  EXPECT_NE(table().at(60, UINT64_MAX), nullptr) << "born since the scan began";
}

// In a hierarchy of version 1 the kernel shows "/" for every process that is exiting.
TEST_F(ProcessTableTest, IgnoresTheRootCgroupOfAnExitingProcess) {
  const std::string root = "1:name=systemd:/\n0::/\n";
  tree.add(50, {.flags = 4, .cgroup = root});
  tree.add(51, {.cgroup = root});
  tree.add(52, {.flags = 4, .cgroup = "0::/\n"});
  keep_details();
  const auto cgroup = [&](int32_t pid) { return table().at(pid, clock.now_ns)->cgroup; };
  EXPECT_EQ(cgroup(50), nullptr);
  ASSERT_NE(cgroup(51), nullptr);
  EXPECT_EQ(cgroup(51)->path, "/");
  EXPECT_NE(cgroup(52), nullptr);
}

TEST_F(ProcessTableTest, AnEmptyNameIsKnown) {
  tree.add(50, {.comm = ""});
  keep_details();
  EXPECT_NE(described(50, 101 * kSecond).comm.data, nullptr);
  EXPECT_EQ(slot.event.comm.size, 0U);
  exec(50, 102 * kSecond);
  tree.remove(50);
  exec(50, 103 * kSecond);
  EXPECT_EQ(described(50, 104 * kSecond).comm.data, nullptr)
      << "unknown after an exec that was not read";
}

TEST_F(ProcessTableTest, AStartIsTheTickOfTheForkUnlessATickIsNear) {
  tree.add(40, {.start = 1});
  keep_details();
  fork(40, 50, 10'010 * kTick + kTick / 2);
  EXPECT_EQ(table().id_of(50, 10'011 * kTick).start, 10'010U);
  EXPECT_EQ(table().id_of(50, 10'011 * kTick).kind, static_cast<uint32_t>(KNELL_ID_START));

  fork(40, 51, 10'020 * kTick + 1000);
  EXPECT_EQ(table().id_of(51, 10'021 * kTick).kind, static_cast<uint32_t>(KNELL_ID_STAMP))
      << "one of two: unknown";

  tree.add(52, {.start = 10'019});
  fork(40, 52, 10'020 * kTick + 1000);
  EXPECT_EQ(table().id_of(52, 10'021 * kTick).start, 10'019U) << "as in /proc";
}

TEST_F(ProcessTableTest, StartsIncludeSuspendedTime) {
  time.boot_ahead_ns = 1000 * static_cast<int64_t>(kTick);
  tree.add(40, {.start = 1});
  keep_details();
  fork(40, 50, 10'010 * kTick + kTick / 2);
  EXPECT_EQ(table().id_of(50, 10'011 * kTick).start, 11'010U);
}

TEST_F(ProcessTableTest, AnEntryReadAfterAQueuedForkIsKept) {
  tree.add(50, {.ppid = 40, .start = 10, .comm = "later"});
  keep_details();
  fork(40, 50, 10 * kTick + kTick / 2);
  EXPECT_EQ(text(described(50, 40 * kTick).comm), "later");
}

TEST_F(ProcessTableTest, AnExitQueuedBeforeThePidWasReusedIsNotTheNewProcess) {
  tree.add(50, {.start = 100, .comm = "new"});
  keep_details();
  EXPECT_EQ(table().at(50, 50 * kTick), nullptr);
  table().on_exit(50, 50 * kTick);
  EXPECT_NE(table().at(50, 150 * kTick), nullptr);
  EXPECT_EQ(described(50, 50 * kTick, ProcessTable::ReadProc::kYes).comm.data, nullptr)
      << "/proc shows a process that began later";
}

TEST_F(ProcessTableTest, InheritsAndDropsTheTerminal) {
  tree.add(40, {.tty = 0x8803});
  keep_details();
  fork(40, 50, 101 * kSecond);
  const auto tty = [&](int32_t pid) { return text(described(pid, 102 * kSecond).tty); };
  EXPECT_EQ(tty(40), "pts/3");
  EXPECT_EQ(tty(50), "pts/3");
  table().on_change(raw_of(KNELL_EVENT_SID, 50, 50, 102 * kSecond));
  EXPECT_EQ(tty(50), "unknown");
  EXPECT_EQ(tty(40), "pts/3");
  tree.add(50, {.start = 10'100, .tty = 0x401});
  exec(50, 102 * kSecond);
  EXPECT_EQ(tty(50), "tty1");
}

TEST_F(ProcessTableTest, AnExecReadsTheNewProgram) {
  tree.add(40, {.start = 1, .comm = "sh", .cmdline = std::string("sh\0", 3)});
  keep_details();
  fork(40, 50, 10'010 * kTick + kTick / 2);
  tree.add(50, {.start = 10'010,
                .comm = "grep",
                .cmdline = std::string("grep\0-q\0", 8),
                .cgroup = "0::/a.service\n"});
  exec(50, 10'011 * kTick);
  described(50, 10'012 * kTick);
  EXPECT_EQ(text(slot.event.args), std::string("grep\0-q\0", 8));
  EXPECT_EQ(text(slot.event.unit), "a.service");
  EXPECT_EQ(slot.event.duration_ns, 2 * kTick - kTick / 2);
}

TEST_F(ProcessTableTest, ReadsNoProgramWithDetailsNames) {
  tree.add(50, {.start = 1, .cmdline = std::string("sh\0", 3)});
  keep_details(KNELL_DETAILS_NAMES);
  ASSERT_NE(table().at(50, clock.now_ns), nullptr);
  EXPECT_EQ(table().at(50, clock.now_ns)->image, nullptr);
}

TEST_F(ProcessTableTest, KeepsItsLimitAndCountsTheRest) {
  limits.tasks = 10;
  tree.add(40, {.start = 1});
  keep_details();
  for (int32_t pid = 100; pid < 200; ++pid) fork(40, pid, 101 * kSecond);
  EXPECT_EQ(table().size(), 10U);
  EXPECT_EQ(table().forgotten(), 91U);
}

TEST_F(ProcessTableTest, LimitsTextAndReleasesIt) {
  limits.text_bytes = 10'000;
  tree.add(40, {.start = 1, .cmdline = std::string(4000, 'x') + std::string(1, '\0')});
  tree.add(41, {.start = 1, .cmdline = std::string(4000, 'x') + std::string(1, '\0')});
  tree.add(42, {.start = 1, .cmdline = std::string(4000, 'x') + std::string(1, '\0')});
  keep_details();
  EXPECT_EQ(table().forgotten(), 1U);
  for (const int32_t pid : {40, 41, 42}) table().on_exit(pid, 101 * kSecond);
  table().read_one(42);
  EXPECT_NE(table().at(42, clock.now_ns)->image, nullptr);
}

// While fewer details were kept, the process called exec.
TEST_F(ProcessTableTest, ReadsAgainWhatWasNotKeptForAWhile) {
  tree.add(40, {.start = 1, .comm = "old", .cmdline = std::string("old\0", 4)});
  keep_details();
  fork(40, 50, 100 * kSecond);
  for (const uint32_t less : {KNELL_DETAILS_NAMES, KNELL_DETAILS_STATUS}) {
    keep_details(less);
    tree.remove(50);
    tree.add(50, {.ppid = 40, .start = 10'000, .comm = "new", .cmdline = std::string("new\0", 4)});
    exec(50, 100 * kSecond + 1);
    keep_details();
    const knell_event& event = described(50, 101 * kSecond);
    EXPECT_EQ(std::string(event.args.data, event.args.size), std::string("new\0", 4));
    EXPECT_EQ(std::string(event.comm.data, event.comm.size), "new");
  }
}

// ----------------------------------------------------------------------------------------- threads

TEST_F(ProcessTableTest, CountsThreadsFromTheirBirth) {
  tree.add(40, {.start = 1, .threads = 3});
  tree.add(41, {.start = 1});
  keep({.threads = true});
  EXPECT_EQ(table().other_threads(40), ProcessTable::kUncounted);
  EXPECT_EQ(table().other_threads(41), 0U);
  thread(41, 41, 42, 101 * kSecond);
  thread(41, 41, 43, 101 * kSecond);
  EXPECT_EQ(table().other_threads(41), 2U);
  table().on_thread_exit(raw_of(KNELL_EVENT_EXIT, 41, 43, 101 * kSecond));
  EXPECT_EQ(table().other_threads(41), 1U);
  table().on_single_thread(41);
  EXPECT_EQ(table().other_threads(41), 0U);
  EXPECT_EQ(table().size(), 1U) << "only processes with other threads";
  table().on_lost(KNELL_EVENT_EXEC);
  EXPECT_EQ(table().other_threads(41), ProcessTable::kUnknown);
}

TEST_F(ProcessTableTest, DoesNotCountBeyondItsLimit) {
  limits.tasks = 1;
  keep({.threads = true});
  thread(41, 41, 42, 101 * kSecond);
  thread(51, 51, 52, 101 * kSecond);
  EXPECT_EQ(table().other_threads(51), ProcessTable::kUnknown);
}

// ----------------------------------------------------------------------------------------- descent

TEST_F(ProcessTableTest, FindsWhatIsUnderARootAlready) {
  tree.add(40, {.ppid = 1, .start = 1});
  // The pid is smaller than that of its parent, so a second pass is needed
  tree.add(30, {.ppid = 40, .start = 2});
  tree.add(20, {.ppid = 30, .start = 3});
  tree.add(50, {.ppid = 1, .start = 4});
  const std::vector<filter::Root> roots{{40}};
  EXPECT_TRUE(table().follow(roots));
  search();
  EXPECT_TRUE(is_under({40}, 40));
  EXPECT_TRUE(is_under({40}, 20));
  EXPECT_FALSE(is_under({40}, 50));
  EXPECT_FALSE(is_under({41}, 20));
  EXPECT_EQ(table().size(), 3U);
}

TEST_F(ProcessTableTest, AChildIsUnderTheRootsOfItsParent) {
  tree.add(40, {.start = 1});
  EXPECT_TRUE(table().follow(std::vector<filter::Root>{{40}}));
  search();
  fork(40, 50, 101 * kSecond);
  fork(50, 60, 101 * kSecond);
  table().on_exit(50, 102 * kSecond);
  EXPECT_TRUE(is_under({40}, 60)) << "its parent has ended";
  fork(1, 60, 103 * kSecond);
  EXPECT_FALSE(is_under({40}, 60)) << "another process";
  EXPECT_TRUE(table().follow({}));
  EXPECT_EQ(table().size(), 0U);
}

TEST_F(ProcessTableTest, ARootsOwnForkMayStillBeQueued) {
  tree.add(40, {.start = 10'000});
  EXPECT_TRUE(table().follow(std::vector<filter::Root>{{40}}));
  fork(1, 40, clock.now_ns - 1000);
  EXPECT_TRUE(is_under({40}, 40));
}

TEST_F(ProcessTableTest, ALaterProcessWithThePidOfARootIsAnotherRoot) {
  constexpr filter::Root kFirst{.pid = 40, .start = 1}, kLater{.pid = 40, .start = 1000};
  tree.add(40, {.ppid = 1, .start = 1});
  tree.add(30, {.ppid = 40, .start = 2});
  EXPECT_TRUE(table().follow(std::vector{kFirst}));
  search();
  table().on_exit(40, 101 * kSecond);
  tree.add(40, {.ppid = 1, .start = 1000});
  tree.add(30, {.ppid = 1, .start = 2});
  tree.add(50, {.ppid = 40, .start = 1001});
  EXPECT_TRUE(table().follow(std::vector{kFirst, kLater}));
  search();
  fork(30, 60, 102 * kSecond);
  fork(40, 70, 102 * kSecond);
  for (const int32_t pid : {30, 60}) {
    EXPECT_TRUE(is_under(kFirst, pid)) << pid;
    EXPECT_FALSE(is_under(kLater, pid)) << pid;
  }
  for (const int32_t pid : {40, 50, 70}) {
    EXPECT_FALSE(is_under(kFirst, pid)) << pid;
    EXPECT_TRUE(is_under(kLater, pid)) << pid;
  }
}

TEST_F(ProcessTableTest, TheExitOfAnEarlierProcessWithThePidOfARootMayStillBeQueued) {
  constexpr filter::Root kFirst{.pid = 40, .start = 1}, kLater{.pid = 40, .start = 9'000};
  keep_details();
  tree.add(40, {.ppid = 1, .start = 1});
  EXPECT_TRUE(table().follow(std::vector{kFirst}));
  search();
  clock.now_ns += kSecond;
  tree.add(40, {.ppid = 1, .start = 9'000});
  EXPECT_TRUE(table().follow(std::vector{kFirst, kLater}));
  search();
  fork(40, 50, clock.now_ns - 3000);
  table().on_exit(40, clock.now_ns - 2000);
  fork(1, 40, clock.now_ns - 1000);
  fork(40, 60, clock.now_ns);
  EXPECT_TRUE(is_under(kFirst, 50));
  EXPECT_FALSE(is_under(kLater, 50));
  for (const int32_t pid : {40, 60}) {
    EXPECT_FALSE(is_under(kFirst, pid)) << pid;
    EXPECT_TRUE(is_under(kLater, pid)) << pid;
  }
}

// As after a restart of knelld, whose clients keep their roots.
TEST_F(ProcessTableTest, ARootThatHasEndedIsNotTheProcessWithItsPid) {
  constexpr filter::Root kEnded{.pid = 40, .start = 1};
  tree.add(40, {.ppid = 1, .start = 1000});
  tree.add(50, {.ppid = 40, .start = 1001});
  EXPECT_TRUE(table().follow(std::vector{kEnded}));
  search();
  fork(1, 40, clock.now_ns - 1000);
  for (const int32_t pid : {40, 50}) EXPECT_FALSE(is_under(kEnded, pid)) << pid;
}

TEST_F(ProcessTableTest, FollowsSixtyFourRoots) {
  std::vector<filter::Root> roots;
  for (int32_t pid = 100; pid < 164; ++pid) roots.push_back({pid});
  EXPECT_TRUE(table().follow(roots));
  roots.push_back({200});
  EXPECT_FALSE(table().follow(roots));
  roots.erase(roots.begin());
  EXPECT_TRUE(table().follow(roots));
}

// ------------------------------------------------------------------------------------------ owners

TEST_F(ProcessTableTest, ReadsExistingOwners) {
  tree.add(10, {.start = 5, .uid = 1000});
  tree.add(11, {.start = 6, .uid = 0, .numbers = {{70, 5}, {71, 1}}});
  keep_owners();
  tree.remove(10);
  tree.remove(11);
  EXPECT_EQ(table().uid_of(10, 101 * kSecond), 1000U);
  EXPECT_EQ(numbers(10, 101 * kSecond), "");
  EXPECT_EQ(table().uid_of(11, 101 * kSecond), 0U);
  EXPECT_EQ(numbers(11, 101 * kSecond), "70:5 71:1 ");
  EXPECT_EQ(table().uid_of(12, 101 * kSecond), std::nullopt);
  EXPECT_EQ(numbers(12, 101 * kSecond), "unknown");
}

TEST_F(ProcessTableTest, AChildInheritsTheUidUntilItChanges) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners(false);
  fork(10, 20, 101 * kSecond);
  fork(20, 30, 102 * kSecond);
  change_uid(20, 20, 7, 103 * kSecond);
  change_uid(30, 31, 8, 103 * kSecond);  // the uid of one thread only
  fork(20, 40, 104 * kSecond);
  EXPECT_EQ(table().uid_of(20, 105 * kSecond), 7U);
  EXPECT_EQ(table().uid_of(30, 105 * kSecond), 1000U);
  EXPECT_EQ(table().uid_of(40, 105 * kSecond), 7U);
}

TEST_F(ProcessTableTest, ABirthReplacesTheEntryOfItsNumber) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  tree.add(11, {.start = 5, .uid = 33});
  keep_owners();
  tree.remove(10);
  fork(11, 10, 101 * kSecond);
  EXPECT_EQ(table().uid_of(10, 101 * kSecond), 33U);
  EXPECT_EQ(numbers(10, 101 * kSecond), "unknown") << "it was gone before /proc was read";
}

// The kernel may be preempted between taking the start and reporting the birth.
TEST_F(ProcessTableTest, AcceptsAStartSomewhatBeforeTheForkEvent) {
  tree.add(10, {.start = 5});
  keep_owners();
  tree.add(20, {.ppid = 10, .start = 10'050, .numbers = {{70, 1}}});
  fork(10, 20, 101 * kSecond);
  tree.remove(20);
  EXPECT_EQ(numbers(20, 101 * kSecond), "70:1 ");
  tree.add(21, {.ppid = 10, .start = 10'102, .numbers = {{70, 2}}});
  fork(10, 21, 101 * kSecond);
  EXPECT_EQ(numbers(21, 101 * kSecond), "unknown") << "/proc shows a later process";
}

TEST_F(ProcessTableTest, AThreadHasItsOwnNumbers) {
  tree.add(10, {.start = 5, .numbers = {{70, 1}}});
  keep_owners();
  tree.add(21, {.start = 10'100, .process = 10, .numbers = {{70, 2}}});
  thread(1, 10, 21, 101 * kSecond);
  tree.remove(21);
  EXPECT_EQ(numbers(21, 101 * kSecond), "70:2 ");
  EXPECT_EQ(numbers(10, 101 * kSecond), "70:1 ");
}

TEST_F(ProcessTableTest, ReadsAnUnknownTaskAtTheFirstQuery) {
  keep_owners();
  for (int tid = 10; tid < 14; ++tid) tree.add(tid, {.start = 5, .numbers = {{70, tid - 9}}});
  for (int tid = 10; tid < 14; ++tid) {
    const std::string expected = "70:" + std::to_string(tid - 9) + " ";
    EXPECT_EQ(numbers(tid, 101 * kSecond), expected);
    tree.remove(tid);
    EXPECT_EQ(numbers(tid, 101 * kSecond), expected) << "stored";
  }
}

TEST_F(ProcessTableTest, ALaterProcessDoesNotAnswerForAnEarlierEvent) {
  keep_owners();
  tree.add(20, {.start = 10'500, .uid = 1000, .numbers = {{70, 1}}});  // born at 105 s
  EXPECT_EQ(table().uid_of(20, 101 * kSecond), std::nullopt);
  EXPECT_EQ(numbers(20, 101 * kSecond), "unknown");
  EXPECT_EQ(table().uid_of(20, 106 * kSecond), 1000U);
  EXPECT_EQ(numbers(20, 106 * kSecond), "70:1 ");
  EXPECT_EQ(table().uid_of(20, 101 * kSecond), std::nullopt) << "stored, but of a later process";
}

TEST_F(ProcessTableTest, AStoredUidIsPreferredToANewerOneInProc) {
  tree.add(10, {.start = 5, .uid = 0});
  keep_owners(false);
  tree.add(10, {.start = 5, .uid = 1000});  // its UID event is still queued
  EXPECT_FALSE(table().keep({.owners = true, .namespaces = false}));
  EXPECT_EQ(table().uid_of(10, 101 * kSecond), 0U);
}

TEST_F(ProcessTableTest, ALossMakesOwnersUnknownUntilTheyAreRead) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  tree.add(11, {.start = 5, .uid = 33});
  keep_owners();
  tree.remove(10);
  clock.now_ns = 103 * kSecond;
  table().on_lost(0);
  EXPECT_EQ(table().uid_of(10, 102 * kSecond), std::nullopt);
  EXPECT_EQ(numbers(10, 102 * kSecond), "unknown");
  EXPECT_EQ(table().uid_of(11, 102 * kSecond), 33U) << "read again";
  fork(11, 20, 102 * kSecond);  // queued before the loss: the parent's number may be in use again
  EXPECT_EQ(table().uid_of(20, 102 * kSecond), std::nullopt);
  fork(11, 30, 104 * kSecond);
  EXPECT_EQ(table().uid_of(30, 104 * kSecond), 33U);
}

TEST_F(ProcessTableTest, ALossOfExitsKeepsOwners) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners();
  tree.remove(10);
  table().on_lost(KNELL_EVENT_EXIT);
  EXPECT_EQ(table().uid_of(10, 102 * kSecond), 1000U);
  table().on_births_lost();
  EXPECT_EQ(table().uid_of(10, 102 * kSecond), std::nullopt);
}

TEST_F(ProcessTableTest, KeepsTheNumbersThatAnotherSourceReported) {
  keep_owners();
  birth(20, 101 * kSecond, 1000, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(1, 20, 101 * kSecond + 1000);  // the same birth, reported by the connector
  EXPECT_EQ(table().uid_of(20, 102 * kSecond), 1000U);
  EXPECT_EQ(numbers(20, 102 * kSecond), "70:9 ");
  birth(20, 105 * kSecond, 33, {});
  EXPECT_EQ(numbers(20, 105 * kSecond), "");
}

TEST_F(ProcessTableTest, ABirthReportedByAnotherSourceInheritsDetails) {
  tree.add(10, {.start = 5, .comm = "parent"});
  keep({.details = KNELL_DETAILS_FULL, .owners = true, .namespaces = true});
  birth(20, 101 * kSecond, 1000, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(10, 20, 101 * kSecond + 1000);
  EXPECT_EQ(text(described(20, 102 * kSecond).comm), "parent");
  EXPECT_EQ(table().uid_of(20, 102 * kSecond), 1000U);
  EXPECT_EQ(numbers(20, 102 * kSecond), "70:9 ");
}

// A source that reports every birth inside a namespace shows that the other births are outside.
TEST_F(ProcessTableTest, ABirthThatIsNotReportedIsInTheInitialNamespace) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners();
  fork(10, 20, 101 * kSecond);
  EXPECT_EQ(numbers(20, 101 * kSecond + 1000), "unknown") << "it ended before /proc was read";
  table().settle_initial_namespace(20, 101 * kSecond + 1000);
  EXPECT_EQ(numbers(20, 101 * kSecond + 1000), "");
  table().settle_initial_namespace(21, 102 * kSecond);
  EXPECT_EQ(numbers(21, 102 * kSecond), "unknown") << "its birth was not reported at all";

  birth(20, 103 * kSecond, 33, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(10, 20, 103 * kSecond + 1000);
  table().settle_initial_namespace(20, 103 * kSecond + 1000);
  EXPECT_EQ(numbers(20, 103 * kSecond + 1000), "70:9 ");

  table().on_births_lost();
  fork(10, 22, 104 * kSecond);
  table().settle_initial_namespace(22, 104 * kSecond);
  EXPECT_EQ(numbers(22, 104 * kSecond), "") << "born after the loss";
}

TEST_F(ProcessTableTest, DoesNotSettleATaskBornBeforeALoss) {
  keep_owners();
  clock.now_ns = 105 * kSecond;
  table().on_births_lost();
  fork(10, 20, 104 * kSecond);
  table().settle_initial_namespace(20, 104 * kSecond);
  EXPECT_EQ(numbers(20, 104 * kSecond), "unknown");
}

// One source is ahead of the other: another process got the pid in between.
TEST_F(ProcessTableTest, ABirthThatIsAheadAnswersForItsOwnProcessOnly) {
  keep_owners();
  birth(20, 103 * kSecond, 33, {{.ns = 70, .child_pid = 9, .child_tid = 9}});
  fork(10, 20, 101 * kSecond);
  EXPECT_EQ(numbers(20, 101 * kSecond + 1000), "unknown");
  table().settle_initial_namespace(20, 101 * kSecond + 1000);
  EXPECT_EQ(numbers(20, 101 * kSecond + 1000), "unknown");
  fork(10, 20, 103 * kSecond + 1000);
  EXPECT_EQ(numbers(20, 103 * kSecond + 2000), "70:9 ");
}

// An exit that is decided after its pid is in use again.
TEST_F(ProcessTableTest, ALaterProcessDoesNotAnswerForAnEarlierStamp) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners(false);
  fork(10, 20, 101 * kSecond);
  fork(10, 20, 103 * kSecond);
  EXPECT_EQ(table().uid_of(20, 103 * kSecond), 1000U);
  EXPECT_EQ(table().uid_of(20, 102 * kSecond), std::nullopt);
}

TEST_F(ProcessTableTest, ATaskInTooManyNamespacesIsUnknown) {
  NumberList deep;
  for (uint32_t i = 0; i <= event::kMostLevels; ++i) deep.push_back({70 + i, 1});
  tree.add(10, {.start = 5, .numbers = deep});
  deep.pop_back();
  tree.add(11, {.start = 5, .numbers = deep});
  keep_owners();
  EXPECT_EQ(numbers(10, clock.now_ns), "unknown");
  EXPECT_EQ(numbers(11, clock.now_ns), "70:1 71:1 72:1 73:1 74:1 75:1 76:1 77:1 ");
}

TEST_F(ProcessTableTest, NumbersAreReadOnlyWhileKept) {
  tree.add(10, {.start = 5, .numbers = {{70, 4}}});
  keep_owners(false);
  EXPECT_EQ(numbers(10, clock.now_ns), "unknown");
  thread(1, 10, 11, 101 * kSecond);
  EXPECT_EQ(table().size(), 1U) << "threads are stored for their numbers only";
  keep_owners(true);
  EXPECT_EQ(numbers(10, clock.now_ns), "70:4 ");
  keep_owners(false);
  EXPECT_EQ(numbers(10, clock.now_ns), "unknown");
}

TEST_F(ProcessTableTest, WithOwnersEndedTasksStayForAMoment) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners(false);
  fork(10, 20, 101 * kSecond);
  table().on_exit(20, 101 * kSecond);
  const auto gone = [](int32_t pid) { return pid != 10; };
  clock.now_ns = 101 * kSecond + 1000;
  table().sweep(0, gone);
  EXPECT_EQ(table().uid_of(20, 101 * kSecond), 1000U) << "other events of it may come";
  clock.now_ns = 102 * kSecond;
  table().sweep(0, gone);
  EXPECT_EQ(table().size(), 1U);
}

TEST_F(ProcessTableTest, SweepsTasksWhoseEndIsNotReported) {
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  keep_owners();
  const auto gone = [](int32_t) { return true; };
  clock.now_ns = 101 * kSecond;
  table().sweep(10, gone);
  EXPECT_EQ(table().size(), 1U);
  clock.now_ns = 103 * kSecond;
  table().sweep(10, gone);
  EXPECT_EQ(table().size(), 0U);
}

// The entry of a process under a root has no start that a scan could compare.
TEST_F(ProcessTableTest, AScanKeepsWhatIsUnderARoot) {
  tree.add(40, {.start = 1});
  keep({});
  ASSERT_TRUE(table().follow(std::vector<filter::Root>{{40}}));
  search();
  fork(40, 50, 100 * kSecond);
  tree.add(50, {.ppid = 40, .start = 10'000});
  clock.now_ns += kSecond;
  keep({.threads = true});
  EXPECT_NE(table().roots_of(40), 0U);
  EXPECT_NE(table().roots_of(50), 0U);
}

// A lost event may have changed the user of the process.
TEST_F(ProcessTableTest, DescribesNoOldUserAfterALoss) {
  tree.add(40, {.start = 1, .uid = 1000});
  keep({.details = KNELL_DETAILS_FULL, .owners = true});
  EXPECT_NE(described(40, 101 * kSecond).has & KNELL_HAS_UID, 0U);
  tree.remove(40);
  table().on_lost(0);
  EXPECT_EQ(described(40, 102 * kSecond).has & KNELL_HAS_UID, 0U);
}

// The report of another source may be read after the fork event, and after a change of the uid.
TEST_F(ProcessTableTest, ABirthKeepsWhatIsKnownOfTheProcess) {
  tree.add(40, {.start = 1, .uid = 1000});
  keep({.details = KNELL_DETAILS_FULL, .owners = true, .namespaces = true});
  ASSERT_TRUE(table().follow(std::vector<filter::Root>{{40}}));
  search();
  fork(40, 50, 101 * kSecond);
  change_uid(50, 50, 7, 101 * kSecond + 1);
  birth(50, 101 * kSecond, 1000, {{.ns = 70, .child_pid = 3, .child_tid = 3}});
  EXPECT_NE(table().roots_of(50), 0U);
  EXPECT_EQ(table().uid_of(50, 102 * kSecond), 7U);
  EXPECT_EQ(numbers(50, 102 * kSecond), "70:3 ");
  EXPECT_EQ(table().at(50, 100 * kSecond), nullptr) << "an older process had the pid then";
}

TEST_F(ProcessTableTest, AChangeOfAnOlderProcessChangesNothing) {
  tree.add(50, {.start = 200 * kSecond / kTick, .uid = 1000});
  keep_owners();
  change_uid(50, 50, 0, 150 * kSecond);
  EXPECT_EQ(table().uid_of(50, 201 * kSecond), 1000U);
}

TEST_F(ProcessTableTest, TheSearchEndsWhenThereIsNoRoom) {
  limits.tasks = 2;
  for (int pid = 50; pid < 60; ++pid) tree.add(pid, {.ppid = 40});
  ASSERT_TRUE(table().follow(std::vector<filter::Root>{{40}}));
  search();
  EXPECT_EQ(table().size(), 2U);
  EXPECT_GT(table().forgotten(), 0U);
}

// First only threads are counted; later details and owners are requested too.
TEST_F(ProcessTableTest, KeepsTheThreadsOfAProcessThatIsDescribedLater) {
  tree.add(40, {.start = 1, .comm = "server", .threads = 3});
  keep({.threads = true});
  EXPECT_EQ(table().other_threads(40), ProcessTable::kUncounted);
  keep({.details = KNELL_DETAILS_FULL, .threads = true, .owners = true});
  EXPECT_EQ(table().other_threads(40), ProcessTable::kUncounted);
  const knell_event& event = described(40, 101 * kSecond);
  EXPECT_EQ(std::string(event.comm.data, event.comm.size), "server");
}

TEST_F(ProcessTableTest, NoticesALostExecByTheName) {
  tree.add(40, {.start = 1, .comm = "old", .cmdline = std::string("old\0", 4)});
  keep_details();
  tree.remove(40);
  tree.add(40, {.start = 1, .comm = "new", .cmdline = std::string("new\0", 4)});
  table().on_lost(KNELL_EVENT_EXEC);
  table().read_again();
  scan();
  const knell_event& event = described(40, 101 * kSecond);
  EXPECT_EQ(std::string(event.args.data, event.args.size), std::string("new\0", 4));
}

// The scan has passed its place in /proc.
TEST_F(ProcessTableTest, KeepsARootThatIsAddedDuringAScan) {
  for (int pid = 40; pid < 50; ++pid) tree.add(pid, {.start = 1});
  keep({.threads = true});
  table().on_lost(0);
  clock.now_ns += kSecond;
  table().read_again();
  ScanBudget some{.left = 10};
  (void)table().scan_some(some);
  ASSERT_TRUE(table().follow(std::vector<filter::Root>{{40}, {49}}));
  scan();
  EXPECT_NE(table().roots_of(40), 0U);
  EXPECT_NE(table().roots_of(49), 0U);
}

// A leader may exit long before the last of its threads.
TEST_F(ProcessTableTest, KeepsALeaderWhoseProcessLives) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners();
  table().on_exit(10, 101 * kSecond);
  clock.now_ns = 104 * kSecond;
  table().sweep_ended([](int32_t) { return false; });
  EXPECT_EQ(table().size(), 1U);
}

// A thread that ended needs no sweep, which would visit all entries.
TEST_F(ProcessTableTest, ErasesAThreadThatEnded) {
  tree.add(10, {.start = 5, .uid = 1000});
  keep_owners();
  thread(10, 10, 11, 101 * kSecond);
  EXPECT_EQ(table().size(), 2U);
  table().on_thread_exit(raw_of(KNELL_EVENT_EXIT, 10, 11, 102 * kSecond));
  EXPECT_EQ(table().size(), 2U) << "other events of it may come";
  clock.now_ns = 104 * kSecond;
  table().sweep(0, [](int32_t pid) { return pid == 11; });
  EXPECT_EQ(table().size(), 1U);
}

TEST_F(ProcessTableTest, ReadsProcAtEachQueryBeyondTheLimit) {
  limits.tasks = 1;
  tree.add(10, {.start = 5, .uid = 1000, .numbers = {{70, 4}}});
  tree.add(11, {.start = 6, .uid = 1001, .numbers = {{70, 5}}});
  keep_owners();
  EXPECT_EQ(table().size(), 1U);
  EXPECT_GE(table().forgotten(), 1U);
  EXPECT_EQ(table().uid_of(10, 101 * kSecond), 1000U);
  EXPECT_EQ(table().uid_of(11, 101 * kSecond), 1001U);
  EXPECT_EQ(numbers(11, 101 * kSecond), "70:5 ");
  tree.remove(10);
  tree.remove(11);
  EXPECT_NE(table().uid_of(10, 101 * kSecond).has_value(),
            table().uid_of(11, 101 * kSecond).has_value());
}

// Many births and deaths do not grow the table.
TEST_F(ProcessTableTest, ReusesItsMemory) {
  keep_owners();
  size_t bytes = 0;
  for (int round = 0; round < 1000; ++round) {
    const uint64_t at = (101 + static_cast<uint64_t>(round)) * kSecond;
    birth(20, at, 0, {{.ns = 70, .child_pid = round + 1, .child_tid = round + 1}});
    EXPECT_EQ(numbers(20, at), "70:" + std::to_string(round + 1) + " ");
    table().on_exit(20, at);
    clock.now_ns = at + kSecond;
    table().sweep(4, [](int32_t) { return true; });
    EXPECT_EQ(table().size(), 0U);
    if (round == 2) bytes = table().bytes();
  }
  EXPECT_EQ(table().bytes(), bytes);
}

}  // namespace
}  // namespace knell::process
