// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell wait`: until processes that need not be our children are over. By pidfds, so it needs no
// privilege; a descriptor for each of them, so the limit is raised as far as it goes.
#include <fmt/format.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <knell/knell.hpp>
#include <optional>
#include <unordered_set>

#include "base/duration.h"
#include "cli/command.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/units.h"

namespace knell::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);  // where it fails, knell_add() will say so
}

class Waiting {
 public:
  Waiting(Listener& listener, bool any, bool json) : listener_(listener), any_(any), json_(json) {}

  Outcome<void> add(pid_t pid);
  size_t left() const { return left_; }
  Outcome<int> run(std::optional<nanoseconds> timeout);

 private:
  Outcome<bool> read_events();
  void take(const knell_event& event);
  Outcome<void> write();
  bool done() const { return left_ == 0 || (any_ && status_); }
  int timed_out(nanoseconds timeout) const;

  Listener& listener_;
  bool any_;
  bool json_;
  Output out_{STDOUT_FILENO, "standard output"};
  bool reader_gone_ = false;
  bool missing_ = false;  // one was not there from the start
  size_t left_ = 0;
  size_t asked_ = 0;
  std::optional<int> status_;  // of the latest that ended
};

Outcome<void> Waiting::add(pid_t pid) {
  ++asked_;
  const std::error_code error = listener_.add(pid);
  if (!error) {
    ++left_;
    return {};
  }
  if (error.value() == EMFILE || error.value() == ENFILE) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    return failed("too many processes for the limit of {} descriptors (ulimit -n)", limit.rlim_cur);
  }
  missing_ = true;
  message("knell: {}\n", knell_explain());
  return {};
}

void Waiting::take(const knell_event& event) {
  if (event.type != KNELL_EVENT_EXIT || done()) return;
  --left_;
  status_ = (event.has & KNELL_HAS_STATUS) != 0 ? shell_status(event.wait_status) : kKnellFailed;
  if (json_) {
    append_json_line(out_.buffer(), event);
  } else {
    out_.buffer() += fmt::format("{} {}\n", event.pid, ended(event));
  }
}

Outcome<void> Waiting::write() {
  if (reader_gone_) out_.buffer().clear();
  KNELL_ASSIGN(const auto reader, out_.flush());
  reader_gone_ =
      reader_gone_ || reader == Output::Reader::kGone;  // the status is worth waiting for still
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

int Waiting::timed_out(nanoseconds timeout) const {
  message("knell: {} of {} not over after {}\n", left_, asked_, duration_text(timeout));
  return kTimedOut;
}

Outcome<int> Waiting::run(std::optional<nanoseconds> timeout) {
  const auto started = Clock::now();
  while (!done()) {
    int wait_ms = -1;
    if (timeout) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(*timeout - (Clock::now() - started));
      wait_ms = static_cast<int>(std::clamp<int64_t>(left.count(), 0, 3'600'000));
    }
    pollfd fd{listener_.fd(), POLLIN, 0};
    ::poll(&fd, 1, wait_ms);
    bool more = true;
    while (more && !done()) {
      KNELL_ASSIGN(more, read_events());
    }
    if (!done() && timeout && Clock::now() - started >= *timeout) return timed_out(*timeout);
  }
  if (any_ && status_) return *status_;
  return missing_ ? kKnellFailed : status_.value_or(kKnellFailed);
}

class Wait final : public Command {
 public:
  std::string_view name() const override { return "wait"; }
  std::string_view synopsis() const override { return "[OPTIONS] PID..."; }
  std::string_view summary() const override {
    return "waits for processes, whose child they may be";
  }
  std::string_view notes() const override;
  bool ends_with_process_status() const override { return true; }
  void add_options(CLI::App& app) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<std::vector<pid_t>> pids() const;
  Outcome<std::optional<nanoseconds>> timeout() const;

  std::string format_, timeout_;
  bool any_ = false;
  std::vector<std::string> pids_;
};

std::string_view Wait::notes() const {
  return "A line each on standard output, as they end: `4412 exit 1`, `4413 SIGKILL`. Needs no "
         "privilege; the\n"
         "status of a process that is not your child is known from Linux 6.15 on, else it is "
         "`unknown`.\n"
         "\n"
         "Exit status: that of the process that ended last (--any: first), 128 + signal where one "
         "killed it;\n"
         "124 the time-out passed; 125 knell failed, or that status is unknown, or a PID did not "
         "exist\n"
         "(the others are waited for all the same; with --any it matters only when none existed).\n"
         "\n"
         "Examples:\n"
         "  knell wait 4412 && systemctl start next\n"
         "  knell wait --any --timeout 30s $(pgrep -x worker)\n"
         "  knell wait -o json 4412 | jq .exit_code\n";
}

void Wait::add_options(CLI::App& app) {
  app.add_flag("--any", any_, "until one of them is over, not all");
  app.add_option("--timeout", timeout_, "give up after this time: 5s, 1m30s")->type_name("TIME");
  app.add_option("-o,--output", format_, "table (default) or json, an object a line")
      ->type_name("FORMAT");
  app.add_option("PID", pids_, "the processes")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->type_name("");
}

Outcome<std::vector<pid_t>> Wait::pids() const {
  constexpr int64_t kMostPid = 4'194'304;  // PID_MAX_LIMIT, linux/threads.h
  if (pids_.empty()) return usage("for which process? knell wait PID...");
  std::vector<pid_t> out;
  std::unordered_set<pid_t> seen;
  for (const std::string& word : pids_) {
    const auto pid = parse_number(word, 1, kMostPid);
    if (!pid) return usage("'{}' is not a PID: a number from 1 to {}", printable(word), kMostPid);
    if (*pid == ::getpid()) return usage("{} is this knell itself: it would wait for ever", *pid);
    if (seen.insert(static_cast<pid_t>(*pid)).second) out.push_back(static_cast<pid_t>(*pid));
  }
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
  KNELL_ASSIGN(const std::vector<pid_t> pids, this->pids());
  raise_descriptor_limit();
  Options options;
  options.events = KNELL_EVENT_EXIT;
  options.via = "pidfd";
  options.latency_ns = 0;
  KNELL_ASSIGN(Listener listener, open_listener(options));
  Waiting waiting(listener, any_, json);
  for (const pid_t pid : pids) KNELL_TRY(waiting.add(pid));
  if (waiting.left() == 0) return kKnellFailed;
  return waiting.run(timeout);
}

}  // namespace

std::unique_ptr<Command> make_wait() { return std::make_unique<Wait>(); }

}  // namespace knell::cli
