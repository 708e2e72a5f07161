// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knelld with a resource missing: CPU time, memory, descriptors, a disk for its journal, or a
// correct clock. A native and a durable listener are connected. The events that they get, plus the
// events reported as lost, must equal the results of waitpid(2). A listener that needs no disk must
// get its events while another one waits for the disk. The status must report the problem. When the
// fault is over, knelld must continue without help.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "client/connection_to_server.h"
#include "faults.h"
#include "support/command.h"
#include "support/json.h"
#include "support/needs.h"
#include "support/recorder.h"
#include "support/small_cgroup.h"
#include "support/stage.h"
#include "wire_listener.h"
#include "with_journal.h"

namespace knell::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr int64_t kSecondNs = 1'000'000'000, kDayNs = 86'400 * kSecondNs;
constexpr uint64_t kMebibyte = 1 << 20;

class Faults {
 public:
  explicit Faults(const std::string& folder) : path_(folder + "/faults") {
    const UniqueFd file(::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    KNELL_CHECK(::ftruncate(file.get(), sizeof(knell_faults)) == 0);
    void* const memory =
        ::mmap(nullptr, sizeof(knell_faults), PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
    KNELL_CHECK(memory != MAP_FAILED);
    shared_ = static_cast<knell_faults*>(memory);
  }
  Faults(const Faults&) = delete;
  Faults& operator=(const Faults&) = delete;
  ~Faults() {
    release();
    ::munmap(shared_, sizeof *shared_);
  }
  // The command prefix to run a program with these faults.
  std::vector<std::string> command() const {
    return {"/usr/bin/env", "LD_PRELOAD=" KNELL_FAULTY_LIBC, "KNELL_TEST_FAULTS=" + path_,
            "ASAN_OPTIONS=verify_asan_link_order=0"};
  }

  void stall() { set(shared_->stalls, 1); }
  void release() { set(shared_->stalls, 0); }
  void let_syncs_fail(bool fail) { set(shared_->syncs_fail, fail ? 1 : 0); }
  bool await_stalled() { return await(shared_->waiting); }
  bool await_failed() { return await(shared_->failed); }
  void set_clock_ahead(int64_t ns) { std::atomic_ref<int64_t>(shared_->ahead_ns).store(ns); }

 private:
  static void set(int& value, int to) {
    std::atomic_ref<int>(value).store(to);
    ::syscall(SYS_futex, &value, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
  }
  // Waits until `value` is not 0.
  static bool await(int& value) {
    for (const Deadline deadline; std::atomic_ref<int>(value).load() == 0;) {
      if (deadline.passed()) return false;
      const timespec wait{.tv_sec = 1, .tv_nsec = 0};
      ::syscall(SYS_futex, &value, FUTEX_WAIT, 0, &wait, nullptr, 0);
    }
    return true;
  }

  std::string path_;
  knell_faults* shared_;
};

// Changes to a working directory with a long path: an event of a child then has more than 1 KiB, so
// a few of them fill a queue.
class DeepFolder {
 public:
  explicit DeepFolder(const fs::path& parent) : before_(fs::current_path()) {
    fs::path deep = parent;
    for (int i = 0; i < 8; ++i) deep /= std::string(200, 'x');
    fs::create_directories(deep);
    fs::current_path(deep);
  }
  DeepFolder(const DeepFolder&) = delete;
  DeepFolder& operator=(const DeepFolder&) = delete;
  ~DeepFolder() { fs::current_path(before_); }

 private:
  fs::path before_;
};

class Starved : public WithJournal {
 protected:
  // `before`: the command prefix of knelld.
  void start(const std::string& more = {}, std::vector<std::string> before = {}) {
    daemon_ = std::make_unique<Daemon>();
    daemon_->run_under(std::move(before));
    daemon_->configure("[journal]\npath = \"" + journal() + "\"\nevents = \"none\"\n" + more);
    ASSERT_TRUE(daemon_->start());
  }
  // Has no filter: an exit whose details were lost has no name, and would not pass open()'s filter.
  static Listener open_to_all(const std::string& name) {
    Options asked = options(name);
    Listener listener(asked);
    EXPECT_FALSE(listener.flush_acks()) << knell_explain();
    return listener;
  }
  static Recorder::Wish failures(bool recover = false) {
    return {.events = KNELL_EVENT_NONZERO_EXIT,
            .details = KNELL_DETAILS_NAMES,
            .recover = recover,
            .via = "daemon"};
  }
  // The listener must get the last event, although another one waits for the disk.
  void expect_live(Recorder& recorder) {
    EXPECT_TRUE(recorder.read_until_exit_of(happened_.back().first, happened_.back().second));
  }

  std::string status() {
    auto text = WireListener(daemon_->socket()).connection().status();
    EXPECT_TRUE(text);
    return text.value_or("");
  }
  // A number in the object `part` of the status.
  long number(const std::string& part, const std::string& name) {
    const std::string text = status();
    const size_t object = text.find("\"" + part + "\":");
    const std::string key = "\"" + name + "\":";
    const size_t at = text.find(key, object);
    if (object == std::string::npos || at == std::string::npos) {
      ADD_FAILURE() << part << "." << name << " is not in " << text;
      return 0;
    }
    return std::strtol(text.c_str() + at + key.size(), nullptr, 10);
  }
  long number(const std::string& name) {
    const auto all = parse_json(status());
    EXPECT_TRUE(all && all->contains(name)) << name;
    return all && all->contains(name) ? all->at(name).number().value_or(0) : 0;
  }
  // Makes processes fail until the queue of the journal overflows, which this counter of the status
  // shows, and some more.
  void overflow(Recorder& live, const std::string& counter) {
    const DeepFolder deep(folder_.path());
    for (const Deadline deadline; number("journal", counter) == 0 && !deadline.passed();) {
      fail(10);
      expect_live(live);
    }
    fail(10);
    expect_live(live);
    EXPECT_GT(number("journal", counter), 0);
  }
  bool await_status(const std::string& what) {
    for (const Deadline deadline; !deadline.passed();)
      if (status().find(what) != std::string::npos) return true;
    ADD_FAILURE() << what << " does not appear in " << status();
    return false;
  }
  std::string prometheus() {
    Command command({"status", "-o", "prometheus"});
    std::string all;
    while (const auto line = command.line()) all += *line + "\n";
    return all;
  }

  struct Total {
    std::vector<Seen> seen;
    uint64_t lost = 0;
    size_t holes = 0;
  };
  // Reads until all exits were delivered or counted in a lost event.
  void read_all(Listener& listener, Total& total) {
    for (const Deadline deadline; total.seen.size() + total.lost < happened_.size();) {
      ASSERT_FALSE(deadline.passed())
          << total.seen.size() << " + " << total.lost << " of " << happened_.size() << "\n"
          << status();
      std::error_code error;
      bool any = false;
      for (const knell_event& event : listener.read(error)) {
        any = true;
        // otherwise too many events of other processes stay unacknowledged
        EXPECT_FALSE(listener.ack(event));
        if (event.type == KNELL_EVENT_LOST) {
          EXPECT_NE(event.lost_types & (KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT), 0U);
          total.lost += event.lost_count;
          // otherwise the loss of a restart
          total.holes += (event.has & KNELL_HAS_COUNT) != 0 ? 1 : 0;
        } else if (std::ranges::find(happened_, std::pair(event.pid, event.wait_status)) !=
                   happened_.end()) {
          total.seen.push_back(seen_of(event));
        }
      }
      ASSERT_FALSE(error) << knell_explain();
      if (!any) wait_for_more(listener, deadline);
    }
    EXPECT_EQ(total.seen.size() + total.lost, happened_.size());
  }
  // Each event was delivered once, and the delivered events have the order of the exits.
  void expect_in_order(const std::vector<Seen>& seen) {
    EXPECT_EQ(once(seen).size(), seen.size());
    auto next = happened_.begin();
    for (const Seen& one : seen) {
      next = std::find(next, happened_.end(), std::pair(one.pid, one.status));
      ASSERT_NE(next, happened_.end()) << one.pid;
      ++next;
    }
  }
};

// ------------------------------------------------------------------------------------- the disk

// On a file system of 2 MiB, in a mount namespace of this process.
class FullDisk : public Starved {
 protected:
  void SetUp() override {
    Starved::SetUp();
    if (IsSkipped()) return;
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
      GTEST_SKIP() << "a mount namespace cannot be made here";
    fs::create_directory(disk());
    if (::mount("knell-test", disk().c_str(), "tmpfs", 0, "size=2m") != 0)
      GTEST_SKIP() << "a tmpfs cannot be mounted here";
    mounted_ = true;
  }
  void TearDown() override {
    daemon_.reset();
    if (mounted_) ::umount2(disk().c_str(), MNT_DETACH);
  }
  std::string journal() const override { return disk() + "/journal.db"; }
  std::string disk() const { return folder_.path() + "/disk"; }

  void fill() {
    const UniqueFd file(::open((disk() + "/filler").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string page(4096, 'x');
    for (const size_t size : {page.size(), size_t{1}})
      while (::write(file.get(), page.data(), size) > 0) {
      }
    EXPECT_EQ(errno, ENOSPC);
  }
  void make_room() { fs::remove(disk() + "/filler"); }

  bool mounted_ = false;
};

TEST_F(FullDisk, KeepsEventsUntilThereIsRoom) {
  start();
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  fill();
  fail(20);
  expect_live(live);
  ASSERT_TRUE(daemon_->await_log("events wait"));
  EXPECT_THAT(status(), HasSubstr("\"state\":\"failing\""));
  EXPECT_THAT(prometheus(), HasSubstr("knell_journal_working 0\n"));
  EXPECT_GT(number("journal", "queued_bytes"), 0);
  {
    Options another = options("u");
    Listener listener(another);
    EXPECT_EQ(listener.flush_acks().value(), EIO);
    EXPECT_THAT(knell_explain(), HasSubstr("cannot be written"));
  }
  make_room();
  ASSERT_TRUE(daemon_->await_log("work again"));
  read_all(durable, total);
  EXPECT_EQ(total.lost, 0U);
  expect_in_order(total.seen);
  EXPECT_THAT(status(), HasSubstr("\"state\":\"working\""));
  open("u");
}

TEST_F(FullDisk, CountsWhatDoesNotFitIntoTheQueue) {
  start("queue = \"64K\"\n");
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  // Otherwise the first transaction that fails may have only acknowledgements; then the next one
  // takes the queue with its hole, and there is a second hole in the queue.
  EXPECT_FALSE(durable.flush_acks()) << knell_explain();
  fill();
  fail(1);
  ASSERT_TRUE(daemon_->await_log("events wait"));
  overflow(live, "lost_disk");
  make_room();
  ASSERT_TRUE(daemon_->await_log("work again"));
  // Only now: until here a failure of any process of the machine may be lost.
  const long lost = number("journal", "lost_disk");
  EXPECT_THAT(prometheus(), HasSubstr("knell_journal_lost_total{reason=\"disk\"} " +
                                      std::to_string(lost) + "\n"));
  fail(5);
  read_all(durable, total);
  EXPECT_EQ(total.lost, static_cast<uint64_t>(lost));
  EXPECT_EQ(total.holes, 1U);
  expect_in_order(total.seen);
  EXPECT_EQ(total.seen.back().pid, happened_.back().first);
}

TEST_F(FullDisk, DoesNotStopTheStart) {
  fill();
  start();
  ASSERT_TRUE(daemon_->log().find("events wait") != std::string::npos ||
              daemon_->await_log("events wait"));
  Recorder live(failures());
  fail(3);
  expect_live(live);
  make_room();
  ASSERT_TRUE(await_status("\"state\":\"working\""));
  Listener durable = open("t");
  happened_.clear();
  fail(3);
  Total total;
  read_all(durable, total);
}

class SlowDisk : public Starved {
 protected:
  Faults faults_{folder_.path()};
};

TEST_F(SlowDisk, HoldsUpOnlyWhatNeedsIt) {
  start("queue = \"64K\"\n", faults_.command());
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  faults_.stall();
  fail(1);
  ASSERT_TRUE(faults_.await_stalled());
  overflow(live, "lost_queue");
  ASSERT_TRUE(await_status("\"state\":\"slow\""));
  EXPECT_THAT(status(), HasSubstr("the disk has not completed a write for "));
  EXPECT_THAT(prometheus(), HasSubstr("knell_journal_working 0\n"));
  EXPECT_LT(number("journal", "queued_bytes"), 2 * 64 << 10);
  faults_.release();
  read_all(durable, total);
  // Only now: while the disk does not answer, a failure of any process of the machine may be lost.
  EXPECT_EQ(total.lost, static_cast<uint64_t>(number("journal", "lost_queue")));
  expect_in_order(total.seen);
  ASSERT_TRUE(await_status("\"state\":\"working\""));
}

// The keeper's state has the waiting events.
TEST_F(SlowDisk, WhatWaitsForItSurvivesAKill) {
  KNELL_NEEDS(lacks_bpf());
  daemon_ = std::make_unique<Daemon>();
  daemon_->run_under(faults_.command());
  daemon_->configure("[journal]\npath = \"" + journal() + "\"\nevents = \"none\"\n");
  ASSERT_TRUE(daemon_->start_supervised());
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  EXPECT_FALSE(durable.flush_acks()) << knell_explain();
  faults_.stall();
  fail(20);
  ASSERT_TRUE(faults_.await_stalled());
  expect_live(live);
  ASSERT_EQ(::kill(daemon_->supervised_pid(), SIGKILL), 0);
  faults_.release();
  ASSERT_TRUE(daemon_->await_log("listens on"));
  fail(1);
  read_all(durable, total);
  EXPECT_EQ(total.lost, 0U);
  EXPECT_EQ(once(total.seen), happened_);
}

// Without a keeper, the waiting events are lost when knelld ends, and the log has their number.
TEST_F(SlowDisk, DoesNotKeepKnelldFromEnding) {
  start("", faults_.command());
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  EXPECT_FALSE(durable.flush_acks()) << knell_explain();
  faults_.stall();
  fail(20);
  ASSERT_TRUE(faults_.await_stalled());
  expect_live(live);
  ASSERT_TRUE(daemon_->stop());
  EXPECT_THAT(daemon_->log(),
              HasSubstr("the disk of the journal does not answer: 20 events were not "
                        "written, and are lost"));
  EXPECT_FALSE(fs::exists(daemon_->socket())) << "knelld has removed its socket";
  faults_.release();
  ASSERT_TRUE(daemon_->start());
  happened_.erase(happened_.begin() + 3, happened_.end());
  fail(1);
  read_all(durable, total);
  EXPECT_EQ(once(total.seen), happened_);
}

// The events of a transaction whose fsync failed are in the file nevertheless.
TEST_F(SlowDisk, FailingSyncsLoseAndRepeatNothing) {
  start("sync = \"always\"\n", faults_.command());
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  faults_.let_syncs_fail(true);
  fail(5);
  ASSERT_TRUE(faults_.await_failed());
  ASSERT_TRUE(daemon_->await_log("events wait"));
  fail(5);
  expect_live(live);
  EXPECT_THAT(status(), HasSubstr("\"state\":\"failing\""));
  faults_.let_syncs_fail(false);
  ASSERT_TRUE(daemon_->await_log("work again"));
  fail(1);
  read_all(durable, total);
  EXPECT_EQ(total.lost, 0U);
  expect_in_order(total.seen);
}

// ------------------------------------------------------------------------------------- the clock

TEST_F(SlowDisk, AClockThatIsSetDeletesNothingAndChangesNoOrder) {
  start("", faults_.command());
  Listener durable = open("t");
  Total total;
  for (const int64_t days : {0, 400, -400, 0}) {
    faults_.set_clock_ahead(days * kDayNs);
    fail(5);
    read_all(durable, total);  // committed: each in its own transaction
  }
  EXPECT_EQ(total.lost, 0U);
  expect_in_order(total.seen);
  restart();
  Listener all = open("again", KNELL_FROM_OLDEST);
  fail(1);
  Total from_oldest;
  read_all(all, from_oldest);
  EXPECT_EQ(from_oldest.lost, 0U);
  expect_in_order(from_oldest.seen);
  Command history({"history", "--journal", journal(), "-C", name_, "-o", "json"});
  auto next = happened_.begin();
  while (const auto line = history.line()) {
    const auto event = parse_json(*line);
    ASSERT_TRUE(event) << *line;
    if (event->at("type").text == "lost") continue;
    ASSERT_NE(next, happened_.end());
    EXPECT_EQ(event->at("pid").number(), (next++)->first);
  }
  EXPECT_EQ(next, happened_.end());
}

// ------------------------------------------------------------------------------ suspended, starved

// A cgroup of this test, of version 2 or of the controller `freezer`.
class Freezer {
 public:
  Freezer() {
    for (const auto& [base, file] : {std::pair{"/sys/fs/cgroup", "cgroup.freeze"},
                                     {"/sys/fs/cgroup/unified", "cgroup.freeze"},
                                     {"/sys/fs/cgroup/freezer", "freezer.state"}}) {
      const std::string path = std::string(base) + "/knell-freezer-" + std::to_string(::getpid());
      if (::mkdir(path.c_str(), 0700) != 0) continue;
      path_ = path;
      file_ = path + "/" + file;
      if (fs::exists(file_)) return;
      ::rmdir(path.c_str());
      path_.clear();
    }
  }
  Freezer(const Freezer&) = delete;
  Freezer& operator=(const Freezer&) = delete;
  ~Freezer() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  bool ok() const { return !path_.empty(); }
  bool take(pid_t pid) { return write(path_ + "/cgroup.procs", std::to_string(pid)); }
  bool freeze(bool frozen) {
    const bool first = file_.ends_with("freezer.state");
    if (!write(file_, first ? frozen ? "FROZEN" : "THAWED" : frozen ? "1" : "0")) return false;
    for (const Deadline deadline; !deadline.passed(); std::this_thread::yield()) {
      const auto lines = lines_of(first ? file_ : path_ + "/cgroup.events");
      const std::string wanted = first    ? frozen ? "FROZEN" : "THAWED"
                                 : frozen ? "frozen 1"
                                          : "frozen 0";
      if (std::ranges::find(lines, wanted) != lines.end()) return true;
    }
    return false;
  }

 private:
  static bool write(const std::string& path, const std::string& text) {
    std::ofstream file(path);
    file << text << std::flush;
    return static_cast<bool>(file);
  }
  std::string path_, file_;
};

// Executes a program in a cgroup.
std::vector<std::string> in_cgroup(const SmallCgroup& cgroup) {
  return {"/bin/sh", "-c", "echo $$ > " + cgroup.procs() + " && exec \"$0\" \"$@\""};
}

// The rings of this knelld are small, and overflow while it is suspended.
class Suspended : public Starved {
 protected:
  void SetUp() override {
    Starved::SetUp();
    if (IsSkipped()) return;
    KNELL_NEEDS(lacks_bpf());
    if (!memory_.ok()) GTEST_SKIP() << "a memory cgroup cannot be made here";
  }
  void TearDown() override { daemon_.reset(); }

  void run(const std::function<void(pid_t)>& suspend, const std::function<void(pid_t)>& resume) {
    start("", in_cgroup(memory_));
    Recorder live({.events = KNELL_EVENT_FORK | KNELL_EVENT_EXIT,
                   .details = KNELL_DETAILS_NAMES,
                   .matches = {{"under", std::to_string(::getpid())}},
                   .recover = true,
                   .via = "daemon"});
    Listener durable = open_to_all("t");
    Total total;
    fail(3);
    read_all(durable, total);
    live.forget();
    suspend(daemon_->pid());
    for (int i = 0; i < 20; ++i) {
      fail(5);
      Child child = Child::fork([] {
        storm(1000, 2000, 0);
        return 0;
      });
      ASSERT_EQ(child.wait(), 0);
    }
    fail(1);
    resume(daemon_->pid());
    read_all(durable, total);
    EXPECT_EQ(total.lost, 0U) << "exits have a reserve";
    expect_in_order(total.seen);
    ASSERT_TRUE(live.read_until_exit_of(happened_.back().first, happened_.back().second));
    uint64_t lost = 0;
    for (const auto& hole : live.of_type(KNELL_EVENT_LOST)) {
      EXPECT_TRUE((hole.raw.has & KNELL_HAS_COUNT) != 0);
      EXPECT_TRUE((hole.raw.lost_types & KNELL_EVENT_FORK) != 0);
      lost += hole.raw.lost_count;
    }
    const auto forks = live.of_type(KNELL_EVENT_FORK).size();
    EXPECT_GT(lost, 0U);
    EXPECT_GE(forks + lost, 20U * 1001 + 101);
    for (size_t i = 3; i < happened_.size(); ++i) {
      const auto exits = live.of(happened_[i].first, KNELL_EVENT_EXIT);
      EXPECT_EQ(std::ranges::count_if(
                    exits, [&](const auto& exit) { return exit.status() == happened_[i].second; }),
                1)
          << happened_[i].first;
    }
    EXPECT_GE(number("sources", "lost"), static_cast<long>(lost));
    EXPECT_THAT(prometheus(),
                HasSubstr("knell_source_lost_by_types_total{source=\"bpf\",types=\"fork"));
  }

  SmallCgroup memory_{64 * kMebibyte};
};

TEST_F(Suspended, ByASignal) {
  run([](pid_t pid) { ASSERT_EQ(::kill(pid, SIGSTOP), 0); },
      [](pid_t pid) { ASSERT_EQ(::kill(pid, SIGCONT), 0); });
}

TEST_F(Suspended, ByTheFreezerOfCgroups) {
  Freezer freezer;
  if (!freezer.ok()) GTEST_SKIP() << "a cgroup with a freezer cannot be made here";
  run([&](pid_t pid) { ASSERT_TRUE(freezer.take(pid) && freezer.freeze(true)); },
      [&](pid_t) { ASSERT_TRUE(freezer.freeze(false)); });
  daemon_.reset();  // before its cgroup
}

// The queues of all listeners are full, and the memory limit is near: knelld must not be killed.
TEST_F(Suspended, KeepsWithinTheMemoryOfItsCgroup) {
  start("", in_cgroup(memory_));
  EXPECT_THAT(daemon_->log(), HasSubstr("limited to 64 MiB"));
  std::vector<std::unique_ptr<WireListener>> slow;
  filter::Subscription asked;
  asked.mask = KNELL_EVENT_FORK | KNELL_EVENT_EXIT;
  asked.details = KNELL_DETAILS_FULL;
  for (int i = 0; i < 24; ++i)
    slow.push_back(std::make_unique<WireListener>(daemon_->socket(), asked));
  Recorder live(failures());
  Listener durable = open_to_all("t");
  Child child =
      Child::spawn({"/bin/sh", "-c", "i=0; while [ $i -lt 2500 ]; do (:); i=$((i+1)); done", "sh",
                    std::string(900, 'x')});
  ASSERT_EQ(child.wait(), 0);
  fail(5);
  expect_live(live);
  Total total;
  read_all(durable, total);
  EXPECT_GT(number("lost"), 0);
  EXPECT_LE(number("memory", "queue_bytes"), static_cast<long>(64 * kMebibyte / 8));
  for (const auto& one : slow) EXPECT_TRUE(one->take_until([&] { return one->lost() > 0; }));
}

// knelld gets only CPU time that no other process uses.
TEST_F(Starved, ALowPriorityDelaysAndLosesNothing) {
  start();
  Recorder live(failures());
  Listener durable = open_to_all("t");
  Total total;
  fail(3);
  read_all(durable, total);
  const sched_param none{};
  for (const auto& task :
       fs::directory_iterator("/proc/" + std::to_string(daemon_->pid()) + "/task"))
    ASSERT_EQ(::sched_setscheduler(std::stoi(task.path().filename()), SCHED_IDLE, &none), 0);
  {
    std::vector<Child> busy;
    for (unsigned i = 0; i < 2 * std::thread::hardware_concurrency(); ++i)
      busy.push_back(Child::fork([] {
        ::prctl(PR_SET_NAME, "busy");  // it is killed; that is not a failure of this test
        for (const Deadline deadline; !deadline.passed();) {
        }
        return 0;
      }));
    for (int i = 0; i < 4; ++i) {
      fail(20);
      storm(100, 400, 0);
    }
  }
  read_all(durable, total);
  EXPECT_EQ(total.lost, 0U);
  expect_in_order(total.seen);
  expect_live(live);
  EXPECT_TRUE(live.of_type(KNELL_EVENT_LOST).empty());
}

// Further clients are refused; connected clients are not affected.
TEST_F(Starved, WithoutDescriptorsItRefusesClientsAndGoesOn) {
  start();
  Recorder live(failures());
  Listener durable = open("t");
  Total total;
  fail(3);
  read_all(durable, total);
  int highest = 0;
  for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(daemon_->pid()) + "/fd"))
    highest = std::max(highest, std::stoi(fd.path().filename()));
  rlimit before{};
  ASSERT_EQ(::prlimit(daemon_->pid(), RLIMIT_NOFILE, nullptr, &before), 0);
  const rlimit few{static_cast<rlim_t>(highest + 4), before.rlim_max};
  ASSERT_EQ(::prlimit(daemon_->pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  {
    std::vector<client::ConnectionToServer> clients;
    for (std::optional<Error> refused; !refused;) {
      ASSERT_LT(clients.size(), 1024U);
      auto one = client::ConnectionToServer::connect(daemon_->socket());
      ASSERT_TRUE(one);
      if (const auto hello = one->exchange_hellos(); !hello)
        refused = hello.error();
      else
        clients.push_back(*std::move(one));
      if (refused) {
        ASSERT_EQ(refused->code, EMFILE) << refused->message();
      }
    }
    fail(50);
    expect_live(live);
    read_all(durable, total);
  }
  ASSERT_EQ(::prlimit(daemon_->pid(), RLIMIT_NOFILE, &before, nullptr), 0);
  EXPECT_GT(number("refused"), 0);
  EXPECT_EQ(total.lost, 0U);
  expect_in_order(total.seen);
}

}  // namespace
}  // namespace knell::test
