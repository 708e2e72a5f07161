// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell run`: runs CMD and reports each process under it that failed. The listener is open, and
// limited to the child, before the child executes, so that none of its events is missed. The child
// is reaped here, so its status is that of wait(2); the cause of its exit, and all about the
// processes under it, comes from events.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <knell/knell.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/scheduling.h"
#include "cli/background_writer.h"
#include "cli/blocked_signals.h"
#include "cli/child.h"
#include "cli/command.h"
#include "cli/group_probe.h"
#include "cli/job.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/report.h"
#include "cli/text.h"
#include "cli/timeline_output.h"
#include "cli/tree.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr auto kLatency = 5ms;
// How long to wait for events after the child was reaped: its exit event and the last events of its
// descendants may not have been read yet. The child's exit event comes last, usually within
// milliseconds, but it may be lost.
constexpr auto kLongestDrain = 2s;
// Chosen, not measured: how long a reader that does not read may delay the end of this process.
constexpr auto kOutputTimeout = 1s;
constexpr size_t kMostUnwritten = size_t{1}
                                  << 20;  // chosen, not measured: beyond it, no events are read

class Running {
 public:
  // `probe`: the pid of the GroupProbe, which is not under CMD. `known`: what is known before CMD
  // runs. `timeline` may be nullptr.
  Running(uint32_t wanted, Listener& listener, Job& job, const Child& child, pid_t probe,
          RunResult known, Report report, BackgroundWriter& writer, TimelineFile* timeline);

  // Returns when CMD has ended and the report is written: CMD's wait status. Errors: kCannotRun,
  // kNotFound.
  Outcome<int> run(const Child& child);

 private:
  bool read_events();
  void take(const knell_event& taken);
  void take_command_exit(const knell_event& event);
  bool take_exec(const knell_event& event);
  void add_to_timeline(knell_event event);
  void write_timeline();
  bool wanted(const knell_event& event) const;
  void wait(std::optional<Clock::time_point> until);
  void drain();
  void write();
  void finish_writing();
  bool full() const { return unwritten_.size() >= kMostUnwritten; }

  uint32_t wanted_;
  Listener& listener_;
  Job& job_;
  pid_t pid_, probe_;
  Report report_;
  BackgroundWriter& writer_;
  TimelineFile* timeline_;
  const int64_t started_ns_ = system_clock().realtime_ns();
  uint64_t reaped_ns_ = 0;  // CLOCK_MONOTONIC
  std::string unwritten_;   // the part of the report that is not written yet
  Tree tree_;
  RunResult result_;
  bool listener_failed_ = false;  // reading the listener failed
  bool report_closed_ = false;    // the report can no longer be written
  bool exit_seen_ = false;        // the exit event of the child has come
  bool exit_expected_ = true;     // it can still come
  std::set<std::string> flagged_programs_;
};

Running::Running(uint32_t wanted, Listener& listener, Job& job, const Child& child, pid_t probe,
                 RunResult known, Report report, BackgroundWriter& writer, TimelineFile* timeline)
    : wanted_(wanted),
      listener_(listener),
      job_(job),
      pid_(child.pid()),
      probe_(probe),
      report_(report),
      writer_(writer),
      timeline_(timeline),
      tree_(child.pid(), ::getpid()),
      result_(std::move(known)) {
  const knell_stats stats = listener.stats();
  result_.scope = stats.scope;
  result_.scope_uid = stats.scope_uid;
  result_.via = stats.via;
  report_.begin(result_, unwritten_);
  // CMD executes soon, and its forks must come later than its start.
  if (timeline_ != nullptr) timeline_->history().start(pid_, system_clock().monotonic_ns());
}

bool Running::wanted(const knell_event& event) const {
  if (event.type == KNELL_EVENT_LOST) return true;
  if (event.type != KNELL_EVENT_EXIT) return (event.type & wanted_) != 0;
  if (event.pid == pid_) return false;  // CMD itself is reported in the last line
  const bool failed = (event.has & KNELL_HAS_STATUS) == 0 || event.wait_status != 0;
  return (wanted_ & KNELL_EVENT_EXIT) != 0 || (failed && (wanted_ & KNELL_EVENT_NONZERO_EXIT) != 0);
}

void Running::take_command_exit(const knell_event& event) {
  exit_seen_ = true;
  exit_expected_ = false;
  if ((event.has & KNELL_HAS_STATUS) != 0) result_.exit = describe_exit(event);
}

// Whether to report an exec that the user did not request: the first one of a program that behaves
// differently because it is traced.
bool Running::take_exec(const knell_event& event) {
  const bool withheld = (event.flags & KNELL_FLAG_PRIVILEGES_WITHHELD) != 0;
  const bool left = (event.flags & KNELL_FLAG_NOT_FOLLOWED) != 0;
  if (withheld) ++result_.privileges_withheld;
  if (left) ++result_.not_followed;
  if (left && event.pid == pid_) exit_expected_ = false;
  return (withheld || left) && flagged_programs_.emplace(view(event.exe)).second;
}

// A child that was made with CLONE_PARENT is under CMD, as in the tree.
void Running::add_to_timeline(knell_event event) {
  if (event.pid == ::getpid() && event.type == KNELL_EVENT_FORK) {
    if (exit_seen_) return;
    event.pid = event.tid = pid_;
    event.id = {};
    event.comm = event.args = {};
  }
  timeline_->history().add(event);
}

void Running::write_timeline() {
  if (timeline_ == nullptr) return;
  if (!exit_seen_) {  // no event reported its exit, but it was reaped here
    knell_event exit = exit_with(result_.wait_status);
    exit.pid = exit.tid = pid_;
    exit.mono_ns = reaped_ns_;
    timeline_->history().add(exit);
  }
  timeline_->history().finish();
  const auto written =
      timeline_->write(fmt::format("{}Z, knell {}, via {}", rfc3339_text(started_ns_).substr(0, 19),
                                   knell_version(), source_text(listener_.stats())));
  if (!written) message("knell: {}; there is no timeline\n", written.error().line);
}

void Running::take(const knell_event& taken) {
  knell_event event = taken;
  job_.replace_sender(event);
  const bool ours = event.pid == ::getpid() || event.pid == probe_;
  if (ours && event.type != KNELL_EVENT_FORK) return;
  if (event.type == KNELL_EVENT_LOST) result_.losses.add(event);
  if (event.type == KNELL_EVENT_FORK && event.pid == pid_) job_.on_fork();
  if (event.type == KNELL_EVENT_EXIT) {
    if (event.pid == pid_)
      take_command_exit(event);
    else if ((event.has & KNELL_HAS_STATUS) != 0 && event.wait_status != 0)
      ++result_.failed;
  }
  const bool flagged = event.type == KNELL_EVENT_EXEC && take_exec(event);
  if (timeline_ != nullptr) add_to_timeline(event);
  // Report the exit first: add() may remove the process from the tree
  if (wanted(event) || flagged) report_.add(event, tree_, unwritten_);
  tree_.add(event, alive_in_proc);
}

bool Running::read_events() {
  if (listener_failed_ || full()) return false;
  std::array<const knell_event*, 256> space;
  std::error_code error;
  const auto events = listener_.read(space, error);
  for (const knell_event* event : events) take(*event);
  if (error) {
    message("knell: {}; later events of {} are not reported\n", knell_explain(), result_.name);
    listener_failed_ = true;
    result_.losses.add({});  // an unknown number
    return false;
  }
  return !events.empty();
}

void Running::write() {
  if (writer_.busy()) {
    const auto done = writer_.finish();
    if (!done) return;
    if (!*done)
      message("knell: {}; {} continues without a report\n", done->error().line, result_.name);
    report_closed_ = report_closed_ || !*done || **done == OutputBuffer::Reader::kClosed;
  }
  if (report_closed_)
    unwritten_.clear();
  else if (!unwritten_.empty())
    writer_.write(unwritten_);
}

// Waits until the listener, the job or the writer is ready, or until `until`. Writes the report.
void Running::wait(std::optional<Clock::time_point> until) {
  std::array<pollfd, 3> fds{{{listener_failed_ || full() ? -1 : listener_.fd(), POLLIN, 0},
                             {job_.fd(), POLLIN, 0},
                             {writer_.busy() ? writer_.fd() : -1, POLLIN, 0}}};
  timespec left{};
  if (until) {
    const auto ns = std::max<Clock::duration>(*until - Clock::now(), 0ns);
    left.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(ns).count();
    left.tv_nsec = (ns % 1s).count();
  }
  ::ppoll(fds.data(), fds.size(), until ? &left : nullptr, nullptr);
  write();
}

void Running::drain() {
  const auto until = Clock::now() + kLongestDrain;
  while (exit_expected_ && !listener_failed_ && Clock::now() < until) {
    wait(until);
    job_.step();
    while (read_events()) {
    }
  }
  while (read_events() && Clock::now() < until) {
  }
}

// Waits for a slow reader of the report without limit, until a signal asks to end, and then for
// kOutputTimeout: the signal may be the one that ended CMD.
void Running::finish_writing() {
  std::optional<Clock::time_point> until;
  for (write(); writer_.busy() && (!until || Clock::now() < *until); wait(until)) {
    job_.step();
    if (job_.end_requested() && !until) until = Clock::now() + kOutputTimeout;
  }
}

Outcome<int> Running::run(const Child& child) {
  const auto started = Clock::now();
  for (;;) {
    job_.step();
    while (read_events()) write();
    write();
    if (job_.ended()) break;
    wait(job_.next());
  }
  if (const int error = child.exec_error())
    return fail(error == ENOENT ? kNotFound : kCannotRun,
                fmt::format("cannot run {}: {}", printable(result_.name), std::strerror(error)));
  result_.took = Clock::now() - started;
  reaped_ns_ = system_clock().monotonic_ns();
  result_.wait_status = job_.wait_status();
  drain();
  if (result_.exit.ended.empty()) result_.exit = describe_exit(exit_with(result_.wait_status));
  if (const auto missed = loss_at_end(listener_)) take(*missed);
  result_.processes = tree_.processes();
  result_.still_running = tree_.count_alive(alive_in_proc);
  write_timeline();
  report_.close(result_, unwritten_);
  finish_writing();
  return result_.wait_status;
}

// The kernel counts a listener's buffers as memory of this process. That can make it larger than
// the processes CMD starts, so the OOM killer would choose it in their place. Best effort: lowering
// the score needs a privilege.
void lower_oom_score() {
  const UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  constexpr std::string_view kLeast = "-900";  // as knelld
  if (file) (void)!::write(file.get(), kLeast.data(), kLeast.size());
}

// Closes the inherited descriptors, which are for CMD alone. A copy left open here would keep the
// other end of a pipe from seeing that CMD closes it. All descriptors that we open are
// close-on-exec, so the others are inherited. Standard error stays open, for messages.
void close_inherited() {
  std::vector<int> inherited;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", error)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    const int flags = ::fcntl(fd, F_GETFD);
    if (fd > STDERR_FILENO && flags >= 0 && (flags & FD_CLOEXEC) == 0) inherited.push_back(fd);
  }
  for (const int fd : inherited) ::close(fd);
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO}) {
    if (null) ::dup2(null.get(), fd);
  }
}

// Returns the process whose descendants are watched: they must include the descendants of CMD, and
// the children that CMD creates with CLONE_PARENT. The latter are children of this process for the
// kernel, and the connector reports no more than that. This process creates no other children from
// here on, so it can be that process. If it was started with children, CMD is used instead, and
// children created with CLONE_PARENT are missed.
pid_t root_of(pid_t command, pid_t probe) {
  std::ifstream children("/proc/thread-self/children");
  if (!children) return command;
  for (pid_t pid = 0; children >> pid;)
    if (pid != command && pid != probe) return command;
  return ::getpid();
}

// Opens a listener for CMD and the processes under it. Where no source can observe them, CMD is
// traced, and `reason` says why: tracing needs nothing, but CMD is slower, and a few programs
// behave differently.
Outcome<Listener> listen_to(const Child& command, pid_t probe, Options options,
                            std::string& reason) {
  auto best = open_listener(options);
  if (best) {
    const pid_t root = root_of(command.pid(), probe);
    if (best->match("under", fmt::to_string(root))) return fail(kFailed, knell_explain());
    return best;
  }
  options.via = KNELL_VIA_PTRACE;
  auto traced = open_listener(options);
  if (best.error().status != kNothingHere || !traced) return best;
  reason = best.error().line;
  command.wait_until_traceable();
  if (traced->add(command.pid()))
    return fail(kNothingHere,
                fmt::format("{}; and without another source: {}", reason, knell_explain()));
  return traced;
}

class Run final : public Command {
 public:
  std::string_view name() const override { return "run"; }
  std::string_view synopsis() const override { return "[OPTIONS] -- CMD ARG..."; }
  std::string_view summary() const override { return "runs CMD, reports the failures under it"; }
  std::string_view notes() const override;
  Tail tail() const override { return Tail::kAfterOptions; }
  bool ends_with_process_status() const override { return true; }
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<uint32_t> wanted() const;
  Outcome<UniqueFd> open_report() const;
  Outcome<int> run(const std::vector<std::string>& command, const BlockedSignals& signals,
                   uint32_t wanted, const Report& report, int report_fd,
                   TimelineFile* timeline) const;

  Selection selection_;
  std::string format_, report_, timeline_;
  bool all_ = false;
};

std::string_view Run::notes() const {
  return "CMD runs as it would without knell: it has standard input, output and the terminal,\n"
         "knell sends CMD each signal that knell receives, and when CMD stops, knell stops. The\n"
         "last line of the report says how CMD itself ended, and why. Where no source works here,\n"
         "CMD is traced (ptrace), which slows it down; then the first line of the report says so.\n"
         "\n"
         "Exit status: that of CMD; if a signal killed CMD, knell kills itself by the same signal\n"
         "(a shell shows 128 + signal). 125 knell failed, or nothing can be observed here (CMD is\n"
         "not run then); 126 CMD cannot be run; 127 CMD is not found.\n"
         "\n"
         "Examples:\n"
         "  knell run -- make -j8 >build.log\n"
         "  knell run --report failed.json -o json -- ./nightly.sh\n"
         "  knell run -e nonzero-exit,exec -- ./configure\n"
         "  knell run --timeline build.html -- make -j8  which step takes the time\n";
}

void Run::add_options(CommandLine& line) {
  selection_.add_events_option(line, "what to report (default nonzero-exit)");
  line.add_flag("--all", all_, "report every exit, not only the non-zero ones");
  line.add_value("--report", report_, "FILE", "write the report to FILE, not to standard error");
  line.add_value("-o,--output", format_, "FORMAT", "table (default) or json, an object a line");
  line.add_value("--timeline", timeline_, "FILE",
                 "draw when each process ran, and how it ended, in FILE.html,\n"
                 "FILE.svg or FILE.pftrace (for Perfetto)");
}

Outcome<uint32_t> Run::wanted() const {
  if (all_ && selection_.events_given())
    return usage("--all is short for -e exit: give only one of them");
  if (all_) return KNELL_EVENT_EXIT;
  return selection_.events(KNELL_EVENT_NONZERO_EXIT);
}

// The file of --report; empty without it.
Outcome<UniqueFd> Run::open_report() const {
  if (report_.empty()) return UniqueFd();
  UniqueFd file(::open(report_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!file) return failed("--report {}: {}", printable(report_), std::strerror(errno));
  return file;
}

Outcome<int> Run::run(const std::vector<std::string>& command, const BlockedSignals& signals,
                      uint32_t wanted, const Report& report, int report_fd,
                      TimelineFile* timeline) const {
  // Forked before the listener opens, so that the listener does not receive this fork. The child
  // does not execute anything yet.
  KNELL_ASSIGN(Child child, Child::create(command, signals));
  close_inherited();
  KNELL_ASSIGN(GroupProbe probe, GroupProbe::create(signals, child.pid(), command.front()));
  // Forks and execs give the ancestry, exits the end of each process; the exit of CMD itself comes
  // last.
  Options options;
  options.events = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT | wanted;
  options.latency_ns = std::chrono::nanoseconds(kLatency).count();
  RunResult known;
  known.name = command.front();
  KNELL_ASSIGN(Listener listener, listen_to(child, probe.pid(), options, known.traced_because));
  KNELL_ASSIGN(const auto writer,
               BackgroundWriter::create(report_fd, report_.empty() ? "the report to standard error"
                                                                   : printable(report_)));
  prefer_latency();  // the child is forked already, so CMD keeps the default scheduling
  lower_oom_score();
  Job job(signals, probe, child, command.front());
  Running running(wanted, listener, job, child, probe.pid(), std::move(known), report, *writer,
                  timeline);
  child.go();
  return running.run(child);
}

Outcome<int> Run::execute(std::vector<std::string> tail) {
  KNELL_ASSIGN(const uint32_t wanted, this->wanted());
  KNELL_ASSIGN(const bool json, wants_json(format_));
  if (tail.empty()) return usage("missing command; use knell run [OPTIONS] -- CMD ARG...");
  if (tail.front().empty()) return usage("the command must not be empty");
  // Opening a fifo waits for its reader, so this is done while signals still end this process.
  KNELL_ASSIGN(const UniqueFd file, open_report());
  std::optional<TimelineFile> timeline;
  if (!timeline_.empty()) {
    KNELL_ASSIGN(timeline, TimelineFile::create(timeline_, tail));
  }
  const int fd = file ? file.get() : STDERR_FILENO;
  const Report report(json, Screen::of(fd));
  KNELL_ASSIGN(const BlockedSignals signals, BlockedSignals::create());
  KNELL_ASSIGN(const int status,
               run(tail, signals, wanted, report, fd, timeline ? &*timeline : nullptr));
  if (WIFSIGNALED(status)) signals.die(WTERMSIG(status));
  return shell_status(status);
}

}  // namespace

std::unique_ptr<Command> make_run() { return std::make_unique<Run>(); }

}  // namespace knell::cli
