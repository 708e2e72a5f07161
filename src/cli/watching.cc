// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The loop of `knell watch`. One thread, one poll(2) of the listener's descriptor, the signals, and
// standard output, whose reader may go away while nothing happens. When the listener is readable,
// it is read until a batch is not full; the output of each batch is written with one write(2).
#include "cli/watching.h"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "base/duration.h"
#include "base/numbers.h"
#include "base/privilege.h"
#include "cli/csv.h"
#include "cli/message.h"
#include "cli/table.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

constexpr size_t kBatch = 256;  // chosen, not measured: events taken from the library at a time
// Chosen, not measured: longer than it takes to read a full buffer.
constexpr uint64_t kBacklogNs = 500'000'000;

std::unique_ptr<View> make_view(const WatchPlan& plan, const Screen& screen) {
  const Format format = plan.output.format;
  if (!plan.by.empty()) return std::make_unique<Tally>(plan.by, format == Format::kJson, screen);
  if (format == Format::kJson) return std::make_unique<JsonView>();
  if (format == Format::kCsv) return std::make_unique<CsvView>(plan.output.columns);
  return std::make_unique<Table>(plan.options.events, plan.options.level == KNELL_LEVEL_RAW, screen,
                                 plan.output.columns);
}

// For poll(2): -1: without limit.
int ms_until(std::optional<std::chrono::steady_clock::time_point> time) {
  if (!time) return -1;
  const auto left = *time - std::chrono::steady_clock::now();
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::clamp<int64_t>(ms, 0, 3'600'000));
}

int signals_so_far() { return Signals::count(SIGINT) + Signals::count(SIGTERM); }

}  // namespace

Watching::Watching(const WatchPlan& plan, Listener& listener, Signals& signals, Hook* hook,
                   std::unique_ptr<View> view)
    : plan_(plan),
      listener_(listener),
      signals_(signals),
      hook_(hook),
      out_(plan.out, "standard output"),
      terminal_(::isatty(plan.out) == 1),
      view_(view != nullptr ? std::move(view) : make_view(plan, Screen::of(plan.out))),
      started_(Clock::now()),
      next_tick_(started_ + plan.interval) {}

void Watching::print_headline() const {
  const knell_stats stats = listener_.stats();
  const std::string what = fmt::format("{} of {}", events_words(plan_.options.events),
                                       plan_.selection.describe_processes(scope_text(stats)));
  if (const auto recording = listener_.recording())
    return message("{}, from {}: {}\n", what, printable(plan_.read), origin_text(*recording));
  if (!plan_.read.empty()) return message("{}, from {}\n", what, printable(plan_.read));
  message("{}, via {}; Ctrl-C ends with a summary\n", what, source_text(stats));
}

bool Watching::ended() const {
  if (at_end_ || read_failure_) return true;
  const bool late = plan_.duration && Clock::now() - started_ >= *plan_.duration;
  return late || Signals::stopped() || summary_.shown() >= plan_.count;
}

int Watching::wait_ms() const {
  std::optional<Clock::time_point> next;
  if (plan_.duration) next = started_ + *plan_.duration;
  if (!plan_.by.empty() && (!next || next_tick_ < *next)) next = next_tick_;
  if (const auto end = hook_ != nullptr ? hook_->due() : std::nullopt;
      end && (!next || *end < *next))
    next = end;
  return ms_until(next);
}

void Watching::take(const knell_event& event) {
  if (plan_.output.is_data())  // no summary at the end
    summary_.count(event);
  else
    summary_.add(event);
  if (plan_.show) view_->add(event, out_.buffer());
  if (hook_ != nullptr) hook_->add(event);
  if (event.cursor.data != nullptr) cursor_.assign(event.cursor.data, event.cursor.size);
}

void Watching::acknowledge(const std::string& cursor) {
  knell_event event{};
  event.size = sizeof event;
  event.cursor = {cursor.data(), cursor.size()};
  if (listener_.ack(event)) message("knell: {}\n", printable(std::string_view(knell_explain())));
}

// Acknowledges the events that were written, or for which CMD has finished.
void Watching::acknowledge() {
  if (plan_.durable.empty()) return;
  if (hook_ == nullptr) {
    if (const std::string cursor = std::exchange(cursor_, {}); !cursor.empty()) acknowledge(cursor);
    return;
  }
  knell_event event{};
  event.size = sizeof event;
  for (size_t failed = hook_->take_failed(); failed > 0; --failed)
    std::ignore = listener_.mark_failed(event);
  if (const std::string cursor = hook_->take_done(); !cursor.empty()) acknowledge(cursor);
}

// Reads a batch, up to the first event later than `until_mono_ns`. Returns whether the batch was
// full; if events are left, the listener stays readable.
Outcome<bool> Watching::read_events(uint64_t until_mono_ns, bool* later) {
  std::array<const knell_event*, kBatch> space;
  std::error_code error;
  const auto events = listener_.read(space, error);
  if (error.value() == ENODATA && !plan_.read.empty()) {
    at_end_ = true;
  } else if (error) {
    read_failure_ = Failure{kFailed, knell_explain()};
  }
  for (const knell_event* event : events) {
    if (summary_.shown() >= plan_.count) break;
    if (event->mono_ns > until_mono_ns) {
      *later = true;
      break;
    }
    take(*event);
  }
  KNELL_ASSIGN(const bool there, view_->commit());
  reader_gone_ = !there;
  return events.size() == space.size();
}

Outcome<Watching::Loop> Watching::write() {
  if (!out_.buffer().empty()) {
    KNELL_ASSIGN(const auto reader, out_.flush());
    if (reader == OutputBuffer::Reader::kClosed) return Loop::kReaderGone;
  }
  acknowledge();
  return Loop::kContinue;
}

Outcome<Watching::Loop> Watching::turn() {
  const bool hook_full = hook_ != nullptr && hook_->full();
  std::array<pollfd, 3> fds{{{hook_full ? -1 : listener_.fd(), POLLIN, 0},
                             {signals_.fd(), POLLIN, 0},
                             {plan_.out, 0, 0}}};
  if (::poll(fds.data(), fds.size(), wait_ms()) < 0 && errno != EINTR)
    return failed("cannot wait for events");
  if (fds[1].revents != 0) signals_.clear();
  // A pipe or socket whose reader has gone reports POLLERR or POLLHUP. A terminal that hung up ends
  // this process by SIGHUP, so its POLLHUP is ignored.
  const int gone = terminal_ ? POLLERR : POLLERR | POLLHUP;
  if ((fds[2].revents & gone) != 0) return Loop::kReaderGone;
  if (fds[0].revents != 0) {
    if (terminal_) view_->resize(Screen::of(plan_.out));  // the window may have been resized
    bool more = true;
    while (more && !ended() && !(hook_ != nullptr && hook_->full())) {
      KNELL_ASSIGN(more, read_events());
      if (reader_gone_) return Loop::kReaderGone;
      KNELL_ASSIGN(const Loop loop, write());
      if (loop != Loop::kContinue) return loop;
    }
  }
  if (hook_ != nullptr) hook_->reap_and_start();
  if (!plan_.by.empty() && Clock::now() >= next_tick_) {
    view_->tick(out_.buffer());
    next_tick_ = Clock::now() + plan_.interval;
  }
  KNELL_ASSIGN(const Loop loop, write());
  return loop != Loop::kContinue ? loop : ended() ? Loop::kEnd : Loop::kContinue;
}

// Shows the events from before the end that are still in the source's buffer or delayed by the
// pacing: waits one more latency budget for the listener to become readable. A second signal cuts
// this short. On a busy machine the listener may stay readable because of events that do not match;
// then this ends after kBacklogNs without an event to show.
Outcome<Watching::Loop> Watching::finish() {
  const uint64_t until = system_clock().monotonic_ns();
  const int signals = signals_so_far();
  // Over the daemon the pacing delays events twice, and they have to be sent.
  const bool by_daemon = listener_.stats().daemon != KNELL_DAEMON_NONE;
  const int64_t budget_ms = std::min<int64_t>(plan_.options.latency_ns / 1'000'000, 1000);
  const int timeout_ms = static_cast<int>(by_daemon ? 2 * budget_ms + 20 : budget_ms + 2);
  bool later = false;
  uint64_t shown_ns = until;
  const bool live = plan_.read.empty() && !read_failure_;
  while (live && !later && summary_.shown() < plan_.count && signals == signals_so_far()) {
    pollfd fd{listener_.fd(), POLLIN, 0};
    if (read_failure_ || ::poll(&fd, 1, timeout_ms) <= 0) break;
    const uint64_t before = summary_.shown();
    KNELL_TRY(read_events(until, &later));
    if (reader_gone_) return Loop::kReaderGone;
    const uint64_t now = system_clock().monotonic_ns();
    if (summary_.shown() != before) shown_ns = now;
    if (now - shown_ns > kBacklogNs) break;
    KNELL_ASSIGN(const Loop loop, write());
    if (loop != Loop::kContinue) return loop;
    if (hook_ != nullptr && hook_->full()) break;
  }
  // A durable listener gets the later events the next time.
  if (const auto missed = plan_.durable.empty() ? loss_at_end(listener_) : std::nullopt) {
    take(*missed);
    KNELL_ASSIGN(const bool there, view_->commit());
    if (!there) return Loop::kReaderGone;
  }
  if (plan_.show) view_->finish(out_.buffer());
  return write();
}

void Watching::finish_hook() {
  if (hook_ == nullptr) return;
  const int signals = signals_so_far();
  size_t dropped = signals == 0 ? 0 : hook_->drop_waiting();
  hook_->end_minute();
  while (hook_->busy() && signals == signals_so_far()) {
    hook_->reap_and_start();
    acknowledge();
    if (!hook_->busy()) break;
    pollfd fd{signals_.fd(), POLLIN, 0};
    ::poll(&fd, 1, ms_until(hook_->due()));
    signals_.clear();
  }
  dropped += hook_->drop_waiting();
  acknowledge();
  if (dropped != 0 && plan_.durable.empty())
    message("knell: --exec: {} event{} not passed to the command\n", dropped,
            dropped == 1 ? " was" : "s were");
}

std::optional<knell_event> loss_at_end(const Listener& listener) {
  if (listener.stats().daemon != KNELL_DAEMON_AWAY) return std::nullopt;
  message("knell: the connection to knelld was lost; later events are not shown\n");
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  lost.seq = listener.stats().shown + 1;
  lost.mono_ns = lost.lost_until_ns = system_clock().monotonic_ns();
  lost.time_ns = lost.lost_until_time_ns = system_clock().realtime_ns();
  lost.lost_types = KNELL_EVENT_ALL & ~KNELL_EVENT_NONZERO_EXIT;
  return lost;
}

void Watching::print_summary() const {
  if (plan_.output.is_data() || !plan_.print_messages) return;
  std::string line = summary_.text();
  const uint64_t repairs = listener_.stats().repairs;
  if (repairs != 0)
    line += fmt::format("; the connector had stopped sending events and was repaired {}",
                        repairs == 1 ? "once" : fmt::format("{} times", repairs));
  if (hook_ != nullptr) line += "; " + hook_->summary();
  message("{}\n", line);
}

void EndFlags::add_options(CommandLine& line) {
  line.add_value("-n,--count", count, "COUNT", "end after COUNT events");
  line.add_value("-d,--duration", duration, "TIME", "end after this time: 30s, 5m");
}

Outcome<void> EndFlags::set(WatchPlan& plan) const {
  if (!count.empty()) {
    KNELL_ASSIGN(plan.count, parse_count(count));
  }
  if (!duration.empty()) {
    const auto time = parse_duration(duration);
    if (!time) return usage("-d: {}", time.error().message());
    if (time->count() == 0)
      return usage("-d {} would end at once; give a time such as 30s", printable(duration));
    plan.duration = *time;
  }
  return {};
}

Outcome<void> parse_output_option(WatchPlan& plan, const std::string& text) {
  KNELL_ASSIGN(plan.output, parse_output(text));
  if (plan.by.empty()) return {};
  if (plan.output.format == Format::kCsv)
    return usage("--by cannot be used with -o csv: use table or json");
  if (!plan.output.columns.empty())
    return usage("--by has columns of its own: use -o table or json without names");
  return {};
}

Outcome<void> drop_privileges(std::initializer_list<int> kept) {
  // An error, since going on would keep the capabilities unnoticed.
  const auto dropped = keep_capabilities(kept);
  if (!dropped) return failed("{}", dropped.error().message());
  return {};
}

Outcome<int> Watching::run() {
  if (plan_.duration) Signals::end_after(*plan_.duration);
  if (!plan_.output.is_data() && plan_.print_messages) print_headline();
  if (plan_.show) view_->begin(out_.buffer());
  KNELL_ASSIGN(Loop loop, write());
  while (loop == Loop::kContinue) {
    KNELL_ASSIGN(loop, turn());
  }
  if (loop == Loop::kEnd) {
    KNELL_ASSIGN(loop, finish());
  }
  finish_hook();
  if (!plan_.durable.empty() && loop != Loop::kReaderGone && !read_failure_ &&
      listener_.flush_acks())
    message("knell: the last events may be delivered again: {}\n",
            printable(std::string_view(knell_explain())));
  if (loop != Loop::kReaderGone) print_summary();
  if (read_failure_) return std::unexpected(*read_failure_);
  return kDone;
}

}  // namespace knell::cli
