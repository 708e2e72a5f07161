// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell kill`: sends a signal to processes, and waits until each has ended. Sends all signals
// before the first wait. The pidfd of a process is opened before the signal is sent through another
// pidfd, so its end cannot be missed; if the process ends in between, the second pidfd cannot be
// opened.
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <knell/knell.hpp>
#include <optional>
#include <tuple>
#include <unordered_map>

#include "base/duration.h"
#include "base/numbers.h"
#include "base/pidfd.h"
#include "base/signal_names.h"
#include "cli/command.h"
#include "cli/descriptor_limit.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

// "15", "TERM", "sigterm", "RTMIN+1"; nullopt: no such signal.
std::optional<int> signal_of(std::string_view word) {
  const auto signal = parse_signal(word);  // knows numbers above those that kill(2) takes, too
  return signal && *signal < NSIG ? std::optional(*signal) : std::nullopt;
}

class Kill final : public Command {
 public:
  std::string_view name() const override { return "kill"; }
  std::string_view synopsis() const override { return "[OPTIONS] PID..."; }
  std::string_view summary() const override {
    return "sends a signal, and waits until the processes have ended";
  }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<void> wait_for_all();
  void send_to(pid_t pid, int signal);
  void refuse(std::string_view why);
  Outcome<void> print(const knell_event& event);

  std::string signal_name_ = "TERM", timeout_, format_;
  bool kill_ = false;
  std::vector<std::string> words_;

  Listener listener_;
  bool json_ = false;
  std::optional<nanoseconds> limit_;
  Clock::time_point started_;
  std::unordered_map<pid_t, Clock::time_point> signalled_;  // those that have not ended yet
  OutputBuffer out_{STDOUT_FILENO, "standard output"};
  int status_ = kDone;
};

std::string_view Kill::notes() const {
  return "Prints a line for each process that ends: how it ended, and the time from the signal "
         "until\n"
         "its memory was free. With SIGKILL the kernel frees the memory at once, even of a "
         "process\n"
         "that is blocked (Linux 5.15).\n"
         "\n"
         "Exit status: 0 all have ended; 1 one could not be signalled; 124 the time-out passed.\n"
         "\n"
         "Examples:\n"
         "  knell kill 4412 4413\n"
         "  knell kill --timeout 10s 4412 || knell kill -9 4412\n"
         "  knell kill -s HUP -o json 4412\n";
}

void Kill::add_options(CommandLine& line) {
  line.add_value("-s,--signal", signal_name_, "SIGNAL", "the signal: TERM (default), 9, SIGHUP");
  line.add_flag("-9", kill_, "as -s KILL");
  line.add_value("--timeout", timeout_, "TIME", "wait no longer than this: 5s, 1m30s");
  line.add_value("-o,--output", format_, "FORMAT", "table (default) or json, an object a line");
  line.add_words("PID", words_, "the processes");
}

void Kill::refuse(std::string_view why) {
  message("knell: {}\n", why);
  status_ = kFailed;
}

void Kill::send_to(pid_t pid, int signal) {
  if (const auto error = listener_.add(pid)) return refuse(knell_explain());
  const auto pidfd = try_pidfd_open(pid);
  const auto now = Clock::now();
  const int error = pidfd ? send_signal(pidfd->get(), signal) : pidfd.error();
  // ESRCH: the process has ended, and its parent has reaped it.
  if (error != 0 && error != ESRCH) {
    std::ignore = listener_.remove(pid);
    return refuse(fmt::format("cannot signal process {}: {}", pid, std::strerror(error)));
  }
  if (error == 0 && signal == SIGKILL) release_memory(pidfd->get());
  signalled_.emplace(pid, now);
}

Outcome<void> Kill::print(const knell_event& event) {
  const auto found = signalled_.find(event.pid);
  if (event.type != KNELL_EVENT_EXIT || found == signalled_.end()) return {};
  const nanoseconds took = std::max(nanoseconds(0), monotonic_time(event) - found->second);
  signalled_.erase(found);
  std::string& out = out_.buffer();
  if (json_) {
    append_json_line(out, event);
    out.resize(out.size() - 2);  // "}\n"
    out += fmt::format(",\"took_ns\":{}}}\n", took.count());
  } else {
    out += fmt::format("{} {} after {}\n", event.pid, ended(event), duration_text(took));
  }
  KNELL_TRY(out_.flush());
  return {};
}

Outcome<void> Kill::wait_for_all() {
  while (!signalled_.empty()) {
    std::optional<nanoseconds> left;
    if (limit_) left = std::max(nanoseconds(0), *limit_ - (Clock::now() - started_));
    std::error_code error;
    const knell_event* event = listener_.next(left, error);
    if (error && error != std::errc::interrupted) return failed("{}", knell_explain());
    if (event != nullptr) {
      KNELL_TRY(print(*event));
    } else if (!error) {
      message("knell: {} still running after {}\n",
              signalled_.size() == 1 ? "1 process" : fmt::format("{} processes", signalled_.size()),
              duration_text(*limit_));
      status_ = kTimedOut;
      return {};
    }
  }
  return {};
}

Outcome<int> Kill::execute(std::vector<std::string>) {
  KNELL_ASSIGN(json_, wants_json(format_));
  const auto signal = kill_ ? std::optional(SIGKILL) : signal_of(signal_name_);
  if (!signal) return usage("--signal: there is no signal '{}'", printable(signal_name_));
  if (!timeout_.empty()) {
    const auto time = parse_duration(timeout_);
    if (!time) return usage("--timeout: {}", time.error().message());
    limit_ = *time;
  }
  // kill(1) takes "-15 PID". The parser takes a negative number as a word.
  if (words_.size() > 1 && words_.front().starts_with('-') && signal_of(words_.front().substr(1)))
    return usage("unknown option {}; a signal is given with -s: -s {}", words_.front(),
                 words_.front().substr(1));
  KNELL_ASSIGN(const std::vector<pid_t> pids, parse_pids(words_));
  if (pids.empty()) return usage("missing process; use knell kill PID...");
  raise_descriptor_limit();
  Options options;
  options.events = KNELL_EVENT_EXIT;
  options.via = KNELL_VIA_PIDFD;
  options.latency_ns = KNELL_LATENCY_NONE;
  KNELL_ASSIGN(listener_, open_listener(options));
  started_ = Clock::now();
  for (const pid_t pid : pids) send_to(pid, *signal);
  KNELL_TRY(wait_for_all());
  return status_;
}

}  // namespace

std::unique_ptr<Command> make_kill() { return std::make_unique<Kill>(); }

}  // namespace knell::cli
