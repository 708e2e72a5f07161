// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <vector>

#include "source/connector/connector.h"
#include "source/output_for_test.h"
#include "source/source.h"
#include "support/child.h"
#include "support/lives.h"
#include "support/patience.h"

namespace knell::test {

// For tests that run once with each way of filtering.
inline const auto kFilterings = ::testing::Values(
    source::Filtering::kKernel, source::Filtering::kClassic, source::Filtering::kNone);
inline std::string filtering_name(const ::testing::TestParamInfo<source::Filtering>& tested) {
  switch (tested.param) {
    case source::Filtering::kKernel:
      return "KernelFilter";
    case source::Filtering::kClassic:
      return "ClassicFilter";
    case source::Filtering::kNone:
      break;
  }
  return "NoFilter";
}

// Calls `drain` until it returns something else than kMore. Returns why the source failed, or "".
inline std::string drain_all(const std::function<Result<source::Drained>()>& drain) {
  for (;;) {
    const auto drained = drain();
    if (!drained) return drained.error().message();
    if (*drained != source::Drained::kMore) return {};
  }
}

// Calls `drain` whenever `fd` is readable, until `done` returns true. False: the deadline passed.
// `broken`: an error text that `drain` sets.
inline bool drain_until(int fd, const std::function<void()>& drain, const std::string& broken,
                        const std::function<bool()>& done, const Deadline& deadline) {
  for (;;) {
    drain();
    if (done()) return true;
    if (!broken.empty() || deadline.passed()) return false;
    pollfd readable{fd, POLLIN, 0};
    ::poll(&readable, 1, deadline.left_ms());
  }
}

// Keeps the finished events of a source.
class SourceCollector : public source::KeptOutput {
 public:
  using KeptOutput::KeptOutput;
  // Drains the source once, without waiting.
  void drain(source::Source& source) {
    broken = drain_all([&] { return drain_once(source); });
  }
  // Reads until `done` is true; false when it never was.
  bool read_until(source::Source& source, const std::function<bool()>& done,
                  const Deadline& deadline = Deadline()) {
    return drain_until(source.fd(), [&] { drain(source); }, broken, done, deadline);
  }

  std::string broken;  // why the source failed, if it did
};

// Keeps the events of threads that the connector reports.
class Collector : public source::ThreadEvents {
 public:
  void on_raw(const event::Raw& raw) override { raws.push_back(raw); }

  // These are as in SourceCollector.
  void drain(source::Connector& connector) {
    broken = drain_all([&] { return connector.drain(*this, 256); });
  }
  bool read_until(source::Connector& connector, const std::function<bool()>& done,
                  const Deadline& deadline = Deadline()) {
    return drain_until(connector.fd(), [&] { drain(connector); }, broken, done, deadline);
  }
  // The exit code of a single-threaded process, if its end was reported; else -1.
  int64_t exit_of(pid_t pid) const {
    for (const event::Raw& raw : raws) {
      if (raw.what == KNELL_EVENT_EXIT && raw.pid == pid &&
          owner_of(pid, raw.stamp_ns) == Owner::kChild)
        return raw.u.exit.code;
    }
    return -1;
  }
  std::vector<event::Raw> of_type(uint32_t what) const {
    std::vector<event::Raw> found;
    for (const event::Raw& raw : raws) {
      if (raw.what == what) found.push_back(raw);
    }
    return found;
  }

  std::vector<event::Raw> raws;
  std::string broken;
};

// Forks a child that exits with `status`, waits for it, and returns its pid.
inline pid_t exited_child(int status) {
  Child child = Child::fork([status] { return status; });
  const pid_t pid = child.pid();
  child.wait();
  return pid;
}

// What `body` returned in a forked child, which may change its user and namespaces. Not a Child: in
// a pid namespace of its own a Child cannot recognise its parent.
inline std::string in_child(const std::function<std::string()>& body) {
  Pipe pipe = make_pipe();
  const pid_t pid = ::fork();
  KNELL_CHECK(pid >= 0);
  if (pid == 0) {
    const std::string text = body();
    ::_exit(::write(pipe.write.get(), text.data(), text.size()) < 0 ? 1 : 0);
  }
  pipe.write.reset();
  std::string text;
  char bytes[4096];
  for (ssize_t size; (size = ::read(pipe.read.get(), bytes, sizeof bytes)) > 0;) {
    text.append(bytes, static_cast<size_t>(size));
  }
  ::waitpid(pid, nullptr, 0);
  return text;
}

// Changes from root to nobody, permanently.
inline bool become_nobody() {
  constexpr uid_t kNobody = 65534;
  return ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
}

inline void no_core_files() {
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
}

}  // namespace knell::test
