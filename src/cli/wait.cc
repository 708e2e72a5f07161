// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell wait`: waits until processes, which need not be its children, have ended. It uses pidfds,
// so it needs no privilege; one descriptor for each process, so the limit of descriptors is raised
// to its maximum.
//
// A pidfd does not give the cause of an exit. So once all pidfds are open, a second listener is
// opened on a source that has causes (knelld, else bpf), and the processes are added to it as well.
// If its event comes first, that is printed. If the pidfd's event comes first, it is held back for
// at most kCauseWait, and no longer than the time-out.
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <knell/knell.hpp>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/duration.h"
#include "base/numbers.h"
#include "cli/command.h"
#include "cli/descriptor_limit.h"
#include "cli/event_copy.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/report.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;
using namespace std::chrono_literals;

// How long to wait for the cause after the pidfd reported the exit: the latency of the daemon, and
// a reserve for a busy machine.
constexpr auto kCauseWait = 200ms;
// With a shorter time-out bpf is not used, as loading it would take too long.
constexpr auto kLeastForBpf = 1s;

constexpr int kNoneMatches = 123;

struct Process {
  pid_t pid;
  uint64_t start = 0;  // 0: any process that has this pid now
};

// Opens a listener on a source that has the cause of an exit; empty where there is none.
Listener open_cause_listener(std::optional<nanoseconds> timeout) {
  Options options;
  options.events = KNELL_EVENT_EXIT;
  options.latency_ns = KNELL_LATENCY_NONE;
  options.only_added = 1;
  std::error_code error;
  options.via = KNELL_VIA_DAEMON;
  Listener listener = Listener::open(options, error);
  if (listener || (timeout && *timeout < kLeastForBpf)) return listener;
  options.via = KNELL_VIA_BPF;
  return Listener::open(options, error);
}

class Waiting {
 public:
  Waiting(Listener& listener, bool any, bool json, std::optional<nanoseconds> timeout)
      : listener_(listener), any_(any), json_(json), timeout_(timeout) {}

  // A process named without a start that no longer exists is reported, and counts as failed.
  Outcome<void> add(const Process& process);
  void set_cause_listener(Listener listener);
  size_t left() const { return processes_.size(); }
  Outcome<int> run();

 private:
  struct Awaited {
    uint64_t start = 0;
    bool cause = false;  // the cause listener will report its exit
    // the exit reported by the pidfd, held until the cause comes or until `until`
    std::optional<EventCopy> held;
    Clock::time_point until;
  };

  Outcome<bool> read_events();
  Outcome<void> read_all_events();
  Outcome<void> find_ended();
  bool read_causes();
  void take(const knell_event& event);
  void print(const knell_event& event);
  enum class Held { kOverdue, kAll };
  void print_held(Held which);
  bool timeout_passed() const { return timeout_ && Clock::now() - started_ >= *timeout_; }
  Outcome<void> write();
  void wait() const;
  bool done() const { return processes_.empty() || (any_ && status_); }
  int timed_out() const;

  Listener& listener_;
  Listener causes_;
  bool any_;
  bool json_;
  std::optional<nanoseconds> timeout_;
  Clock::time_point started_ = Clock::now();
  OutputBuffer out_{STDOUT_FILENO, "standard output"};
  bool reader_gone_ = false;
  bool missing_ = false;  // one of the named processes did not exist
  size_t asked_ = 0;
  std::unordered_map<pid_t, Awaited> processes_;
  size_t held_ = 0;            // number of processes with `held`
  std::optional<int> status_;  // status of the process that ended last
};

Outcome<void> Waiting::add(const Process& process) {
  const std::error_code error = listener_.add(process.pid, process.start);
  if (!error) {
    ++asked_;
    processes_[process.pid].start = process.start;
    return {};
  }
  // It was named by its pid, and also matched the predicates
  if (error.value() == EEXIST) return {};
  if (error.value() == EMFILE || error.value() == ENFILE) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return failed("too many processes for the limit of {} open files; raise it with ulimit -n",
                  limit.rlim_cur);
  }
  if (error.value() == EPROTONOSUPPORT) return fail(kKnellFailed, knell_explain());
  if (process.start != 0) return {};  // it ended after it matched the predicates
  ++asked_;
  missing_ = true;
  message("knell: {}\n", knell_explain());
  return {};
}

void Waiting::set_cause_listener(Listener listener) {
  causes_ = std::move(listener);
  if (!causes_) return;
  for (auto& [pid, awaited] : processes_) awaited.cause = !causes_.add(pid, awaited.start);
}

void Waiting::take(const knell_event& event) {
  if (event.type != KNELL_EVENT_EXIT || done()) return;
  const auto found = processes_.find(event.pid);
  if (found == processes_.end()) return;
  Awaited& awaited = found->second;
  if (causes_ && awaited.cause && event.via == KNELL_VIA_PIDFD) {
    if (awaited.held) return;
    awaited.held.emplace(event);
    awaited.until = Clock::now() + kCauseWait;
    ++held_;
    return;
  }
  print(event);
}

void Waiting::print(const knell_event& event) {
  const auto found = processes_.find(event.pid);
  if (found->second.held) --held_;
  processes_.erase(found);
  status_ = (event.has & KNELL_HAS_STATUS) != 0 ? shell_status(event.wait_status) : kKnellFailed;
  if (json_) {
    append_json_line(out_.buffer(), event);
  } else {
    out_.buffer() += fmt::format("{} {}{}\n", event.pid, ended(event), killer_text(event));
  }
}

// Prints exits without their cause, in the order in which they happened.
void Waiting::print_held(Held which) {
  if (held_ == 0) return;
  std::vector<EventCopy> exits;
  for (const auto& [pid, awaited] : processes_) {
    const bool due = which == Held::kAll || !causes_ || Clock::now() >= awaited.until;
    if (awaited.held && due) exits.emplace_back(awaited.held->event());
  }
  std::ranges::sort(exits, {}, [](const EventCopy& one) { return one.event().mono_ns; });
  for (const EventCopy& one : exits)
    if (!done()) print(one.event());
}

Outcome<void> Waiting::write() {
  if (reader_gone_) out_.buffer().clear();
  KNELL_ASSIGN(const auto reader, out_.flush());
  // Continues to wait after the output was closed, for the exit status.
  reader_gone_ = reader_gone_ || reader == OutputBuffer::Reader::kClosed;
  return {};
}

Outcome<bool> Waiting::read_events() {
  std::array<const knell_event*, 256> space;
  std::error_code error;
  const auto events = listener_.read(space, error);
  if (error) return fail(kKnellFailed, knell_explain());
  for (const knell_event* event : events) take(*event);
  KNELL_TRY(write());
  return !events.empty();
}

Outcome<void> Waiting::read_all_events() {
  bool more = true;
  while (more && !done()) {
    KNELL_ASSIGN(more, read_events());
  }
  return {};
}

// Finds the processes that have ended, but are not reported yet: for a second the listener waits
// for the parent to reap a process whose status is unknown until then.
Outcome<void> Waiting::find_ended() {
  causes_ = Listener();  // its descriptors are needed here
  std::vector<knell_event> exits;
  for (const auto& [pid, awaited] : processes_) {
    if (awaited.held) continue;
    const timespec no_time{};
    knell_event exit{};
    exit.size = sizeof exit;
    const int error = knell_wait(pid, &no_time, &exit);
    if (error == -ETIMEDOUT || error == -ESRCH) continue;
    if (error < 0) return fail(kKnellFailed, knell_explain());
    const bool other = exit.id.kind == KNELL_ID_START && exit.id.start != awaited.start;
    if (awaited.start == 0 || !other) exits.push_back(exit);
  }
  for (const knell_event& exit : exits)
    if (!done()) print(exit);
  return read_all_events();  // ESRCH: the process was reaped just now
}

// If reading the causes fails, continues to wait without them.
bool Waiting::read_causes() {
  if (!causes_) return false;
  std::array<const knell_event*, 256> space;
  std::error_code error;
  const auto events = causes_.read(space, error);
  for (const knell_event* event : events) take(*event);
  if (error) causes_ = Listener();
  return !error && !events.empty();
}

int Waiting::timed_out() const {
  message("knell: {} of {} processes still running after {}\n", processes_.size(), asked_,
          duration_text(*timeout_));
  return kTimedOut;
}

// Waits until a listener is readable, an exit that is held back is due, or the time-out has passed.
void Waiting::wait() const {
  std::optional<Clock::time_point> until;
  if (timeout_) until = started_ + *timeout_;
  for (const auto& [pid, awaited] : processes_) {
    if (held_ == 0) break;
    if (awaited.held && (!until || awaited.until < *until)) until = awaited.until;
  }
  int wait_ms = -1;
  if (until) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now());
    wait_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
  }
  std::array<pollfd, 2> fds{
      {{listener_.fd(), POLLIN, 0}, {causes_ ? causes_.fd() : -1, POLLIN, 0}}};
  ::poll(fds.data(), fds.size(), wait_ms);
}

Outcome<int> Waiting::run() {
  while (!done()) {
    wait();
    while (read_causes() && !done()) {
    }
    KNELL_TRY(read_all_events());
    const bool last = timeout_passed();
    print_held(last ? Held::kAll : Held::kOverdue);
    if (last && !done()) KNELL_TRY(find_ended());
    KNELL_TRY(write());
    if (!done() && last) return timed_out();
  }
  KNELL_TRY(write());
  if (any_ && status_) return *status_;
  return missing_ ? kKnellFailed : status_.value_or(kKnellFailed);
}

class Wait final : public Command {
 public:
  std::string_view name() const override { return "wait"; }
  std::string_view synopsis() const override { return "[OPTIONS] PID...|PREDICATES"; }
  std::string_view summary() const override { return "waits until processes have ended"; }
  std::string_view notes() const override;
  bool ends_with_process_status() const override { return true; }
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<std::vector<Process>> matching() const;
  Outcome<std::optional<nanoseconds>> timeout() const;

  std::string format_, timeout_;
  bool any_ = false;
  Selection selection_;
  std::vector<std::string> pids_;
};

std::string_view Wait::notes() const {
  return "Prints a line for each process that ends: `4412 exit 1`, `4413 SIGKILL`, and the cause\n"
         "where knelld or bpf reports it. Needs no privilege; the status of a process that is not\n"
         "your child is known since Linux 6.15, or with knelld or bpf, else it is `unknown`. With\n"
         "predicates knell waits for each PID and for the processes that match when it starts,\n"
         "except itself.\n"
         "\n"
         "Exit status: that of the process that ended last (--any: first), 128 + signal if a\n"
         "signal killed it; 123 no process matches; 124 the time-out passed; 125 knell failed, or\n"
         "that status is unknown, or there was no process PID (knell still waits for the others;\n"
         "with --any: there was none of the processes).\n"
         "\n"
         "Examples:\n"
         "  knell wait 4412 && systemctl start next\n"
         "  knell wait --any --timeout 30s -C worker\n"
         "  knell wait -u postgresql\n"
         "  knell wait -o json 4412 | jq .exit_code\n";
}

void Wait::add_options(CommandLine& line) {
  line.add_flag("--any", any_, "end when one of the processes has ended, not all");
  line.add_value("--timeout", timeout_, "TIME", "wait no longer than this: 5s, 1m30s");
  line.add_value("-o,--output", format_, "FORMAT", "table (default) or json, an object a line");
  selection_.add_live_predicate_options(line);
  line.add_words("PID", pids_, "the processes to wait for");
}

// The processes that match now, without this one.
Outcome<std::vector<Process>> Wait::matching() const {
  std::vector<Process> out;
  if (selection_.empty()) return out;
  Options options;
  options.via = KNELL_VIA_PIDFD;
  KNELL_ASSIGN(Listener listener, open_listener(options));
  KNELL_TRY(selection_.apply(listener));
  const auto error = listener.snapshot([&](const knell_event& event) {
    const uint64_t start = event.id.kind == KNELL_ID_START ? event.id.start : 0;
    if (event.pid != ::getpid() && start != 0) out.push_back({event.pid, start});
  });
  if (error) return fail(kKnellFailed, knell_explain());
  return out;
}

Outcome<std::optional<nanoseconds>> Wait::timeout() const {
  if (timeout_.empty()) return std::nullopt;
  const auto time = parse_duration(timeout_);
  if (!time) return usage("--timeout: {}", time.error().message());
  return *time;
}

Outcome<int> Wait::execute(std::vector<std::string>) {
  KNELL_ASSIGN(const bool json, wants_json(format_));
  KNELL_ASSIGN(const auto timeout, this->timeout());
  KNELL_ASSIGN(const std::vector<pid_t> pids, parse_pids(pids_));
  if (pids.empty() && selection_.empty())
    return usage("missing process; use knell wait PID..., or predicates such as -C NAME");
  KNELL_TRY(selection_.check(KNELL_EVENT_EXEC));
  raise_descriptor_limit();
  Options options;
  options.events = KNELL_EVENT_EXIT;
  options.via = KNELL_VIA_PIDFD;
  options.latency_ns = KNELL_LATENCY_NONE;
  KNELL_ASSIGN(Listener listener, open_listener(options));
  Waiting waiting(listener, any_, json, timeout);
  for (const pid_t pid : pids) KNELL_TRY(waiting.add({pid}));
  // A process that matches is alive when its pidfd is opened; its exit cannot be missed from then
  // on.
  KNELL_ASSIGN(const std::vector<Process> matching, this->matching());
  for (const Process& process : matching) KNELL_TRY(waiting.add(process));
  if (pids.empty() && waiting.left() == 0) {
    message("knell: there are no {}\n", selection_.describe_processes());
    return kNoneMatches;
  }
  if (waiting.left() == 0) return kKnellFailed;
  waiting.set_cause_listener(open_cause_listener(timeout));
  return waiting.run();
}

}  // namespace

std::unique_ptr<Command> make_wait() { return std::make_unique<Wait>(); }

}  // namespace knell::cli
