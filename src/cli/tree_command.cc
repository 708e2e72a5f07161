// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell tree`: the processes that are alive, from a snapshot, and those that ended a moment ago,
// from the exits of a listener that was opened before. So a process that ends between the two is
// not missed. A new snapshot is taken each time the tree is shown, so forks and other changes need
// not be tracked.
//
// Where no other source works, the exits come from pidfds of the processes in a first snapshot.
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <deque>
#include <knell/knell.hpp>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/duration.h"
#include "cli/command.h"
#include "cli/descriptor_limit.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/output_buffer.h"
#include "cli/process_tree.h"
#include "cli/signals.h"
#include "cli/summary.h"
#include "cli/text.h"
#include "cli/tree_view.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kDuration = 2s;  // how long to listen before the tree is shown; chosen, not measured
constexpr auto kInterval = 2s;  // between two updates of the tree
constexpr auto kKeep = 10s;     // how long a process that ended stays in the tree
constexpr auto kLeastInterval = 100ms;
constexpr int64_t kLatencyNs = 10'000'000;
constexpr size_t kMostEnded = 4096;  // exits kept; chosen, not measured: more than a person reads

struct TreePlan {
  Options options;
  Selection selection;
  bool json = false, watch = false, kernel_threads = false, each = false;
  // How long to listen; with --watch not set by default: until Ctrl-C
  std::optional<nanoseconds> duration;
  nanoseconds interval = kInterval, keep = kKeep;

  bool listens() const { return !duration || duration->count() > 0; }
};

class TreeLoop {
 public:
  // `listener` takes the snapshots and has the predicates. `exits` reports the exits: the same
  // listener, or over pidfds another one without predicates, since the exit of a pidfd has no
  // details that predicates could test.
  TreeLoop(const TreePlan& plan, Listener& listener, Listener& exits, Signals& signals)
      : plan_(plan),
        listener_(listener),
        exits_(exits),
        signals_(signals),
        terminal_(::isatty(STDOUT_FILENO) == 1) {}
  Outcome<int> run();

 private:
  enum class Loop : uint8_t { kContinue, kReaderGone };

  bool is_pidfd() const { return plan_.options.via == KNELL_VIA_PIDFD; }
  void print_headline() const;
  Outcome<Loop> run_once();
  Outcome<Loop> run_pictures();
  Outcome<void> add_processes();
  Outcome<Loop> listen_until(Clock::time_point until);
  Outcome<bool> read_events();
  void add_ended(const knell_event& exit);
  Outcome<ProcessTree> take_picture();
  Outcome<Loop> show(ProcessTree& tree);
  void print_summary() const;

  const TreePlan& plan_;
  Listener& listener_;
  Listener& exits_;
  Signals& signals_;
  OutputBuffer out_{STDOUT_FILENO, "standard output"};
  const bool terminal_;
  const bool utf8_ = is_utf8_locale();
  std::deque<EventCopy> ended_;
  // Over pidfds: the processes whose exit is awaited, with their details
  std::unordered_map<pid_t, EventCopy> added_;
  // Number of exits removed from ended_ because there were too many
  size_t dropped_ = 0;
  size_t ended_count_ = 0, alive_ = 0;
  size_t lines_on_screen_ = 0;
  Losses losses_;
  bool descriptors_short_ = false;
};

void TreeLoop::print_headline() const {
  const knell_stats stats = listener_.stats();
  const std::string what = plan_.selection.describe_processes(scope_text(stats));
  if (!plan_.listens()) return message("{}, from /proc\n", what);
  const std::string source =
      is_pidfd() ? "pidfds (only of processes that are alive now)" : source_text(stats);
  if (plan_.watch) return message("{}, exits via {}; Ctrl-C ends with a summary\n", what, source);
  message("{}, and those that end within {}, via {}; Ctrl-C shows them now\n", what,
          duration_text(*plan_.duration), source);
}

// With pidfds, only the exits of added processes are reported: adds all processes.
Outcome<void> TreeLoop::add_processes() {
  if (!is_pidfd() || !plan_.listens()) return {};
  std::vector<EventCopy> all;
  const auto error = listener_.snapshot([&](const knell_event& event) {
    if (event.id.kind == KNELL_ID_START && event.pid != ::getpid()) all.emplace_back(event);
  });
  if (error) return fail(kFailed, knell_explain());
  for (EventCopy& process : all) {
    const pid_t pid = process.event().pid;
    const int added = exits_.add(pid, process.event().id.start).value();
    if (added == 0) added_.insert_or_assign(pid, std::move(process));
    if (added == EPROTONOSUPPORT) return fail(kNothingHere, knell_explain());
    // Any other error: it has ended, or was added before
    if (added != EMFILE && added != ENFILE) continue;
    if (!std::exchange(descriptors_short_, true))
      message(
          "knell tree: too few descriptors to notice the exit of every process; raise the limit "
          "(ulimit -n)\n");
    break;
  }
  return {};
}

// An exit reported by a pidfd may have a status and no name.
void TreeLoop::add_ended(const knell_event& exit) {
  ++ended_count_;
  const auto known = added_.find(exit.pid);
  if (known != added_.end()) {
    ended_.emplace_back(exit.comm.data == nullptr ? with_details_of(exit, known->second.event())
                                                  : exit);
    added_.erase(known);
  } else {
    ended_.emplace_back(exit);
  }
  if (ended_.size() <= kMostEnded) return;
  ended_.pop_front();
  ++dropped_;
}

Outcome<bool> TreeLoop::read_events() {
  std::array<const knell_event*, 256> space;
  std::error_code error;
  const auto events = exits_.read(space, error);
  if (error) return fail(kFailed, knell_explain());
  for (const knell_event* event : events) {
    if (event->type == KNELL_EVENT_LOST) losses_.add(*event);
    if (event->type == KNELL_EVENT_EXIT) add_ended(*event);
  }
  return events.size() == space.size();
}

// Reads exits until this time, until a signal, or until the reader of standard output closes it.
Outcome<TreeLoop::Loop> TreeLoop::listen_until(Clock::time_point until) {
  while (!Signals::stopped()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) break;
    std::array<pollfd, 3> fds{
        {{exits_.fd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}, {STDOUT_FILENO, 0, 0}}};
    const int timeout = static_cast<int>(std::min<int64_t>(left, 3'600'000));
    if (::poll(fds.data(), fds.size(), timeout) < 0 && errno != EINTR)
      return failed("cannot wait for events");
    if (fds[1].revents != 0) signals_.clear();
    // A terminal that hung up ends this process by SIGHUP, so its POLLHUP is ignored.
    if ((fds[2].revents & (terminal_ ? POLLERR : POLLERR | POLLHUP)) != 0) return Loop::kReaderGone;
    bool more = fds[0].revents != 0;
    while (more && Clock::now() < until && !Signals::stopped()) {
      KNELL_ASSIGN(more, read_events());
    }
  }
  return Loop::kContinue;
}

Outcome<ProcessTree> TreeLoop::take_picture() {
  ProcessTree tree;
  const auto error = listener_.snapshot([&](const knell_event& event) { tree.add(event); });
  if (error) return fail(kFailed, knell_explain());
  if (plan_.listens()) {
    // The pacing may delay exits that happened before the snapshot; over the daemon it applies
    // twice.
    const bool by_daemon = listener_.stats().daemon != KNELL_DAEMON_NONE;
    const int timeout_ms =
        static_cast<int>(kLatencyNs / 1'000'000) * (by_daemon ? 2 : 1) + (by_daemon ? 20 : 2);
    // Chosen, not measured: a limit, since further exits may keep coming
    const auto until = Clock::now() + 200ms;
    pollfd fd{exits_.fd(), POLLIN, 0};
    while (Clock::now() < until && ::poll(&fd, 1, timeout_ms) > 0) KNELL_TRY(read_events());
  }
  for (const EventCopy& exit : ended_) tree.add_ended(exit.event());
  alive_ = tree.alive();
  return tree;
}

Outcome<TreeLoop::Loop> TreeLoop::show(ProcessTree& tree) {
  const knell::Clock& clock = system_clock();
  const uint64_t now_ns = clock.monotonic_ns();
  const Screen screen = Screen::of(STDOUT_FILENO);
  TreeView view({.screen = screen,
                 .utf8 = utf8_,
                 .kernel_threads = plan_.kernel_threads,
                 .each = plan_.each,
                 .now_ns = now_ns,
                 .boot_ahead_ns = clock.boottime_ns() - now_ns});
  std::string& out = out_.buffer();
  if (plan_.json) {
    view.show_json(tree, out);
  } else if (!plan_.watch) {
    view.show(tree, out);
  } else if (terminal_) {
    if (lines_on_screen_ != 0) out += fmt::format("\033[{}A\033[J", lines_on_screen_);
    const size_t before = out.size();
    view.show(tree, out, screen.rows > 2 ? screen.rows - 1 : 2);
    lines_on_screen_ =
        static_cast<size_t>(std::ranges::count(std::string_view(out).substr(before), '\n'));
  } else {
    out += clock_text(clock.realtime_ns()) + "\n";
    view.show(tree, out);
    out += '\n';
  }
  KNELL_ASSIGN(const auto reader, out_.flush());
  return reader == OutputBuffer::Reader::kClosed ? Loop::kReaderGone : Loop::kContinue;
}

Outcome<TreeLoop::Loop> TreeLoop::run_once() {
  if (plan_.listens()) {
    KNELL_ASSIGN(const Loop loop, listen_until(Clock::now() + *plan_.duration));
    if (loop == Loop::kReaderGone) return loop;
  }
  KNELL_ASSIGN(ProcessTree tree, take_picture());
  return show(tree);
}

Outcome<TreeLoop::Loop> TreeLoop::run_pictures() {
  std::optional<Clock::time_point> end;
  if (plan_.duration) end = Clock::now() + *plan_.duration;
  while (true) {
    KNELL_ASSIGN(ProcessTree tree, take_picture());
    KNELL_ASSIGN(const Loop shown, show(tree));
    if (shown == Loop::kReaderGone || Signals::stopped() || (end && Clock::now() >= *end))
      return shown;
    KNELL_TRY(add_processes());
    const auto next = Clock::now() + plan_.interval;
    KNELL_ASSIGN(const Loop loop, listen_until(end ? std::min(next, *end) : next));
    if (loop == Loop::kReaderGone) return loop;
    const uint64_t now_ns = system_clock().monotonic_ns();
    const auto keep_ns = static_cast<uint64_t>(plan_.keep.count());
    std::erase_if(ended_,
                  [&](const EventCopy& exit) { return exit.event().mono_ns + keep_ns < now_ns; });
  }
}

void TreeLoop::print_summary() const {
  if (plan_.json) return;
  if (alive_ == 0 && ended_count_ == 0)
    return message("knell: there are no {}\n", plan_.selection.describe_processes());
  std::string line = fmt::format("{} process{}", alive_, alive_ == 1 ? "" : "es");
  if (plan_.listens()) line += fmt::format(", {} ended, {}", ended_count_, losses_.text());
  if (dropped_ != 0) line += fmt::format("; only the last {} that ended are shown", kMostEnded);
  message("{}\n", line);
}

Outcome<int> TreeLoop::run() {
  if (!plan_.json) print_headline();
  KNELL_TRY(add_processes());
  KNELL_ASSIGN(const Loop loop, plan_.watch ? run_pictures() : run_once());
  if (plan_.listens())
    if (const auto missed = loss_at_end(listener_)) losses_.add(*missed);
  if (loop != Loop::kReaderGone) print_summary();
  return kDone;
}

class TreeCommand final : public Command {
 public:
  std::string_view name() const override { return "tree"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override {
    return "shows the processes as a tree, and those that just ended";
  }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<TreePlan> plan() const;
  Outcome<nanoseconds> time(std::string_view flag, const std::string& text) const;
  Outcome<Listener> open(TreePlan& plan) const;

  Selection selection_;
  ListenFlags listen_;  // --via only
  std::string format_, duration_, interval_, keep_;
  bool watch_ = false, all_ = false, each_ = false;
};

std::string_view TreeCommand::notes() const {
  return "A process is shown below its parent if both match. A process that ended stays at its "
         "place,\n"
         "with how it ended and, if known, why. Needs no privilege: knelld shows an ordinary user\n"
         "its own processes; without knelld the processes are those that /proc shows.\n"
         "\n"
         "Exit status: 0 done, even if no process matches; 1 failed; 2 wrong usage; 3 the source\n"
         "in --via cannot be used here (knell doctor shows why).\n"
         "\n"
         "Examples:\n"
         "  knell tree                     all processes, and those that end within 2s\n"
         "  knell tree -u nginx -w         a service, until Ctrl-C\n"
         "  knell tree --under $$ -d 0     this shell and all below it, at once\n"
         "  knell tree -d 1m -o json | jq 'select(.alive | not) | {pid, comm, exit_code}'\n";
}

void TreeCommand::add_options(CommandLine& line) {
  line.add_value(
      "-d,--duration", duration_, "TIME",
      "how long to listen for exits (default 2s; 0: not at all;\nwith -w: until Ctrl-C)");
  line.add_flag("-w,--watch", watch_, "show the tree again and again");
  line.add_value("--interval", interval_, "TIME", "with -w: time between updates (default 2s)");
  line.add_value("--keep", keep_, "TIME",
                 "with -w: how long a process that ended is shown\n(default 10s)");
  line.add_flag("-a,--all", all_, "show kernel threads, too");
  line.add_flag("--each", each_, "show each of the processes that repeat, not their number");
  line.add_value("-o,--output", format_, "FORMAT", "table (default) or json, an object a line");
  line.add_value("--via", listen_.via, "SOURCE",
                 "the source of exits: auto, daemon, bpf, connector");
  selection_.add_live_predicate_options(line);
}

Outcome<nanoseconds> TreeCommand::time(std::string_view flag, const std::string& text) const {
  const auto time = parse_duration(text);
  if (!time) return usage("{}: {}", flag, time.error().message());
  return *time;
}

// Checks all words, before anything is opened.
Outcome<TreePlan> TreeCommand::plan() const {
  TreePlan plan;
  plan.selection = selection_;
  plan.watch = watch_;
  plan.kernel_threads = all_;
  plan.each = each_;
  KNELL_ASSIGN(plan.json, wants_json(format_));
  if (watch_ && plan.json)
    return usage("-w shows a table: for JSON use knell tree -o json, or knell watch -o json");
  if (!watch_ && !interval_.empty()) return usage("--interval needs -w");
  if (!watch_ && !keep_.empty()) return usage("--keep needs -w");
  if (!watch_) plan.duration = kDuration;
  if (!duration_.empty()) {
    KNELL_ASSIGN(plan.duration, time("-d", duration_));
  }
  if (watch_ && !plan.listens())
    return usage("-d 0 would end -w at once; give a time such as 10s, or leave out -w");
  if (!interval_.empty()) {
    KNELL_ASSIGN(plan.interval, time("--interval", interval_));
    if (plan.interval < kLeastInterval)
      return usage("--interval must be at least 100ms, not {}", printable(interval_));
  }
  if (!keep_.empty()) {
    KNELL_ASSIGN(plan.keep, time("--keep", keep_));
  }
  KNELL_ASSIGN(plan.options, listen_.options(KNELL_EVENT_EXIT));
  if (!plan.listens() && plan.options.via != KNELL_VIA_AUTO)
    return usage("--via sets the source of exits, but -d 0 reads no exits; use only one of them");
  KNELL_TRY(plan.selection.check(KNELL_EVENT_EXIT));
  return plan;
}

// Opens the listener of exits. If no source works here, the exits of the living processes come from
// pidfds.
Outcome<Listener> TreeCommand::open(TreePlan& plan) const {
  if (plan.listens()) {
    auto opened = open_listener(plan.options);
    const bool pidfds =
        !opened && opened.error().status == kNothingHere && plan.options.via == KNELL_VIA_AUTO;
    if (!pidfds) return opened;
  }
  plan.options.via = KNELL_VIA_PIDFD;
  return open_listener(plan.options);
}

Outcome<int> TreeCommand::execute(std::vector<std::string>) {
  KNELL_ASSIGN(TreePlan plan, this->plan());
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM}, {}));
  KNELL_ASSIGN(Listener listener, open(plan));
  KNELL_TRY(plan.selection.apply(listener));
  Listener pidfds;
  if (plan.listens() && plan.options.via == KNELL_VIA_PIDFD) {
    raise_descriptor_limit();
    KNELL_ASSIGN(pidfds, open_listener(plan.options));
  }
  KNELL_TRY(drop_privileges({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN}));
  return TreeLoop(plan, listener, pidfds ? pidfds : listener, signals).run();
}

}  // namespace

std::unique_ptr<Command> make_tree() { return std::make_unique<TreeCommand>(); }

}  // namespace knell::cli
