// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell timeline`: a picture of the processes in a recording.
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <knell/knell.hpp>
#include <optional>

#include "base/numbers.h"
#include "cli/command.h"
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
  std::string_view synopsis() const override { return "[OPTIONS] FILE"; }
  std::string_view summary() const override { return "draws the processes of a recording"; }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<size_t> bars() const;
  Outcome<void> check_recording(const knell_recording& recording) const;
  std::string title() const;

  Selection selection_;
  std::string format_, bars_, file_;
};

std::string_view TimelineCommand::notes() const {
  return "The picture goes to standard output: html, a page with zoom and search that needs no\n"
         "network; svg, a static picture; perfetto, a trace for ui.perfetto.dev. Without -e, "
         "knell\n"
         "record records what is needed. knell run --timeline FILE draws a command directly.\n"
         "The picture has the arguments of the processes, which may contain secrets.\n"
         "\n"
         "Exit status: 0 done; 1 failed, or the recording is damaged (what can be read is drawn);\n"
         "2 wrong usage.\n"
         "\n"
         "Examples:\n"
         "  knell timeline build.knell >build.html\n"
         "  knell timeline build.knell -o svg --under 4411 >build.svg\n"
         "  knell timeline build.knell -o perfetto >build.pftrace\n"
         "  knell run --timeline build.html -- make -j8\n";
}

void TimelineCommand::add_options(CommandLine& line) {
  line.add_value("-o,--output", format_, "FORMAT", "html (default), svg or perfetto");
  line.add_value("--bars", bars_, "N",
                 "draw about N processes on their own, merge the shortest of the others\n"
                 "(default 100000 in html, 2000 in svg; perfetto has all)");
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

std::string TimelineCommand::title() const {
  std::string file = file_ == "-" ? "standard input" : printable(file_);
  if (selection_.empty()) return file;
  return fmt::format("{}: {}", file, selection_.describe_processes());
}

// When the recording began, by the clock of the event's `mono_ns`.
uint64_t begin_of(const knell_recording& recording, const knell_event& event) {
  const int64_t before = event.time_ns - recording.started_ns;
  return event.mono_ns -
         std::min<uint64_t>(event.mono_ns, static_cast<uint64_t>(std::max<int64_t>(before, 0)));
}

// Adds all events of the listener. Returns why it ended early, if it did: damage, or a signal.
std::optional<Failure> read_all(Listener& listener, Signals& signals, ProcessHistory& history) {
  const std::optional<knell_recording> recording = listener.recording();
  std::array<const knell_event*, 256> space;
  bool first = true;
  for (;;) {
    std::array<pollfd, 2> fds{{{listener.fd(), POLLIN, 0}, {signals.fd(), POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), -1);
    if (Signals::stopped()) return Failure{kFailed, "stopped before the end of the recording"};
    std::error_code error;
    for (const knell_event* event : listener.read(space, error)) {
      if (first && recording && event->type != KNELL_EVENT_LOST) {
        history.set_begin(begin_of(*recording, *event));
        first = false;
      }
      history.add(*event);
    }
    if (error.value() == ENODATA) return std::nullopt;
    if (error) return Failure{kFailed, knell_explain()};
  }
}

Outcome<int> TimelineCommand::execute(std::vector<std::string>) {
  KNELL_ASSIGN(const Format format,
               parse_format(format_, {Format::kHtml, Format::kSvg, Format::kPerfetto}));
  KNELL_ASSIGN(const size_t most, bars());
  if (file_.empty()) return usage("missing FILE; use knell timeline [OPTIONS] FILE");
  Selection selection = selection_;
  selection.set_recorded();
  KNELL_TRY(selection.check(KNELL_EVENT_ALL));
  if (::isatty(STDOUT_FILENO) == 1)
    return usage("a picture is not text for a terminal: redirect it to a file or a pipe");
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM}, {}));
  const std::string path = file_ == "-" ? "/dev/stdin" : file_;
  auto opened = open_recording(path, ReplayOptions());
  if (!opened && opened.error().status == kDone) return kDone;
  KNELL_ASSIGN(Listener listener, std::move(opened));
  const knell_recording recording = *listener.recording();
  KNELL_TRY(check_recording(recording));
  KNELL_TRY(selection.apply(listener));
  KNELL_TRY(drop_privileges({}));
  ProcessHistory history;
  const std::optional<Failure> early = read_all(listener, signals, history);
  history.finish();
  if (history.processes().empty() && early) return std::unexpected(*early);
  const Timeline timeline(history, title(), origin_text(recording));
  KNELL_TRY(write_timeline(timeline, format, most, STDOUT_FILENO, "standard output"));
  message("{}\n", timeline.facts(nullptr));
  if (early) return std::unexpected(*early);
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_timeline() { return std::make_unique<TimelineCommand>(); }

}  // namespace knell::cli
