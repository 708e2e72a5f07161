// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Every function of the library is called while an allocation fails: the first, the second, and so
// on, until the call makes fewer. The program must survive, the call must fail with -ENOMEM or
// succeed, and the handle must work afterwards: an exit is either returned or counted as lost.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <string>
#include <thread>

#include "failing_malloc.h"
#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"

namespace knell::test {
namespace {

// For calls with many allocations, fail each of the first ones, then a decreasing share of the
// others.
size_t after(size_t nth) { return nth < 20 ? nth + 1 : nth + nth / 2; }

std::set<std::string> called;  // the functions that a test has called

// `call` returns 0, a count or a negative errno. `prepare` runs before each call, with memory.
// `other`: another errno than ENOMEM that the call may return.
void for_each_failure(
    const std::string& function, const std::function<ssize_t()>& call,
    const std::function<void()>& prepare = [] {}, int other = ENOMEM) {
  called.insert(function.substr(0, function.find(' ')));
  for (const Fails fails : {Fails::kOne, Fails::kAllFrom}) {
    bool failed = true;
    for (size_t nth = 1; failed; nth = after(nth)) {
      SCOPED_TRACE(function + ": allocation " + std::to_string(nth) +
                   (fails == Fails::kOne ? "" : " and later"));
      prepare();
      FailingMalloc malloc(nth, fails);
      const ssize_t result = call();
      failed = malloc.stop();
      if (result >= 0) continue;
      ASSERT_TRUE(failed) << result << ": " << knell_explain();
      if (result == -other && other != ENOMEM) continue;
      EXPECT_EQ(result, -ENOMEM) << knell_explain();
      EXPECT_THAT(knell_explain(), testing::AnyOf(testing::HasSubstr("out of memory"),
                                                  testing::HasSubstr("Cannot allocate memory")));
    }
  }
}

// A child that exits with status 7 on request.
class Failing {
 public:
  Failing()
      : go_(make_pipe()),
        child_(Child::fork([this] {
          go_.write.reset();
          char byte = 0;
          (void)!::read(go_.read.get(), &byte, 1);
          return 7;
        })),
        pid_(child_.pid()) {}
  pid_t pid() const { return pid_; }
  void end() {
    go_.write.reset();
    ASSERT_TRUE(child_.wait());
  }

 private:
  Pipe go_;
  Child child_;
  pid_t pid_;  // also after the child was reaped
};

class OutOfMemory : public testing::Test {
 protected:
  ~OutOfMemory() override { knell_close(k_); }

  // Opens a listener of non-zero exits; skips the test where the source does not work.
  void open(uint32_t via) {
    if (via == KNELL_VIA_BPF) KNELL_NEEDS(lacks_bpf());
    if (via == KNELL_VIA_CONNECTOR) KNELL_NEEDS(lacks_connector());
    options_.events = KNELL_EVENT_NONZERO_EXIT;
    options_.via = via;
    options_.only_added = 1;
    reopen();
  }
  void reopen() {
    knell_close(std::exchange(k_, nullptr));
    ASSERT_EQ(knell_open(&options_, &k_), 0) << knell_explain();
  }

  // Reads until the exit of `pid` or a loss. Afterwards `k_` must work as before.
  void read_with_failures(const std::string& name) {
    called.insert("knell_read");
    for (const Fails fails : {Fails::kOne, Fails::kAllFrom}) {
      bool failed = true;
      for (size_t nth = 1; failed && nth < 60; nth = after(nth)) {
        SCOPED_TRACE(name + ": allocation " + std::to_string(nth) +
                     (fails == Fails::kOne ? "" : " and later"));
        reopen();
        Failing child;
        ASSERT_EQ(knell_add(k_, child.pid(), 0, 5), 0) << knell_explain();
        child.end();
        failed = read_once_without_memory(nth, fails);
        ASSERT_TRUE(returns_exit_or_loss(child.pid()));
        Failing next;
        ASSERT_EQ(knell_add(k_, next.pid(), 0, 5), 0) << knell_explain();
        next.end();
        ASSERT_TRUE(returns_exit_or_loss(next.pid()));
      }
    }
  }

  // Returns whether an allocation failed. Keeps the events that were read.
  bool read_once_without_memory(size_t nth, Fails fails) {
    pollfd ready{knell_fd(k_), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, Deadline().left_ms()), 1);
    FailingMalloc malloc(nth, fails);
    const ssize_t n = knell_read(k_, events_.data(), events_.size());
    const bool failed = malloc.stop();
    EXPECT_TRUE(n >= 0 || (failed && n == -ENOMEM)) << n << ": " << knell_explain();
    note(n);
    return failed;
  }

  void note(ssize_t n) {
    for (ssize_t i = 0; i < n; ++i) {
      const knell_event& event = *events_[static_cast<size_t>(i)];
      if (event.type == KNELL_EVENT_LOST) lost_ = true;
      if (event.type != KNELL_EVENT_EXIT) continue;
      exited_.insert(event.pid);
      EXPECT_EQ(event.cookie, 5U);
    }
  }

  bool returns_exit_or_loss(pid_t pid) {
    const Deadline deadline;
    while (!lost_ && !exited_.contains(pid)) {
      pollfd ready{knell_fd(k_), POLLIN, 0};
      if (::poll(&ready, 1, deadline.left_ms()) == 0) return false;
      const ssize_t n = knell_read(k_, events_.data(), events_.size());
      if (n < 0) {
        ADD_FAILURE() << knell_explain();
        return false;
      }
      note(n);
    }
    lost_ = false;
    return true;
  }

  // Calls all functions of a listener except knell_read().
  void call_all_of_listener() {
    for_each_failure(
        "knell_open", [&] { return static_cast<ssize_t>(knell_open(&options_, &k_)); },
        [&] { knell_close(std::exchange(k_, nullptr)); },
        // libbpf may report a lack of memory as a missing feature of the kernel.
        options_.via == KNELL_VIA_BPF ? ENOTSUP : ENOMEM);
    reopen();
    for_each_failure("knell_match", [&] { return knell_match(k_, "comm", "a,b*,!c,a-long-name"); });
    for_each_failure("knell_set_events", [&] { return knell_set_events(k_, KNELL_EVENT_EXIT); });
    Failing child;
    for_each_failure(
        "knell_add", [&] { return knell_add(k_, child.pid(), 0, 1); },
        [&] { (void)knell_remove(k_, child.pid()); });
    for_each_failure(
        "knell_remove", [&] { return knell_remove(k_, child.pid()); },
        [&] { (void)knell_add(k_, child.pid(), 0, 1); });
    Failing other;
    for_each_failure(
        "knell_add_many",
        [&]() -> ssize_t {
          knell_added many[] = {{child.pid(), 0, 0, 1}, {other.pid(), 0, 0, 2}};
          const ssize_t added = knell_add_many(k_, many, 2);
          // Processes without an error were added.
          if (added >= 0 && added != std::ranges::count(many, 0, &knell_added::error))
            return -EPROTO;
          for (const knell_added& one : many)
            if (one.error != 0) return one.error;
          return added;
        },
        [&] {
          (void)knell_remove(k_, child.pid());
          (void)knell_remove(k_, other.pid());
        });
    for_each_failure("knell_snapshot", [&] {
      return knell_snapshot(k_, [](const knell_event*, void*) { return 0; }, nullptr);
    });
    knell_stats stats{};
    stats.size = sizeof stats;
    for_each_failure("knell_get_stats", [&] { return knell_get_stats(k_, &stats); });
    for_each_failure("knell_fd", [&] { return knell_fd(k_); });
  }

  knell_options options_ = KNELL_OPTIONS_INIT;
  knell_listener* k_ = nullptr;
  std::array<const knell_event*, 16> events_{};
  std::set<pid_t> exited_;
  bool lost_ = false;
};

TEST_F(OutOfMemory, OverPidfds) {
  open(KNELL_VIA_PIDFD);
  call_all_of_listener();
  read_with_failures("pidfd");
}

TEST_F(OutOfMemory, OverTheConnector) {
  open(KNELL_VIA_CONNECTOR);
  if (IsSkipped()) return;
  call_all_of_listener();
  read_with_failures("connector");
}

TEST_F(OutOfMemory, OverBpf) {
  open(KNELL_VIA_BPF);
  if (IsSkipped()) return;
  call_all_of_listener();
  read_with_failures("bpf");
}

TEST_F(OutOfMemory, OverTheDaemon) {
  KNELL_NEEDS(lacks_knelld());
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  open(KNELL_VIA_DAEMON);
  call_all_of_listener();
  read_with_failures("daemon");
  for_each_failure("knell_status", [] {
    std::array<char, 65536> text{};
    return knell_status(text.data(), text.size());
  });
}

class OutOfMemoryOfDurable : public OutOfMemory {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    daemon_.configure("[journal]\npath = \"" + folder_.path() + "/journal.db\"\n");
    ASSERT_TRUE(daemon_.start());
    options_.events = KNELL_EVENT_NONZERO_EXIT;
    options_.durable = "memory";
  }

  // Returns the pids of the exits that are read until there are `wanted` of them; acknowledges each
  // event if `acknowledge`.
  std::set<pid_t> read_exits(const std::set<pid_t>& wanted, bool acknowledge) {
    std::set<pid_t> seen;
    const Deadline deadline;
    while (!std::ranges::includes(seen, wanted)) {
      pollfd ready{knell_fd(k_), POLLIN, 0};
      if (::poll(&ready, 1, deadline.left_ms()) == 0) break;
      take_exits(knell_read(k_, events_.data(), events_.size()), acknowledge, seen);
    }
    return seen;
  }

  void take_exits(ssize_t n, bool acknowledge, std::set<pid_t>& seen) {
    EXPECT_GE(n, 0) << knell_explain();
    for (ssize_t i = 0; i < n; ++i) {
      const knell_event& event = *events_[static_cast<size_t>(i)];
      EXPECT_NE(event.type, static_cast<uint32_t>(KNELL_EVENT_LOST));
      if (event.type == KNELL_EVENT_EXIT) seen.insert(event.pid);
      if (!acknowledge) continue;
      EXPECT_EQ(knell_ack(k_, &event), 0) << knell_explain();
    }
  }

  TemporaryDirectory folder_;
  Daemon daemon_;
};

// An acknowledgement of later events in the same packet must not acknowledge the missing event.
TEST_F(OutOfMemoryOfDurable, NoEventIsMissing) {
  for (const Fails fails : {Fails::kOne, Fails::kAllFrom}) {
    bool failed = true;
    for (size_t nth = 1; failed && nth < 60; nth = after(nth)) {
      SCOPED_TRACE(testing::Message()
                   << "allocation " << nth << (fails == Fails::kOne ? "" : "..."));
      reopen();
      ASSERT_EQ(knell_ack(k_, nullptr), 0) << knell_explain();
      std::set<pid_t> ended;
      for (int i = 0; i < 3; ++i) {
        Failing child;
        ended.insert(child.pid());
        child.end();
      }
      // The exits are in the journal now, so the next connection receives them together.
      ASSERT_THAT(read_exits(ended, false), testing::IsSupersetOf(ended));
      reopen();
      ASSERT_EQ(knell_ack(k_, nullptr), 0) << knell_explain();
      ssize_t n = 0;
      for (failed = false; n == 0 && !failed;) {
        pollfd ready{knell_fd(k_), POLLIN, 0};
        ASSERT_EQ(::poll(&ready, 1, Deadline().left_ms()), 1);
        FailingMalloc malloc(nth, fails);
        n = knell_read(k_, events_.data(), events_.size());
        failed = malloc.stop();
      }
      std::set<pid_t> seen;
      ASSERT_TRUE(n >= 0 || (failed && n == -ENOMEM)) << n << ": " << knell_explain();
      if (n > 0) take_exits(n, true, seen);
      std::set<pid_t> missing;
      std::ranges::set_difference(ended, seen, std::inserter(missing, missing.end()));
      EXPECT_THAT(read_exits(missing, true), testing::IsSupersetOf(missing));
    }
  }
}

TEST_F(OutOfMemoryOfDurable, EveryCallIsAnError) {
  for_each_failure(
      "knell_open durable", [&] { return knell_open(&options_, &k_); },
      [&] { knell_close(std::exchange(k_, nullptr)); });
  reopen();
  for_each_failure("knell_match durable", [&] { return knell_match(k_, "comm", "a,!b"); });
  for_each_failure("knell_set_events durable",
                   [&] { return knell_set_events(k_, KNELL_EVENT_NONZERO_EXIT); });
  for_each_failure("knell_snapshot durable", [&] {
    return knell_snapshot(k_, [](const knell_event*, void*) { return 0; }, nullptr);
  });
  for_each_failure("knell_ack NULL", [&] { return knell_ack(k_, nullptr); }, [&] { reopen(); });
  reopen();
  ASSERT_EQ(knell_ack(k_, nullptr), 0) << knell_explain();
  // A cursor of another journal, which the daemon refuses later.
  std::array<char, 64> cursor{};
  int seq = 0;
  knell_event event{};
  event.size = sizeof event;
  for_each_failure(
      "knell_ack", [&] { return knell_ack(k_, &event); },
      [&] {
        const int size = std::snprintf(cursor.data(), cursor.size(),
                                       "k1:00000000-0000-0000-0000-000000000000:%d", ++seq);
        event.cursor = {cursor.data(), static_cast<size_t>(size)};
      });
  for_each_failure("knell_mark_failed", [&] { return knell_mark_failed(k_, &event); });
  for_each_failure(
      "knell_remove_durable", [] { return knell_remove_durable("memory", -1); },
      [&] {
        reopen();
        ASSERT_EQ(knell_ack(k_, nullptr), 0) << knell_explain();
        knell_close(std::exchange(k_, nullptr));
      });
}

TEST_F(OutOfMemory, OfARecording) {
  open(KNELL_VIA_PIDFD);
  Failing child;
  ASSERT_EQ(knell_add(k_, child.pid(), 0, 0), 0);
  child.end();
  pollfd ready{knell_fd(k_), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, Deadline().left_ms()), 1);
  ASSERT_EQ(knell_read(k_, events_.data(), 1), 1) << knell_explain();

  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/recording";
  knell_recorder* recorder = nullptr;
  int fd = -1;
  const auto close = [&] {
    (void)knell_recorder_close(std::exchange(recorder, nullptr));
    if (fd >= 0) ::close(fd);
  };
  const auto create = [&] {
    close();
    fd = ::open(path.c_str(), O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600);
    ASSERT_GE(fd, 0);
  };
  const auto begin = [&] {
    create();
    ASSERT_EQ(knell_recorder_open(fd, k_, "all", &recorder), 0);
  };
  for_each_failure(
      "knell_recorder_open", [&] { return knell_recorder_open(fd, k_, "all", &recorder); }, create);
  for_each_failure(
      "knell_recorder_append", [&] { return knell_recorder_append(fd, k_, "all", &recorder); },
      create);
  for_each_failure(
      "knell_recorder_append after another",
      [&] { return knell_recorder_append(fd, k_, "all", &recorder); },
      [&] {
        begin();
        ASSERT_EQ(knell_recorder_close(std::exchange(recorder, nullptr)), 0) << knell_explain();
      });
  for_each_failure(
      "knell_recorder_close",
      [&] { return knell_recorder_close(std::exchange(recorder, nullptr)); }, begin);
  knell_event old = *events_[0];  // has a shorter structure, so it must be copied
  old.size = sizeof old - sizeof old.tty;
  const knell_event* const given[] = {&old, events_[0]};
  begin();
  size_t written = 0;
  for_each_failure("knell_recorder_write", [&] {
    const int result = knell_recorder_write(recorder, given, 2);
    if (result == 0) written += 2;
    return result;
  });
  for_each_failure("knell_recorder_bytes",
                   [&] { return static_cast<ssize_t>(knell_recorder_bytes(recorder)); });
  ASSERT_EQ(knell_recorder_close(std::exchange(recorder, nullptr)), 0) << knell_explain();
  close();

  knell_listener* replay = nullptr;
  const auto end = [&] { knell_close(std::exchange(replay, nullptr)); };
  for_each_failure(
      "knell_open_recording", [&] { return knell_open_recording(path.c_str(), nullptr, &replay); },
      end);
  knell_recording about{};
  about.size = sizeof about;
  for_each_failure("knell_get_recording", [&] { return knell_get_recording(replay, &about); });
  // No event may be missing, whichever allocation failed.
  for (size_t nth = 1; nth < 6; ++nth) {
    end();
    ASSERT_EQ(knell_open_recording(path.c_str(), nullptr, &replay), 0);
    ASSERT_EQ(knell_match(replay, "under", std::to_string(::getpid()).c_str()), 0);
    size_t read = 0;
    FailingMalloc malloc(nth, Fails::kOne);
    for (;;) {
      const ssize_t n = knell_read(replay, events_.data(), 1);
      if (n == -ENODATA) break;
      if (n >= 0) read += static_cast<size_t>(n);
      ASSERT_TRUE(n >= 0 || (n == -ENOMEM && malloc.stop())) << n << knell_explain();
    }
    malloc.stop();
    EXPECT_EQ(read, written) << "allocation " << nth;
  }
  end();
}

TEST(OutOfMemoryOfHistory, LosesNoEvent) {
  char folder[] = "/tmp/knell-memory-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/journal.db";
  const std::string programs = knell_binary().substr(0, knell_binary().rfind('/') + 1);
  ASSERT_EQ(::system((programs + "make_journal " + path).c_str()), 0);

  knell_listener* history = nullptr;
  const auto end = [&] { knell_close(std::exchange(history, nullptr)); };
  for_each_failure(
      "knell_open_history", [&] { return knell_open_history(path.c_str(), nullptr, &history); },
      end);
  for_each_failure("knell_verify_journal",
                   [&] { return knell_verify_journal(path.c_str(), nullptr, nullptr); });
  // No event may be missing or returned twice, whichever allocation failed.
  knell_history_options options = KNELL_HISTORY_OPTIONS_INIT;
  options.since_ns = 1;
  options.last = 5;
  bool failed = true;
  for (size_t nth = 1; failed; ++nth) {
    SCOPED_TRACE(nth);
    end();
    ASSERT_EQ(knell_open_history(path.c_str(), &options, &history), 0);
    std::string pids;
    pids.reserve(64);
    FailingMalloc malloc(nth, Fails::kOne);
    failed = false;
    const knell_event* event = nullptr;
    for (;;) {
      const ssize_t n = knell_read(history, &event, 1);
      if (n == -ENODATA) break;
      if (n < 0) failed = malloc.stop();
      ASSERT_TRUE(n >= 0 || (n == -ENOMEM && failed)) << n << knell_explain();
      if (n == 1)
        pids += event->type == KNELL_EVENT_LOST ? "lost " : std::to_string(event->pid) + " ";
    }
    failed = malloc.stop() || failed;
    EXPECT_EQ(pids, "12 13 14 15 16 ");
  }
  end();
  EXPECT_EQ(::system(("rm -r " + std::string(folder)).c_str()), 0);
}

TEST(OutOfMemoryOfText, IsAnError) {
  knell_event event{};
  event.size = sizeof event;
  event.type = KNELL_EVENT_EXIT;
  event.has = KNELL_HAS_STATUS;
  event.wait_status = 7 << 8;
  static const std::string args(3000, 'a');
  event.args = {args.data(), args.size()};
  std::array<char, 64> out{};
  uint32_t number = 0;
  // Each call runs in a new thread, since the first call of a thread allocates more.
  const auto in_thread = [](const std::string& name, const std::function<ssize_t()>& call) {
    std::thread([&] { for_each_failure(name, call); }).join();
  };
  in_thread("knell_event_json", [&] { return knell_event_json(&event, out.data(), out.size()); });
  in_thread("knell_event_ended", [&] { return knell_event_ended(&event, out.data(), out.size()); });
  in_thread("knell_id_text", [&] { return knell_id_text(&event.id, out.data(), out.size()); });
  in_thread("knell_printable",
            [&] { return knell_printable(args.data(), args.size(), out.data(), out.size()); });
  in_thread("knell_json_string",
            [&] { return knell_json_string(args.data(), args.size(), out.data(), out.size()); });
  in_thread("knell_events_text",
            [&] { return knell_events_text(KNELL_EVENT_ALL, out.data(), out.size()); });
  in_thread("knell_events_parse", [&] { return knell_events_parse("exec,nonzero-exit", &number); });
  in_thread("knell_via_parse", [&] { return knell_via_parse("connector", &number); });
  in_thread("knell_check_match",
            [] { return knell_check_match("ended", "2-255,SIGKILL,!core,unknown"); });
  in_thread("knell_explain", [] { return static_cast<ssize_t>(std::strlen(knell_explain())); });
  in_thread("knell_type_name", [] { return static_cast<ssize_t>(*knell_type_name(2)); });
  in_thread("knell_via_name", [] { return static_cast<ssize_t>(*knell_via_name(2)); });
  in_thread("knell_version", [] { return static_cast<ssize_t>(*knell_version()); });
  in_thread("knell_close", [] {
    knell_close(nullptr);
    return ssize_t{0};
  });
}

// If the message of an error cannot be stored, the error is -ENOMEM, too.
TEST(OutOfMemoryOfText, OfAnErrorKeepsExplainWorking) {
  std::thread([] {
    for (size_t nth = 1; nth < 12; ++nth) {
      FailingMalloc malloc(nth, Fails::kAllFrom);
      uint32_t mask = 0;
      const int result = knell_events_parse("no-such-event-type", &mask);
      malloc.stop();
      EXPECT_TRUE(result == -EINVAL || result == -ENOMEM) << result;
      EXPECT_STRNE(knell_explain(), "no error");
    }
  }).join();
}

TEST(OutOfMemoryOfWait, IsAnError) {
  knell_event event{};
  event.size = sizeof event;
  const Child child = Child::fork([] { return 7; });
  ASSERT_EQ(knell_wait(child.pid(), nullptr, &event), 0) << knell_explain();
  for_each_failure("knell_wait", [&] { return knell_wait(child.pid(), nullptr, &event); });
}

// knell_kill() must work without any memory.
TEST(OutOfMemoryOfKill, AllocatesNothing) {
  called.insert("knell_kill");
  knell_event event{};
  event.size = sizeof event;
  const Child child = Child::fork([] {
    for (;;) ::pause();
    return 0;
  });
  FailingMalloc malloc(1, Fails::kAllFrom);
  const int result = knell_kill(child.pid(), SIGKILL, nullptr, &event);
  EXPECT_FALSE(malloc.stop());
  EXPECT_EQ(result, 0) << knell_explain();
  EXPECT_EQ(event.wait_status, SIGKILL);
}

TEST(OutOfMemoryOfKill, OfItsErrorIsAnError) {
  knell_event event{};
  event.size = sizeof event;
  // In a new thread, since the first error of a thread allocates more.
  std::thread([&] {
    for_each_failure("knell_kill", [&] {
      const int result = knell_kill(1 << 22, SIGKILL, nullptr, &event);  // no such process
      return result == -ESRCH ? 0 : result;
    });
  }).join();
}

TEST(OutOfMemoryOfDoctor, IsAnError) {
  called.insert("knell_doctor");
  const auto ignore = [](const knell_finding*, void*) { return 0; };
  for (size_t nth = 1; nth < 3000; nth = 1 + nth + nth / 2) {
    SCOPED_TRACE(nth);
    FailingMalloc malloc(nth, Fails::kAllFrom);
    const int result = knell_doctor(ignore, nullptr);
    if (!malloc.stop()) break;
    EXPECT_TRUE(result == 0 || result == -ENOMEM || result == -ENOTSUP) << result;
  }
}

// Runs last, after the others have called them all.
TEST(OutOfMemoryOfAll, FunctionsWereTested) {
  const auto& tests = *testing::UnitTest::GetInstance();
  if (tests.test_to_run_count() < tests.total_test_count())
    GTEST_SKIP() << "needs all other tests of this program";
  KNELL_NEEDS(lacks_knelld());
  std::ifstream file(KNELL_EXPORTED);
  std::set<std::string> exported;
  for (std::string line; std::getline(file, line);) exported.insert(line.substr(0, line.find('@')));
  EXPECT_FALSE(exported.empty());
  EXPECT_EQ(called, exported);
}

}  // namespace
}  // namespace knell::test
