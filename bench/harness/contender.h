// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "bench/harness/machine.h"
#include "bench/harness/report.h"
#include "bench/harness/storm.h"

namespace knell::bench {

// One event that a listener reported.
struct LoggedEvent {
  uint32_t type;  // KNELL_EVENT_FORK (pid: the child), EXEC, EXIT, ...
  int32_t pid;
  uint32_t delay_ns;  // from the kernel's timestamp to the listener; 0: not measured
};

// The events that one listener reported in one turn.
struct Recording {
  uint32_t mask = 0;  // KNELL_EVENT_*: what it subscribed to
  std::vector<LoggedEvent> events{};
};

// The result of one turn of a contender.
struct Turn {
  StormResult storm;
  // CPU time of the contender, from before the storm until all was reported
  uint64_t cpu_ns = 0;
  uint64_t daemon_cpu_ns = 0;  // CPU time of the daemon that the contender uses, in the same time
  std::optional<uint64_t> handled_ns;  // from the begin of the storm until the last event
  uint64_t reported = 0;               // events, of other processes as well
  uint64_t lost = 0;                   // events of the storm that were not reported
  // listeners that missed an event, or got one twice or unrequested
  uint64_t wrong_listeners = 0;
  std::vector<double> delays_us{};  // of the exits of the storm, if delays were measured

  double storm_ns() const { return static_cast<double>(storm.end_ns - storm.begin_ns); }
  double count() const { return static_cast<double>(storm.processes.size()); }
};

struct Comparison {
  uint64_t lost = 0, unexpected = 0;
};
// Compares the events that a listener with this mask must report with the events that it reported.
Comparison compare(const StormResult& storm, const Recording& recording);

// Something that listens, in a process (and process group) of its own, on the listeners' cores. In
// every round: start() -> pause -> storm -> handled(marker) or no more CPU used -> stop().
class Contender {
 public:
  explicit Contender(std::string name) : name_(std::move(name)) {}
  virtual ~Contender() { kill_now(); }
  Contender(const Contender&) = delete;
  Contender& operator=(const Contender&) = delete;

  const std::string& name() const { return name_; }
  pid_t pid() const { return pid_; }
  // The daemon that this contender uses: it runs on the listeners' cores, and its CPU time is
  // counted separately.
  void set_daemon(pid_t pid) { daemon_ = pid; }

  // One turn from start() to stop().
  virtual Result<Turn> take_turn(const Cores& cores, const StormOptions& options);
  // Measures the part of a turn between start() and stop(); evaluate() adds the rest.
  Result<Turn> measure(const StormOptions& options);
  void evaluate(Turn& turn);

  // Returns once the contender listens. On an error, the message says why it cannot listen.
  virtual Result<void> start(const Cores& cores) = 0;
  virtual void stop() { kill_now(); }

 protected:
  // The time at which the contender handled the exit of `marker`; nullopt: not yet, or it prints
  // only when it is stopped.
  virtual std::optional<uint64_t> handled(pid_t marker) = 0;
  // The events reported since start_recording(). Earlier processes may have had the same pids.
  virtual void start_recording() = 0;
  virtual std::vector<Recording> recordings() = 0;  // empty: the null listener

  // Calls `body` in a forked, pinned process. `body` should not return.
  Result<void> fork_body(const Cores& cores, const std::function<void()>& body);
  bool await_exit(uint64_t patience_ns);
  void kill_now();
  // Waits until the contender uses nearly no CPU time; false: it has exited, or still uses CPU
  // time.
  bool await_quiet(uint64_t patience_ns) const;

 private:
  std::optional<uint64_t> await_handled(pid_t marker);

  std::string name_;
  pid_t pid_ = -1, daemon_ = 0;
};

// One kind of storm, and the contenders that are compared under it. The ratios of a turn compare it
// with the turn of the first contender in the same round.
struct Part {
  std::string name;
  StormOptions storm;
  std::vector<std::unique_ptr<Contender>> contenders{};
};

struct TurnOf {
  Report& report;
  const Part& part;
  const Contender& contender;
  const Turn& turn;
  const Turn& first;  // the turn of the first contender in the same part and round

  bool is_first() const { return &turn == &first; }
  void add(const Metric& metric, double value) const {
    report.add(part.name, contender.name(), metric, value);
  }
};

// Measures every contender of every part once a round, in an order that is shuffled in each, so
// that the drift of the machine cancels. `on_turn` is called after each part, in the order of its
// contenders. A contender that cannot be measured is reported as absent and skipped from then on; a
// part without its first contender has no result. When interrupted(), the report is marked as
// partial.
Result<void> take_rounds(size_t rounds, const Cores& cores, Report& report,
                         std::vector<Part>& parts,
                         const std::function<void(const TurnOf&)>& on_turn);

// Replaces the progress line on standard error, if that is a terminal. Not called during a
// measurement.
void show_progress(const std::string& text);

// --- Listeners that are part of knell-bench ---

// How programs without knell use the process connector: epoll, one recv an event, 64 MiB of buffer.
enum class Request {
  kLegacy,   // 4 bytes: every event there is
  kFiltered  // 8 bytes with a mask
};
Request best_request();  // kFiltered from Linux 6.6 on

// A way to listen with libknell: "connector" or "bpf", or "daemon" and the pid of knelld.
struct Source {
  std::string via{};
  pid_t daemon = 0;

  std::string name() const { return daemon != 0 ? "knell, through the daemon" : "knell " + via; }
};
// The sources of libknell that work here; sources that do not work are noted in the report as
// absent.
std::vector<Source> usable_sources(Report& report, bool with_daemon = false);

struct LibraryOptions {
  Source source{};
  uint32_t details = 0;    // KNELL_DETAILS_*
  int64_t latency_ns = 0;  // as in knell_options: 0 is the default
  size_t buffer_bytes = 0;
  bool only_added = false;
};

// `masks`: one listener for each. Naive ones have a process each; those of the library share one.
struct Listeners {
  std::vector<uint32_t> masks{};
  bool measure_delay = false;
};
std::unique_ptr<Contender> make_null();
std::unique_ptr<Contender> make_naive(std::string name, Request request, Listeners listeners);
std::unique_ptr<Contender> make_library(std::string name, LibraryOptions options,
                                        Listeners listeners);

// --- Programs that print a line for each event ---

// Its output must have one of the known formats: that of a rival, or the JSON of knell watch.
std::unique_ptr<Contender> make_program(std::string name, std::vector<std::string> command,
                                        uint32_t mask);
std::optional<LoggedEvent> parse_line(std::string_view program, const std::string& line);
// Searches as execvp() does, and in /usr/sbin; empty: not found.
std::string find_program(std::string_view name);

}  // namespace knell::bench
