// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <signal.h>

#include <chrono>
#include <deque>
#include <optional>
#include <vector>

namespace knell::cli {

// Tells whether a signal was sent to this process alone or to its whole process group. It compares
// with the signals of another process in the group (GroupProbe): a signal that both received from
// the same sender was sent to the group.
//
// Some senders signal each process of a cgroup or a process tree separately (systemd's
// KillMode=control-group, GNU parallel): then the two signals are some microseconds apart. So a
// signal stays undecided for kSettle before it counts as sent to this process alone, and a signal
// that only the other process received is kept equally long.
class SignalSorter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::chrono::milliseconds kSettle{20};  // chosen, not measured

  enum class Target { kProcess, kGroup };  // where the signal was sent
  struct Sorted {
    siginfo_t info;
    Target target;
  };

  void add_own(const siginfo_t& info, Time now);
  void add_probe(const siginfo_t& info, Time now);
  // Removes and returns the signals that are decided by now, in the order they came.
  std::vector<Sorted> take(Time now);
  // When the next signal is decided; nullopt: no signal is undecided.
  std::optional<Time> next() const;

 private:
  struct Entry {
    siginfo_t info;
    Time until;  // the signal is decided from then on
    bool group = false;
  };
  std::deque<Entry> own_, probe_;
};

}  // namespace knell::cli
