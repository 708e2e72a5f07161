// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell run`: CMD, and a line for every process under it that failed. The listener is open, and
// narrowed to the child, before the child may execute: nothing of it can be missed. The child is
// reaped here, so its status is the kernel's own word; those of the processes under it come as
// events.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <knell/knell.hpp>
#include <optional>

#include "base/scheduling.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/output.h"
#include "cli/report.h"
#include "cli/signals.h"
#include "cli/tree.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLatency = 5ms;
// After the child was reaped, its exit and the last ones under it are on their way (the kernel
// tells them a little after wait(2) has returned), and may be paced: no event for so long means
// that there are none.
constexpr auto kQuiet = 3 * kLatency;
constexpr auto kLongestDrain = 500ms;  // where daemons that were left behind keep the events coming

class Running {
 public:
  // `quiet`: after how long without an event there are none any more.
  Running(uint32_t wanted, Clock::duration quiet, Listener& listener, Signals& signals,
          Child& child, Report report, Output& out)
      : wanted_(wanted),
        quiet_(quiet),
        listener_(listener),
        signals_(signals),
        child_(child),
        report_(report),
        out_(out),
        tree_(child.pid()) {}

  int run(const std::string& name);

 private:
  void forward_signals();
  bool reap();
  bool read_events();
  void take(const knell_event& event);
  bool wanted(const knell_event& event) const;
  void wait(std::chrono::milliseconds most);
  void drain();
  void write();

  uint32_t wanted_;
  Clock::duration quiet_;
  Listener& listener_;
  Signals& signals_;
  Child& child_;
  Report report_;
  Output& out_;
  Tree tree_;
  RunResult result_;
  int forwarded_term_ = 0;
  int forwarded_hup_ = 0;
  bool blind_ = false;      // the listener broke
  bool unheard_ = false;    // nobody takes the report any more
  bool root_seen_ = false;  // the child's own exit came as an event
};

// SIGINT and SIGQUIT reach CMD from the terminal as they reach us; these two were meant for us
// alone.
void Running::forward_signals() {
  for (; forwarded_term_ < Signals::count(SIGTERM); ++forwarded_term_)
    ::kill(child_.pid(), SIGTERM);
  for (; forwarded_hup_ < Signals::count(SIGHUP); ++forwarded_hup_) ::kill(child_.pid(), SIGHUP);
}

bool Running::reap() {
  const pid_t gone = ::waitpid(child_.pid(), &result_.wait_status, WNOHANG);
  return gone == child_.pid() || (gone < 0 && errno != EINTR);
}

bool Running::wanted(const knell_event& event) const {
  if (event.type == KNELL_EVENT_LOST) return true;
  if (event.type != KNELL_EVENT_EXIT) return (event.type & wanted_) != 0;
  if (event.pid == child_.pid()) return false;  // told by the closing line
  const bool failed = (event.has & KNELL_HAS_STATUS) == 0 || event.wait_status != 0;
  return (wanted_ & KNELL_EVENT_EXIT) != 0 || (failed && (wanted_ & KNELL_EVENT_NONZERO_EXIT) != 0);
}

void Running::take(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) result_.losses.add(event);
  if (event.type == KNELL_EVENT_EXIT) {
    const bool root = event.pid == child_.pid();
    root_seen_ = root_seen_ || root;
    if (!root && (event.has & KNELL_HAS_STATUS) != 0 && event.wait_status != 0) ++result_.failed;
  }
  if (wanted(event)) report_.add(event, tree_, out_.buffer());  // before the tree forgets it
  tree_.add(event, alive_in_proc);
}

bool Running::read_events() {
  if (blind_) return false;
  std::array<const knell_event*, 256> space;
  std::error_code error;
  const auto events = listener_.read(space, error);
  if (error) {
    message("knell: {}; from here on nothing is seen of {}\n", knell_explain(), result_.name);
    blind_ = true;
    return false;
  }
  for (const knell_event* event : events) take(*event);
  return !events.empty();
}

void Running::write() {
  if (out_.buffer().empty()) return;
  if (unheard_) return out_.buffer().clear();
  const auto reader = out_.flush();
  if (!reader)
    message("knell: {}; {} goes on without a report\n", reader.error().line, result_.name);
  unheard_ = !reader || *reader == Output::Reader::kGone;
}

void Running::wait(std::chrono::milliseconds most) {
  std::array<pollfd, 2> fds{
      {{blind_ ? -1 : listener_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}}};
  ::poll(fds.data(), fds.size(), static_cast<int>(most.count()));
  if (fds[1].revents != 0) signals_.clear();
}

void Running::drain() {
  const auto until = Clock::now() + kLongestDrain;
  auto quiet_since = Clock::now();
  while (Clock::now() < until && Clock::now() - quiet_since < quiet_ && !root_seen_ && !blind_) {
    wait(std::chrono::duration_cast<std::chrono::milliseconds>(quiet_));
    while (read_events()) quiet_since = Clock::now();
  }
  while (read_events() && Clock::now() < until) {
  }
}

int Running::run(const std::string& name) {
  result_.name = name;
  const auto started = Clock::now();
  while (!reap()) {
    wait(-1ms);
    forward_signals();
    while (read_events()) write();
    write();
  }
  result_.took = Clock::now() - started;
  drain();
  if (const auto missed = missed_at_the_end(listener_)) take(*missed);
  result_.processes = tree_.processes();
  result_.still_running = tree_.count_alive(alive_in_proc);
  report_.close(result_, out_.buffer());
  write();
  return shell_status(result_.wait_status);
}

class Run final : public Command {
 public:
  std::string_view name() const override { return "run"; }
  std::string_view synopsis() const override { return "[OPTIONS] -- CMD ARG..."; }
  std::string_view summary() const override { return "runs CMD, tells what failed under it"; }
  std::string_view notes() const override;
  Tail tail() const override { return Tail::kAfterOptions; }
  bool ends_with_process_status() const override { return true; }
  void add_options(CLI::App& app) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<uint32_t> wanted() const;

  Selection selection_;
  std::string format_, report_;
  bool all_ = false;
};

std::string_view Run::notes() const {
  return "CMD keeps standard input, output and error, and Ctrl-C is its business; SIGTERM and "
         "SIGHUP are\n"
         "passed on to it. How CMD itself ended is in the closing line.\n"
         "\n"
         "Exit status: that of CMD, 128 + signal where one killed it; 125 knell failed, or nothing "
         "can be\n"
         "observed here (CMD is not run then); 126 CMD cannot be run; 127 it cannot be found.\n"
         "\n"
         "Examples:\n"
         "  knell run -- make -j8 >build.log\n"
         "  knell run --report failed.json -o json -- ./nightly.sh\n"
         "  knell run -e nonzero-exit,exec -- ./configure\n";
}

void Run::add_options(CLI::App& app) {
  selection_.add_events_option(app, "what to report (default nonzero-exit)");
  app.add_flag("--all", all_, "report every exit, also of those that did well");
  app.add_option("--report", report_, "write the report to FILE, not to standard error")
      ->type_name("FILE");
  app.add_option("-o,--output", format_, "table (default) or json, an object a line")
      ->type_name("FORMAT");
}

Outcome<uint32_t> Run::wanted() const {
  if (all_ && selection_.events_given())
    return usage("--all is short for -e exit: give one of them");
  if (all_) return KNELL_EVENT_EXIT;
  return selection_.events(KNELL_EVENT_NONZERO_EXIT);
}

Outcome<int> Run::execute(std::vector<std::string> tail) {
  KNELL_ASSIGN(const uint32_t wanted, this->wanted());
  KNELL_ASSIGN(const bool json, wants_json(format_));
  if (tail.empty()) return usage("what to run? knell run [OPTIONS] -- CMD ARG...");
  if (tail.front().empty()) return usage("the command to run is an empty word");

  UniqueFd file;
  if (!report_.empty()) {
    file.reset(::open(report_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
    if (!file) return failed("--report {}: {}", printable(report_), std::strerror(errno));
  }
  const int fd = file ? file.get() : STDERR_FILENO;
  Output out(fd, file ? printable(report_) : "the report to standard error");

  KNELL_ASSIGN(Signals signals, Signals::create({SIGTERM, SIGHUP, SIGCHLD}, {SIGINT, SIGQUIT}));
  Options options;
  // Forks and execs tell the ancestry; of the exits, those that are wanted.
  options.events = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_NONZERO_EXIT | wanted;
  options.latency_ns = std::chrono::nanoseconds(kLatency).count();
  // Forked before the listener opens, so that its own birth is no news there; it executes nothing
  // yet.
  KNELL_ASSIGN(Child child, Child::create(tail, signals));
  KNELL_ASSIGN(Listener listener, open_listener(options));
  // Through the daemon events take longer, and how long depends on what else it does. So there the
  // end of CMD itself is always asked for: with it everything has come.
  const bool by_daemon = listener.stats().daemon != KNELL_DAEMON_NONE;
  if (by_daemon && listener.set_events(options.events | KNELL_EVENT_EXIT))
    return fail(kFailed, knell_explain());
  if (listener.match("under", fmt::to_string(child.pid()))) return fail(kFailed, knell_explain());
  prefer_latency();  // the child was forked before: CMD runs as it would without us
  KNELL_TRY(child.go());
  Running running(wanted, by_daemon ? kLongestDrain : kQuiet, listener, signals, child,
                  Report(json, Screen::of(fd)), out);
  return running.run(tail.front());
}

}  // namespace

std::unique_ptr<Command> make_run() { return std::make_unique<Run>(); }

}  // namespace knell::cli
