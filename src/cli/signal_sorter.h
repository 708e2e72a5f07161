// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <chrono>
#include <deque>
#include <optional>
#include <vector>

namespace knell::cli {

// Tells a signal sent to this process alone from one sent to its whole process group, by comparison
// with the signals of another process in the group (GroupProbe): what both got from the same sender
// was sent to both.
//
// Some senders signal each process of a cgroup or a process tree by itself (systemd's
// KillMode=control-group, GNU parallel): the two signals are some microseconds apart then. So a
// signal is undecided for kSettle before it counts as sent to this process alone, and one that only
// the other process got is remembered as long.
class SignalSorter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kSettle{20};  // picked

  enum class Reach { kProcess, kGroup };
  struct Sorted {
    siginfo_t info;
    Reach reach;
  };

  void add_own(const siginfo_t& info, Time now);
  void add_probe(const siginfo_t& info, Time now);
  // Those that are decided by now, in the order they came.
  std::vector<Sorted> take(Time now);
  // When the next one is decided; nullopt: none is undecided.
  std::optional<Time> next() const;

 private:
  struct Entry {
    siginfo_t info;
    Time until;  // undecided until then
    bool group = false;
  };
  std::deque<Entry> own_, probe_;
};

}  // namespace knell::cli
