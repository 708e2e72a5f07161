// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

// Past events of a host, from a recording instead of a journal.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <knell/knell.hpp>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "fleet/event_for_test.h"
#include "fleet/history_service.h"

namespace knell::fleet {

constexpr int64_t kBootTimeNs = int64_t{1'790'000'000} * 1'000'000'000;

class PastForTest {
 public:
  // Exits of the processes 1 to `count`: the n-th ends n seconds and `offset_ns` after the boot,
  // with exit code n % 3.
  explicit PastForTest(int count, uint64_t offset_ns = 0) {
    std::string name = testing::TempDir() + "knell-past-XXXXXX";
    const UniqueFd file(::mkostemp(name.data(), O_CLOEXEC));
    EXPECT_TRUE(file);
    path_ = name;
    Options options;
    // needs no privileges; RecordingWriter needs the options of a listener
    options.via = KNELL_VIA_PIDFD;
    std::error_code error;
    const Listener origin = Listener::open(options, error);
    EXPECT_FALSE(error) << explain();
    knell_recorder* recorder = nullptr;
    EXPECT_EQ(knell_recorder_open(file.get(), origin.get(), nullptr, &recorder), 0) << explain();
    for (int pid = 1; pid <= count; ++pid) {
      knell_event event = exit_for_test(pid, (pid % 3) << 8);
      event.mono_ns = static_cast<uint64_t>(pid) * 1'000'000'000 + offset_ns;
      event.time_ns = static_cast<int64_t>(event.mono_ns) + kBootTimeNs;
      event.comm = {"worker", 6};
      event.exe = {"/bin/worker", 11};
      const knell_event* const one = &event;
      EXPECT_EQ(knell_recorder_write(recorder, &one, 1), 0) << explain();
    }
    EXPECT_EQ(knell_recorder_close(recorder), 0) << explain();
  }
  PastForTest(const PastForTest&) = delete;
  PastForTest& operator=(const PastForTest&) = delete;
  ~PastForTest() { ::unlink(path_.c_str()); }

  HistoryService::Open open() {
    return [this](const HistoryOptions& options, std::error_code& error) {
      asked_.push_back(options);
      ReplayOptions replay;
      replay.events = options.events;
      return Listener::open_recording(path_, replay, error);
    };
  }
  // Written by the thread of the service: read it only after an answer.
  const std::vector<HistoryOptions>& asked() const { return asked_; }

 private:
  std::string path_;
  std::vector<HistoryOptions> asked_;
};

}  // namespace knell::fleet
