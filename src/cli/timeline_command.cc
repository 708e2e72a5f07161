// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell timeline`: a picture of the processes in a recording, in the journal, or in lines of JSON.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <knell/knell.hpp>
#include <optional>
#include <utility>

#include "base/numbers.h"
#include "base/unique_fd.h"
#include "cli/command.h"
#include "cli/journal_flags.h"
#include "cli/json_event.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "cli/timeline_output.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;

class TimelineCommand final : public Command {
 public:
  std::string_view name() const override { return "timeline"; }
  std::string_view synopsis() const override { return "[OPTIONS] FILE|-S TIME"; }
  std::string_view summary() const override {
    return "draws the processes of a recording or the journal";
  }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<size_t> bars() const;
  Outcome<void> check_input() const;
  Outcome<void> check_recording(const knell_recording& recording) const;
  std::string title() const;
  // Each of these fills the history, and returns the origin of the events.
  Outcome<std::string> read_recording(const Selection& selection, Signals& signals,
                                      ProcessHistory& history, std::optional<Failure>& early) const;
  Outcome<std::string> read_journal(const Selection& selection, Signals& signals,
                                    ProcessHistory& history, std::optional<Failure>& early) const;
  Outcome<std::string> read_json(Signals& signals, ProcessHistory& history,
                                 std::optional<Failure>& early) const;

  Selection selection_;
  JournalFlags journal_;
  std::string format_, bars_, file_;
  bool json_ = false;
};

std::string_view TimelineCommand::notes() const {
  return "The picture goes to standard output: html, a page with zoom and search that needs no\n"
         "network; svg, a static picture; perfetto, a trace for ui.perfetto.dev. Without -e, "
         "knell\n"
         "record records what is needed. knell run --timeline FILE draws a command directly.\n"
         "The journal has by default failures only: [journal] in knelld.toml(5) adds fork and "
         "exit.\n"
         "The picture has the arguments of the processes, which may contain secrets.\n"
         "\n"
         "Exit status: 0 done; 1 failed, or the recording is damaged (what can be read is drawn);\n"
         "2 wrong usage; 3 there is no journal, or it may not be read.\n"
         "\n"
         "Examples:\n"
         "  knell timeline build.knell >build.html\n"
         "  knell timeline build.knell -o svg --under 4411 >build.svg\n"
         "  knell timeline build.knell -o perfetto >build.pftrace\n"
         "  knell timeline -S 1h >hour.html      what knelld stored in the last hour\n"
         "  knell run --timeline build.html -- make -j8\n";
}

void TimelineCommand::add_options(CommandLine& line) {
  line.add_value("-o,--output", format_, "FORMAT", "html (default), svg or perfetto");
  line.add_value("--bars", bars_, "N",
                 "draw about N processes on their own, merge the shortest of the others\n"
                 "(default 100000 in html, 2000 in svg; perfetto has all)");
  line.add_flag("--json", json_,
                "FILE has lines of JSON (knell watch -o json), from one or several hosts");
  journal_.add_time_options(line);
  journal_.add_file_option(line);
  line.add_word("FILE", file_, "the recording (knell record), - for standard input");
  selection_.add_predicate_options(line);
}

Outcome<size_t> TimelineCommand::bars() const {
  constexpr int64_t kMost = 10'000'000;  // chosen, not measured
  if (bars_.empty()) return size_t{0};
  const auto number = parse_number(bars_, 1, kMost);
  if (!number)
    return usage("--bars takes a number from 1 to {}, not '{}'", kMost, printable(bars_));
  return static_cast<size_t>(*number);
}

Outcome<void> TimelineCommand::check_recording(const knell_recording& recording) const {
  if (recording.level == KNELL_LEVEL_RAW)
    return failed("{} was recorded with --threads: a timeline needs events of processes",
                  printable(file_));
  if ((recording.events & kExits) == 0)
    return failed("the recording {} has no exits, which a timeline needs; it has {}",
                  printable(file_), events_text(recording.events));
  if ((recording.events & KNELL_EVENT_FORK) == 0)
    message("knell timeline: the recording {} has no forks, so some parents are unknown\n",
            printable(file_));
  return {};
}

Outcome<void> TimelineCommand::check_input() const {
  const std::string_view journal = journal_.given();
  if (!journal.empty() && !file_.empty())
    return usage("{} reads the journal of knelld, not a file: leave out {}", journal,
                 printable(file_));
  if (!journal.empty() && json_)
    return usage("--json needs FILE, and cannot be used with {}", journal);
  if (journal.empty() && file_.empty())
    return usage(
        "missing FILE; use knell timeline [OPTIONS] FILE, or -S TIME for the journal of knelld");
  if (json_ && !selection_.empty())
    return usage("--json draws all lines: use predicates with knell watch -o json");
  return {};
}

std::string TimelineCommand::title() const {
  std::string file = file_ == "-" ? "standard input" : printable(file_);
  if (!journal_.given().empty()) {
    file = "journal";
    if (!journal_.since.empty()) file += " since " + printable(journal_.since);
    if (!journal_.until.empty()) file += " until " + printable(journal_.until);
    if (journal_.boot) file += " of this boot";
  }
  if (selection_.empty()) return file;
  return fmt::format("{}: {}", file, selection_.describe_processes());
}

// The time when the recording began, by the clock of the event's `mono_ns`.
uint64_t begin_of(const knell_recording& recording, const knell_event& event) {
  const int64_t before = event.time_ns - recording.started_ns;
  return event.mono_ns -
         std::min<uint64_t>(event.mono_ns, static_cast<uint64_t>(std::max<int64_t>(before, 0)));
}

// Calls add(event) for all events of the listener. If it ends early, because of damage or a signal,
// returns the reason.
template <class F>
std::optional<Failure> read_all(Listener& listener, Signals& signals, F add) {
  std::array<const knell_event*, 256> space;
  for (;;) {
    std::array<pollfd, 2> fds{{{listener.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
    if (Signals::stopped()) return Failure{kFailed, "stopped before the end of the events"};
    std::error_code error;
    for (const knell_event* event : listener.read(space, error)) add(*event);
    if (error.value() == ENODATA) return std::nullopt;
    if (error) return Failure{kFailed, knell_explain()};
  }
}

Outcome<std::string> TimelineCommand::read_recording(const Selection& selection, Signals& signals,
                                                     ProcessHistory& history,
                                                     std::optional<Failure>& early) const {
  const std::string path = file_ == "-" ? "/dev/stdin" : file_;
  KNELL_ASSIGN(Listener listener, open_recording(path, ReplayOptions()));
  const knell_recording recording = *listener.recording();
  KNELL_TRY(check_recording(recording));
  KNELL_TRY(selection.apply(listener));
  KNELL_TRY(drop_privileges({}));
  bool first = true;
  early = read_all(listener, signals, [&](const knell_event& event) {
    if (event.type != KNELL_EVENT_LOST && std::exchange(first, false))
      history.set_begin(begin_of(recording, event));
    history.add(event);
  });
  return origin_text(recording);
}

// Uses CLOCK_REALTIME, since the journal may have events of several boots.
Outcome<std::string> TimelineCommand::read_journal(const Selection& selection, Signals& signals,
                                                   ProcessHistory& history,
                                                   std::optional<Failure>& early) const {
  KNELL_ASSIGN(const HistoryOptions options, journal_.options(KNELL_EVENT_ALL));
  KNELL_ASSIGN(Listener listener, open_journal(journal_.journal, options));
  KNELL_TRY(selection.apply(listener));
  KNELL_TRY(drop_privileges({}));
  history.set_realtime();
  bool forks = false;
  early = read_all(listener, signals, [&](const knell_event& event) {
    forks = forks || event.type == KNELL_EVENT_FORK;
    knell_event shown = event;
    shown.mono_ns = static_cast<uint64_t>(std::max<int64_t>(event.time_ns, 0));
    history.add(shown);
  });
  if (!forks)
    message(
        "knell timeline: the journal has no forks of this time, so some processes and parents are "
        "unknown\n");
  return "from " + printable(journal_text(listener, journal_));
}

Outcome<std::string> TimelineCommand::read_json(Signals& signals, ProcessHistory& history,
                                                std::optional<Failure>& early) const {
  // an estimate: the arguments of an event have at most 4 KiB
  constexpr size_t kMostLine = size_t{1} << 20;
  UniqueFd file;
  if (file_ != "-") {
    file.reset(::open(file_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    if (!file) return failed("cannot open {}: {}", printable(file_), std::strerror(errno));
  }
  KNELL_TRY(drop_privileges({}));
  history.set_realtime();
  JsonEvent reader;
  std::string bytes;
  size_t events = 0, others = 0;
  const auto take = [&](const std::string& line) {
    if (line.empty()) return;
    const bool good = reader.parse(line);
    ++(good ? events : others);
    if (good) history.add(reader.event());
  };
  const int fd = file ? file.get() : STDIN_FILENO;
  std::array<char, 65536> space;
  for (;;) {
    std::array<pollfd, 2> fds{{{fd, POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
    if (Signals::stopped()) early = Failure{kFailed, "stopped before the end of the events"};
    if (early) break;
    const ssize_t got = ::read(fd, space.data(), space.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0)
      early = Failure{kFailed, fmt::format("{}: {}", printable(file_), std::strerror(errno))};
    if (got <= 0) break;
    bytes.append(space.data(), static_cast<size_t>(got));
    size_t begin = 0;
    for (size_t end = 0; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1)
      take(bytes.substr(begin, end - begin));
    bytes.erase(0, begin);
    if (bytes.size() > kMostLine)
      return failed("{} has a line of more than 1 MiB, which is no event", printable(file_));
  }
  take(bytes);
  if (events == 0) return failed("{} has no events of knell watch -o json", printable(file_));
  if (others != 0)
    message("knell timeline: {} line{} {} no event, and left out\n", others, others == 1 ? "" : "s",
            others == 1 ? "is" : "are");
  return "events as JSON";
}

Outcome<int> TimelineCommand::execute(std::vector<std::string>) {
  KNELL_ASSIGN(const Format format,
               parse_format(format_, {Format::kHtml, Format::kSvg, Format::kPerfetto}));
  KNELL_ASSIGN(const size_t most, bars());
  KNELL_TRY(check_input());
  Selection selection = selection_;
  selection.set_recorded();
  KNELL_TRY(selection.check(KNELL_EVENT_ALL));
  if (::isatty(STDOUT_FILENO) == 1)
    return usage("a picture is not text for a terminal: redirect it to a file or a pipe");
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM}, {}));
  ProcessHistory history;
  std::optional<Failure> early;
  const bool journal = !journal_.given().empty();
  auto origin = journal ? read_journal(selection, signals, history, early)
                : json_ ? read_json(signals, history, early)
                        : read_recording(selection, signals, history, early);
  if (!origin && origin.error().status == kDone && journal)
    return failed("{}", origin.error().line);  // the journal is empty
  if (!origin && origin.error().status == kDone) return kDone;
  if (!origin) return std::unexpected(origin.error());
  history.finish();
  if (history.processes().empty() && early) return std::unexpected(*early);
  const Timeline timeline(history, title(), *origin);
  KNELL_TRY(write_timeline(timeline, format, most, STDOUT_FILENO, "standard output"));
  message("{}\n", timeline.facts(nullptr));
  if (early) return std::unexpected(*early);
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_timeline() { return std::make_unique<TimelineCommand>(); }

}  // namespace knell::cli
