// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "bench/harness/contender.h"

namespace knell::bench {

// A T in memory that is shared with forked processes: they write it, and this process reads it. It
// is zero at first, and takes no memory until it is written. T: plain data and atomics.
template <class T>
std::shared_ptr<T> map_shared() {
  void* memory = ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  KNELL_CHECK(memory != MAP_FAILED);
  return {static_cast<T*>(memory), [](T* mapped) { ::munmap(mapped, sizeof(T)); }};
}

struct LibraryCloser {
  void operator()(knell_listener* listener) const { knell_close(listener); }
};
using LibraryHandle = std::unique_ptr<knell_listener, LibraryCloser>;
// Empty, and knell_explain() says why: it cannot be opened.
LibraryHandle open_library(const LibraryOptions& options, uint32_t mask);

// The events that one listener reported. Only the listener's process writes it.
struct EventLog {
  static constexpr size_t kCapacity = size_t{1} << 22;  // later events are only counted
  std::atomic<int32_t> marker;
  std::atomic<uint64_t> marker_ns;
  std::atomic<uint64_t> count;
  LoggedEvent events[kCapacity];

  void append(const LoggedEvent& event) {
    const uint64_t at = count.load(std::memory_order_relaxed);
    if (at < kCapacity) events[at] = event;
    count.store(at + 1, std::memory_order_release);
  }
  void append_marker(int32_t pid) {
    marker_ns.store(now_ns(), std::memory_order_relaxed);
    marker.store(pid, std::memory_order_release);
  }
  size_t size() const { return std::min<size_t>(count.load(std::memory_order_acquire), kCapacity); }
  // Whether one of the last events is that of the marker
  bool contains(pid_t wanted, uint32_t mask) const;
};

// Data shared by a listener's process and this process, besides the logs.
struct Control {
  std::atomic<uint32_t> ready;                      // listeners that listen
  std::atomic<uint64_t> elapsed_ns, cpu_ns, exits;  // of a supervisor
  char error[256];

  bool fail(const char* what, const char* why);  // returns false
};

// A contender whose process runs `body`. `body` increments control.ready for each mask once it
// listens. When stop_fd is readable it closes its source and returns true: a connector socket that
// is closed without IGNORE leaves the kernel's count of listeners too high. On a failure it returns
// false.
class ListenerProcess : public Contender {
 public:
  using Body = std::function<bool(ListenerProcess& self)>;
  ListenerProcess(std::string name, Listeners listeners, Body body);

  Result<void> start(const Cores& cores) override;
  void stop() override;
  void clear_logs();

  const Listeners& listeners() const { return listeners_; }
  EventLog& log(size_t listener) { return *logs_[listener]; }
  Control& control() { return *control_; }
  int stop_fd() const { return stop_.get(); }
  // Appends an event of a process to the log of a listener, and the marker when it is one. `ppid`
  // 0: unknown.
  void record(size_t listener, uint32_t type, int32_t pid, int32_t ppid, int32_t wait_status,
              uint64_t stamp_ns);

 protected:
  std::optional<uint64_t> handled(pid_t marker) override;
  void start_recording() override;
  std::vector<Recording> recordings() override;

 private:
  Listeners listeners_;
  Body body_;
  pid_t storm_pid_ = ::getpid();  // the parent of the processes of a storm
  std::shared_ptr<Control> control_ = map_shared<Control>();
  std::vector<std::shared_ptr<EventLog>> logs_;
  std::vector<size_t> first_;  // the index of the first event of the recording, in each log
  UniqueFd stop_;
};

}  // namespace knell::bench
