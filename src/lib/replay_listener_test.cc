// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <string>
#include <vector>

#include "base/unique_fd.h"

namespace {

using knell::UniqueFd;
using testing::HasSubstr;
using namespace std::chrono_literals;

knell_string bytes(const std::string& text) { return {text.data(), text.size()}; }

struct Happening {
  uint32_t type;
  int32_t pid, ppid;
  uint64_t mono_ns;
  int32_t status_or_child = 0;
  uint64_t start = 0;
  std::string comm = "name";
};

// The event has a pointer to the name.
knell_event event_of(Happening&&) = delete;
knell_event event_of(const Happening& what) {
  knell_event e{};
  e.size = sizeof e;
  e.type = what.type;
  e.pid = e.tid = what.pid;
  e.ppid = what.ppid;
  e.mono_ns = what.mono_ns;
  e.time_ns = static_cast<int64_t>(what.mono_ns) + 1'790'000'000'000'000'000;
  e.comm = bytes(what.comm);
  if (what.start != 0)
    e.id = {.boot = 1, .pid = what.pid, .start = what.start, .kind = KNELL_ID_START};
  if (what.type == KNELL_EVENT_EXIT) {
    e.has = KNELL_HAS_STATUS;
    e.wait_status = what.status_or_child;
  }
  if (what.type == KNELL_EVENT_FORK) e.child_pid = e.child_tid = what.status_or_child;
  return e;
}

// A listener for knell_recorder_open(), which reads the origin of the events from it.
class Any {
 public:
  Any() {
    knell_options options = KNELL_OPTIONS_INIT;
    options.via = KNELL_VIA_PIDFD;
    EXPECT_EQ(knell_open(&options, &listener_), 0) << knell_explain();
  }
  ~Any() { knell_close(listener_); }
  Any(const Any&) = delete;
  Any& operator=(const Any&) = delete;
  const knell_listener* get() const { return listener_; }

 private:
  knell_listener* listener_ = nullptr;
};

class Recording {
 public:
  explicit Recording(const std::vector<Happening>& happenings)
      : fd_(::memfd_create("recording", MFD_CLOEXEC)) {
    record(fd_.get(), happenings);
  }
  static void record(int fd, const std::vector<Happening>& happenings) {
    const Any any;
    knell_recorder* recorder = nullptr;
    ASSERT_EQ(knell_recorder_open(fd, any.get(), "mine", &recorder), 0) << knell_explain();
    for (const Happening& happening : happenings) {
      const knell_event event = event_of(happening);
      const knell_event* const one = &event;
      EXPECT_EQ(knell_recorder_write(recorder, &one, 1), 0) << knell_explain();
    }
    EXPECT_GT(knell_recorder_bytes(recorder), 0U);
    EXPECT_EQ(knell_recorder_close(recorder), 0) << knell_explain();
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  UniqueFd fd_;
};

class Reading {
 public:
  explicit Reading(const std::string& path, double speed = 0, uint32_t events = 0,
                   uint32_t only_added = 0) {
    knell_replay_options options = KNELL_REPLAY_OPTIONS_INIT;
    options.speed = speed;
    options.events = events;
    options.only_added = only_added;
    EXPECT_EQ(knell_open_recording(path.c_str(), &options, &listener_), 0) << knell_explain();
  }
  ~Reading() { knell_close(listener_); }
  Reading(const Reading&) = delete;
  Reading& operator=(const Reading&) = delete;
  knell_listener* get() const { return listener_; }
  bool readable(std::chrono::milliseconds patience = 0ms) const {
    pollfd fd{.fd = knell_fd(listener_), .events = POLLIN, .revents = 0};
    return ::poll(&fd, 1, static_cast<int>(patience.count())) == 1;
  }
  ssize_t read() { return knell_read(listener_, events_.data(), events_.size()); }
  const knell_event& operator[](size_t i) const { return *events_[i]; }
  // The pids of all events until the end.
  std::vector<int32_t> pids() {
    std::vector<int32_t> pids;
    for (;;) {
      EXPECT_TRUE(readable());
      const ssize_t n = read();
      if (n < 0) {
        EXPECT_EQ(n, -ENODATA) << knell_explain();
        return pids;
      }
      for (ssize_t i = 0; i < n; i++) pids.push_back(events_[static_cast<size_t>(i)]->pid);
    }
  }

 private:
  knell_listener* listener_ = nullptr;
  std::array<const knell_event*, 300> events_{};
};

constexpr uint32_t kExit = KNELL_EVENT_EXIT;

TEST(ReplayListener, ReturnsAllEventsAndThenTheEnd) {
  const Recording recording(
      {{.type = KNELL_EVENT_EXEC, .pid = 10, .ppid = 1, .mono_ns = 5},
       {.type = kExit, .pid = 10, .ppid = 1, .mono_ns = 6, .status_or_child = 7 << 8}});
  Reading reading(recording.path());
  ASSERT_TRUE(reading.readable());
  ASSERT_EQ(reading.read(), 2) << knell_explain();
  EXPECT_EQ(reading[0].seq, 1U);
  EXPECT_EQ(reading[1].seq, 2U);
  EXPECT_EQ(reading[1].wait_status, 7 << 8);
  EXPECT_EQ(reading[1].has, KNELL_HAS_STATUS | KNELL_HAS_PPID);
  EXPECT_EQ(reading[1].via, static_cast<uint32_t>(KNELL_VIA_RECORDING));
  EXPECT_EQ(reading[1].time_ns, 1'790'000'000'000'000'006);
  for (int i = 0; i < 2; i++) {
    // Stays readable, so that the caller calls read() and gets the end
    EXPECT_TRUE(reading.readable());
    EXPECT_EQ(reading.read(), -ENODATA);
    EXPECT_THAT(knell_explain(), HasSubstr("has no more events"));
  }
  knell_recording about{};
  about.size = sizeof about;
  ASSERT_EQ(knell_get_recording(reading.get(), &about), 0);
  EXPECT_STREQ(about.selection, "mine");
  EXPECT_STREQ(about.knell, knell_version());
  EXPECT_EQ(about.via, static_cast<uint32_t>(KNELL_VIA_PIDFD));
  EXPECT_THAT(about.kernel, HasSubstr("Linux "));
  EXPECT_EQ(std::string(about.boot_id).size(), 36U);
}

TEST(ReplayListener, ALiveListenerReadsNoRecording) {
  const Any any;
  knell_recording about{};
  about.size = sizeof about;
  EXPECT_EQ(knell_get_recording(any.get(), &about), -ENODATA);
}

TEST(ReplayListener, StringsAreValidUntilTheNextRead) {
  std::vector<Happening> many;
  for (int32_t i = 1; i <= 30'000; i++)
    many.push_back({.type = kExit,
                    .pid = i,
                    .ppid = 1,
                    .mono_ns = static_cast<uint64_t>(i),
                    .status_or_child = 0,
                    .comm = "comm " + std::to_string(i)});
  const Recording recording(many);
  Reading reading(recording.path());
  int32_t last = 0;
  for (ssize_t n; (n = reading.read()) >= 0;) {
    for (size_t i = 0; i < static_cast<size_t>(n); i++) {
      EXPECT_EQ(reading[i].pid, ++last);
      const knell_string& comm = reading[i].comm;
      ASSERT_EQ(std::string(comm.data, comm.size), "comm " + std::to_string(last));
    }
  }
  EXPECT_EQ(last, 30'000);
}

TEST(ReplayListener, MaskPredicatesAndAddedProcessesFilterEvents) {
  const Recording recording(
      {{.type = KNELL_EVENT_EXEC, .pid = 10, .ppid = 1, .mono_ns = 1},
       {.type = kExit, .pid = 10, .ppid = 1, .mono_ns = 2},
       {.type = kExit, .pid = 11, .ppid = 1, .mono_ns = 3, .status_or_child = 256},
       {.type = kExit,
        .pid = 12,
        .ppid = 1,
        .mono_ns = 4,
        .status_or_child = 256,
        .comm = "other"}});
  EXPECT_EQ(Reading(recording.path(), 0, kExit).pids(), (std::vector{10, 11, 12}));
  EXPECT_EQ(Reading(recording.path(), 0, KNELL_EVENT_NONZERO_EXIT).pids(), (std::vector{11, 12}));
  Reading named(recording.path(), 0, kExit);
  ASSERT_EQ(knell_match(named.get(), "comm", "o*"), 0) << knell_explain();
  EXPECT_EQ(named.pids(), (std::vector{12}));
  EXPECT_EQ(knell_add(named.get(), 11, 0, 99), -EINVAL);
  EXPECT_THAT(knell_explain(), HasSubstr("only_added"));
  Reading added(recording.path(), 0, kExit, 1);
  ASSERT_EQ(knell_add(added.get(), 11, 0, 99), 0) << knell_explain();
  EXPECT_EQ(knell_add(added.get(), 11, 0, 99), -EEXIST);
  EXPECT_EQ(knell_remove(added.get(), 12), -ENOENT);
  ASSERT_EQ(added.read(), 1);
  EXPECT_EQ(added[0].cookie, 99U);
  EXPECT_EQ(knell_remove(added.get(), 11), -ENOENT);  // its exit has removed the process
  Reading changed(recording.path(), 0, KNELL_EVENT_FORK);
  ASSERT_EQ(knell_set_events(changed.get(), KNELL_EVENT_EXEC), 0);
  EXPECT_EQ(changed.pids(), (std::vector{10}));
}

TEST(ReplayListener, IgnoresAnEarlierProcessWithThePidOfAnAddedOne) {
  const Recording recording(
      {{.type = kExit, .pid = 77, .ppid = 1, .mono_ns = 1, .status_or_child = 256, .start = 100},
       {.type = kExit, .pid = 77, .ppid = 1, .mono_ns = 2, .status_or_child = 512, .start = 200}});
  Reading reading(recording.path(), 0, 0, 1);
  ASSERT_EQ(knell_add(reading.get(), 77, 200, 9), 0);
  ASSERT_EQ(reading.read(), 1);
  EXPECT_EQ(reading[0].wait_status, 512);
  EXPECT_EQ(reading[0].cookie, 9U);
  EXPECT_EQ(knell_remove(reading.get(), 77), -ENOENT);
}

TEST(ReplayListener, ProcessesWithOnePidCanBeAddedByTheirStarts) {
  const Recording recording(
      {{.type = kExit, .pid = 77, .ppid = 1, .mono_ns = 1, .status_or_child = 256, .start = 100},
       {.type = kExit, .pid = 77, .ppid = 1, .mono_ns = 2, .status_or_child = 512, .start = 200}});
  Reading reading(recording.path(), 0, 0, 1);
  ASSERT_EQ(knell_add(reading.get(), 77, 200, 9), 0);
  ASSERT_EQ(knell_add(reading.get(), 77, 100, 8), 0);
  EXPECT_EQ(knell_add(reading.get(), 77, 100, 8), -EEXIST);
  ASSERT_EQ(reading.read(), 2);
  EXPECT_EQ(reading[0].cookie, 8U);
  EXPECT_EQ(reading[1].cookie, 9U);
}

TEST(ReplayListener, UnderUsesForksAndParentsInEvents) {
  const Recording recording({
      {.type = KNELL_EVENT_FORK, .pid = 10, .ppid = 1, .mono_ns = 1, .status_or_child = 20},
      {.type = KNELL_EVENT_FORK, .pid = 20, .ppid = 10, .mono_ns = 2, .status_or_child = 30},
      {.type = kExit, .pid = 20, .ppid = 10, .mono_ns = 3},
      {.type = kExit, .pid = 30, .ppid = 1, .mono_ns = 4},  // an orphan stays under its ancestor
      {.type = kExit, .pid = 40, .ppid = 10, .mono_ns = 5},
      {.type = kExit, .pid = 50, .ppid = 1, .mono_ns = 6},
      {.type = KNELL_EVENT_FORK, .pid = 1, .ppid = 0, .mono_ns = 7, .status_or_child = 30},
      {.type = kExit, .pid = 30, .ppid = 1, .mono_ns = 8},  // the pid was reused
  });
  Reading reading(recording.path(), 0, kExit);
  ASSERT_EQ(knell_match(reading.get(), "under", "10"), 0) << knell_explain();
  EXPECT_EQ(reading.pids(), (std::vector{20, 30, 40}));
}

TEST(ReplayListener, KeepsTheIntervalsBetweenEvents) {
  const Recording recording({{.type = kExit, .pid = 10, .ppid = 1, .mono_ns = 1'000'000'000},
                             {.type = kExit, .pid = 11, .ppid = 1, .mono_ns = 1'400'000'000},
                             {.type = kExit, .pid = 12, .ppid = 1, .mono_ns = 1'390'000'000}});
  Reading reading(recording.path(), 2);
  ASSERT_TRUE(reading.readable());
  ASSERT_EQ(reading.read(), 1);
  const auto begun = std::chrono::steady_clock::now();
  EXPECT_FALSE(reading.readable());
  ASSERT_TRUE(reading.readable(5s));
  ASSERT_EQ(reading.read(), 2) << "an event with an earlier stamp is returned at once";
  const auto took = std::chrono::steady_clock::now() - begun;
  EXPECT_GE(took, 190ms);
  EXPECT_EQ(reading.read(), -ENODATA);
}

// Of the parent's recorder a forked child can only free its copy.
TEST(Recorder, IsNotWrittenByAForkedChild) {
  const Any any;
  const UniqueFd file(::memfd_create("recording", MFD_CLOEXEC));
  knell_recorder* recorder = nullptr;
  ASSERT_EQ(knell_recorder_open(file.get(), any.get(), nullptr, &recorder), 0) << knell_explain();
  const auto write = [&](int32_t pid) {
    const Happening exit = {.type = kExit, .pid = pid, .ppid = 1, .mono_ns = 1};
    const knell_event event = event_of(exit);
    const knell_event* const one = &event;
    return knell_recorder_write(recorder, &one, 1);
  };
  EXPECT_EQ(write(1), 0) << knell_explain();
  const pid_t child = ::fork();
  if (child == 0) {
    const bool refused = write(2) == -EINVAL;
    const bool explained = std::string(knell_explain()).find("a forked child") != std::string::npos;
    ::_exit(refused && explained && knell_recorder_close(recorder) == 0 ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(write(3), 0) << knell_explain();
  EXPECT_EQ(knell_recorder_close(recorder), 0) << knell_explain();
  Reading reading("/proc/self/fd/" + std::to_string(file.get()));
  EXPECT_EQ(reading.pids(), (std::vector{1, 3}));
}

// The monotonic clocks of two boots have nothing to do with each other.
TEST(ReplayListener, KeepsTheIntervalsBetweenRecordings) {
  constexpr int64_t kSecond = 1'000'000'000;
  const UniqueFd file(::memfd_create("recording", MFD_CLOEXEC));
  const auto record = [&](int32_t pid, int64_t mono_ns, int64_t time_ns) {
    const Any any;
    knell_recorder* recorder = nullptr;
    ASSERT_EQ(knell_recorder_append(file.get(), any.get(), nullptr, &recorder), 0)
        << knell_explain();
    const Happening exit = {
        .type = kExit, .pid = pid, .ppid = 1, .mono_ns = static_cast<uint64_t>(mono_ns)};
    knell_event event = event_of(exit);
    event.time_ns = time_ns;
    const knell_event* const one = &event;
    EXPECT_EQ(knell_recorder_write(recorder, &one, 1), 0) << knell_explain();
    EXPECT_EQ(knell_recorder_close(recorder), 0) << knell_explain();
  };
  record(10, 10 * kSecond, 1'790'000'000 * kSecond);
  record(11, 3600 * kSecond, 1'790'000'001 * kSecond);
  record(12, 2 * kSecond, 1'790'000'002 * kSecond);
  record(13, 3 * kSecond, 1'780'000'000 * kSecond);  // the clock was set back
  const auto begun = std::chrono::steady_clock::now();
  Reading reading("/proc/self/fd/" + std::to_string(file.get()), 10);
  const auto next = [&] {
    const knell_event* event = nullptr;
    while (reading.readable(20s)) {
      const ssize_t n = knell_read(reading.get(), &event, 1);
      if (n != 0) return n == 1 ? event->pid : static_cast<int32_t>(n);
    }
    return 0;
  };
  ASSERT_EQ(next(), 10);
  ASSERT_EQ(next(), 11);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 100ms);
  ASSERT_EQ(next(), 12);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, 200ms);
  EXPECT_EQ(next(), 13);
}

TEST(ReplayListener, ReadsAPipe) {
  const Recording recording({{.type = kExit, .pid = 10, .ppid = 1, .mono_ns = 1},
                             {.type = kExit, .pid = 11, .ppid = 1, .mono_ns = 2}});
  std::string whole(4096, '\0');
  {
    const UniqueFd file(::open(recording.path().c_str(), O_RDONLY | O_CLOEXEC));
    const ssize_t n = ::read(file.get(), whole.data(), whole.size());
    ASSERT_GT(n, 0);
    whole.resize(static_cast<size_t>(n));
  }
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd out(ends[0]);
  UniqueFd in(ends[1]);
  const auto send = [&](size_t from, size_t size) {
    const std::string part = whole.substr(from, size);
    ASSERT_EQ(::write(in.get(), part.data(), part.size()), static_cast<ssize_t>(part.size()));
  };
  // Withhold the end mark, 56 bytes, and the last 4 bytes of the last event.
  const size_t first = whole.size() - 60;
  send(0, first);
  Reading reading("/proc/self/fd/" + std::to_string(out.get()));
  ASSERT_EQ(reading.read(), 1);
  EXPECT_EQ(reading.read(), 0);
  EXPECT_FALSE(reading.readable());
  send(first, whole.size() - first);
  ASSERT_TRUE(reading.readable());
  ASSERT_EQ(reading.read(), 1);
  EXPECT_EQ(reading[0].pid, 11);
  in.reset();
  EXPECT_EQ(reading.read(), -ENODATA) << knell_explain();
}

TEST(ReplayListener, ReportsATruncatedFile) {
  const UniqueFd fd(::memfd_create("recording", MFD_CLOEXEC));
  Recording::record(fd.get(), {{.type = kExit, .pid = 10, .ppid = 1, .mono_ns = 1}});
  ASSERT_EQ(::ftruncate(fd.get(), ::lseek(fd.get(), 0, SEEK_END) - 1), 0);
  Reading reading("/proc/self/fd/" + std::to_string(fd.get()));
  ASSERT_EQ(reading.read(), 1);
  for (int i = 0; i < 2; i++) {
    EXPECT_TRUE(reading.readable());
    EXPECT_EQ(reading.read(), -EBADMSG);
    EXPECT_THAT(knell_explain(), HasSubstr("ends early, after 1 events"));
  }
}

TEST(ReplayListener, RefusesBadOptions) {
  knell_listener* k = nullptr;
  knell_replay_options options = KNELL_REPLAY_OPTIONS_INIT;
  EXPECT_EQ(knell_open_recording(nullptr, &options, &k), -EINVAL);
  EXPECT_EQ(knell_open_recording("/nonexistent", nullptr, &k), -ENOENT);
  EXPECT_THAT(knell_explain(), HasSubstr("/nonexistent: No such file"));
  for (const double speed : {-1.0, std::nan(""), 1e10}) {
    options.speed = speed;
    EXPECT_EQ(knell_open_recording("/nonexistent", &options, &k), -EINVAL);
    EXPECT_THAT(knell_explain(), HasSubstr("speed"));
  }
}

}  // namespace
