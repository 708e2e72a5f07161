// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/frame/cores.h"
#include "bench/frame/failure.h"

namespace knell::bench {

// One event a listener told of.
struct Arrival {
  uint32_t type;  // KNELL_EVENT_FORK (pid: the child), EXEC or EXIT
  int32_t pid;
};

// Somebody who listens, in a process of its own (and a process group of its own, so that Ctrl-C
// does not reach it), on the listeners' cores:
//
//   start() -> the storm -> handled(marker) or quiet -> CPU is read -> stop() -> arrivals()
//
// and again in the next round. The destructor stops it.
class Contender {
 public:
  explicit Contender(std::string name) : name_(std::move(name)) {}
  virtual ~Contender() { kill_now(); }
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  bool is_alive() const;  // it has not ended by itself
  // The daemon that it listens through, or 0. Its CPU is counted apart.
  pid_t daemon() const { return daemon_; }
  void set_daemon(pid_t pid) { daemon_ = pid; }

  // Returns when it listens. A failure's line says why it cannot.
  virtual Outcome<void> start(const Cores& cores) = 0;
  // When it handled the end of `marker`, CLOCK_MONOTONIC; nullopt: not yet, or it does not tell
  // before stop(). Looking must cost the listener nothing.
  virtual std::optional<uint64_t> handled(pid_t marker) = 0;
  virtual void stop() { kill_now(); }
  // What it told of since start(); after stop().
  virtual std::vector<Arrival> arrivals() = 0;
  // The bits of what it should tell of (KNELL_EVENT_*); 0: nobody counts what it tells.
  virtual uint32_t events() const = 0;

 protected:
  // Forks, and calls `body` in the child, pinned; `body` should not return.
  Outcome<void> run(const Cores& cores, const std::function<void()>& body);
  bool await_end(uint64_t patience_ns);  // reaped within that time
  void kill_now();                       // SIGKILL, and reaped
  void end_softly();                     // SIGINT, so that it flushes; SIGKILL when it is slow

 private:
  std::string name_;
  pid_t pid_ = -1;
  pid_t daemon_ = 0;
};

// What a contender that is code of ours shares with us: it writes, we look. The log is address
// space only until it is written to; a listener's one store an event costs a nanosecond.
struct Board {
  static constexpr size_t kCapacity = size_t{1} << 24;  // events; what comes later is counted only
  std::atomic<uint32_t> ready = 0;
  std::atomic<int32_t> error = 0;  // an errno: why it cannot listen
  std::atomic<int32_t> marker = 0;
  std::atomic<uint64_t> marker_ns = 0;     // when it handled the marker
  std::atomic<uint64_t> count = 0;         // of events told, ours and others'
  std::atomic<uint64_t> lost = 0;          // what it was told was lost
  std::atomic<uint64_t> figures[16] = {};  // for a case's own use
  char why[256] = {};                      // `error` in words
  Arrival log[kCapacity];

  void tell(uint32_t type, int32_t pid) {
    const uint64_t at = count.load(std::memory_order_relaxed);
    if (at < kCapacity) log[at] = {type, pid};
    count.store(at + 1, std::memory_order_release);
  }
  void tell_marker(int32_t pid, uint64_t ns) {
    marker_ns.store(ns, std::memory_order_relaxed);
    marker.store(pid, std::memory_order_release);
  }
};

// A contender that is code of ours.
class InProcess : public Contender {
 public:
  // `listen` is called in the child. It sets board.ready once it listens, and returns 0 when
  // `stop_fd` (an eventfd) is readable, with its source closed: a connector socket that is closed
  // without IGNORE leaves the kernel's count of listeners up. Or it returns an errno, with
  // board.why, when it cannot listen.
  using Listen = std::function<int(Board& board, int stop_fd)>;
  InProcess(std::string name, uint32_t events, Listen listen);
  ~InProcess() override;

  Outcome<void> start(const Cores& cores) override;
  std::optional<uint64_t> handled(pid_t marker) override;
  void stop() override;
  std::vector<Arrival> arrivals() override;
  uint32_t events() const override { return events_; }
  Board& board() { return *board_; }

 private:
  uint32_t events_;
  Listen listen_;
  Board* board_ = nullptr;
  int stop_fd_ = -1;
};

// Sleeps. What every other contender's storm is compared with.
std::unique_ptr<Contender> make_null(std::string name = "null");

// How most programs use the connector: epoll, one recv an event, 64 MiB of buffer. kLegacy asks
// with 4 bytes and gets every event there is; kFiltered with 8 and a mask (Linux 6.6); kClassicBpf
// with 4, behind a socket filter that lets only non-zero exits pass.
enum class Request { kLegacy, kFiltered, kClassicBpf };
std::unique_ptr<Contender> make_naive(std::string name, Request request, uint32_t events);
bool kernel_filters();  // whether kFiltered works here

// A program on libknell: poll, knell_read.
struct LibraryOptions {
  uint32_t events = 0;
  uint32_t details = 0;  // enum knell_details
  const char* via = "bpf";
  int64_t latency_ns = 1'000'000;
  size_t buffer_bytes = 0;
};
std::unique_ptr<Contender> make_library(std::string name, const LibraryOptions& options);

// nullopt: libknell can listen that way here; else why not, in words.
std::optional<std::string> why_no_source(const char* via);

// How many of the events that a listener for `events` should have told of did not arrive.
struct Blow;
uint64_t count_lost(uint32_t events, const Blow& blow, std::span<const Arrival> arrivals);

}  // namespace knell::bench
