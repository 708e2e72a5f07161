// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell top`. One thread polls the live listener, the signals, the keys, the terminal while output
// is pending, and the journal while it is read. The live model is always updated. A pause shows a
// copy of it; the past is a model that is filled from the journal.
//
// A change of the filter needs a new listener, since predicates of an open one cannot be removed.
// The new one is opened first; if that fails, the old one stays. So the capabilities that a source
// needs are kept.
#include <fmt/format.h>
#include <linux/capability.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <ctime>
#include <knell/knell.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/duration.h"
#include "base/nearest.h"
#include "cli/command.h"
#include "cli/journal_flags.h"
#include "cli/listen.h"
#include "cli/message.h"
#include "cli/signals.h"
#include "cli/text.h"
#include "cli/top/death_page.h"
#include "cli/top/terminal.h"
#include "cli/top/top_view.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kLeastPause = 100ms;          // between two redraws
constexpr auto kEventPause = 500ms;          // between two redraws, if no key was pressed
constexpr auto kIdlePause = 1000ms;          // redraws the clock and the graphs without events
constexpr int64_t kLatencyNs = 100'000'000;  // saves wakeups; too short to be noticed
constexpr uint32_t kEvents = KNELL_EVENT_FORK | KNELL_EVENT_EXIT;
constexpr size_t kBatch = 256;
constexpr size_t kMostBatches = 64;  // from one source, before keys and the window are checked
constexpr std::array<std::chrono::nanoseconds, 5> kSteps{10s, 1min, 10min, 1h, 24h};
constexpr size_t kDefaultStep = 1;
constexpr int64_t kSlotsOfPast = 60;

struct TopPlan {
  Options options;
  Selection selection;
  std::string journal;
  GroupKey key = GroupKey::kUnit;
};

class TopLoop {
 public:
  TopLoop(TopPlan plan, Listener listener, Signals& signals, Terminal& terminal)
      : plan_(std::move(plan)),
        listener_(std::move(listener)),
        signals_(signals),
        terminal_(terminal),
        began_ns_(now_ns()) {
    state_.key = plan_.key;
  }
  Outcome<int> run();

 private:
  struct Past {
    int64_t begin_ns, end_ns;
    TopModel model;
    Listener journal;
    bool reading = true;
  };
  struct Pause {
    TopModel model;
    int64_t at_ns;
    uint64_t died;  // total of deaths in the live model when the pause began
  };

  static int64_t now_ns() { return system_clock().realtime_ns(); }
  const TopModel& shown() const { return past_ ? past_->model : pause_ ? pause_->model : live_; }
  int wait_ms() const;
  Outcome<bool> wait_and_read();
  void read_live();
  void read_past();
  void read_keys();
  void act(TopAction action);
  void pause_or_go_on();
  void start_filter();
  void apply_filter();
  void go_to(int64_t end_ns);
  void go_earlier();
  void go_later();
  void go_to_earlier_death();
  void go_to_now();
  void change_step(bool longer);
  void open_death();
  bool open_past(int64_t begin_ns, int64_t end_ns);
  int64_t step_ns() const { return kSteps[step_].count(); }
  int64_t begin_of_step(int64_t time_ns) const;
  void say(std::string text, bool error = false);
  TopFacts facts() const;
  void draw();
  void stop_here();

  TopPlan plan_;
  Listener listener_;
  Signals& signals_;
  Terminal& terminal_;
  TopState state_;
  TopModel live_;
  int64_t began_ns_;
  std::optional<Failure> ended_;  // the error that ended the live listener
  std::unique_ptr<Past> past_;
  std::unique_ptr<Pause> pause_;
  size_t step_ = kDefaultStep;
  std::vector<PageLine> page_;
  std::string page_title_;
  std::string message_;
  bool is_error_ = false;
  bool quit_ = false, key_pressed_ = true, changed_ = false;
  int stops_ = 0, continues_ = 0, resizes_ = 0;
  Clock::time_point drawn_{};
};

int TopLoop::wait_ms() const {
  const auto pause = key_pressed_ ? kLeastPause : changed_ ? kEventPause : kIdlePause;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(drawn_ + pause - Clock::now());
  return static_cast<int>(std::max<int64_t>(left.count(), 0));
}

// Returns false when the terminal was closed.
Outcome<bool> TopLoop::wait_and_read() {
  const bool pending = terminal_.pending();
  std::array<pollfd, 5> fds{{{ended_ ? -1 : listener_.fd(), POLLIN, 0},
                             {signals_.fd(), POLLIN, 0},
                             {terminal_.input_fd(), POLLIN, 0},
                             {terminal_.output_fd(), static_cast<short>(pending ? POLLOUT : 0), 0},
                             {past_ && past_->reading ? past_->journal.fd() : -1, POLLIN, 0}}};
  // While output is pending, nothing is drawn.
  if (::poll(fds.data(), fds.size(), pending ? -1 : wait_ms()) < 0 && errno != EINTR)
    return failed("cannot wait for events");
  if (fds[1].revents != 0) signals_.clear();
  constexpr int kGone = POLLHUP | POLLERR | POLLNVAL;
  if (((fds[2].revents | fds[3].revents) & kGone) != 0) return false;
  if (fds[0].revents != 0) read_live();
  if (fds[4].revents != 0) read_past();
  if (fds[2].revents != 0) read_keys();
  return terminal_.write_pending();
}

void TopLoop::read_live() {
  std::array<const knell_event*, kBatch> space;
  for (size_t batch = 0; batch < kMostBatches; ++batch) {
    std::error_code error;
    const auto events = listener_.read(space, error);
    for (const knell_event* event : events) live_.add(*event);
    changed_ = changed_ || !events.empty();
    if (error) {
      ended_ = Failure{kFailed, knell_explain()};
      return say(
          fmt::format("no more events arrive: {}", printable(std::string_view(ended_->line))),
          true);
    }
    if (events.size() < space.size()) return;
  }
}

void TopLoop::read_past() {
  std::array<const knell_event*, kBatch> space;
  for (size_t batch = 0; batch < kMostBatches; ++batch) {
    std::error_code error;
    const auto events = past_->journal.read(space, error);
    for (const knell_event* event : events) past_->model.add(*event);
    changed_ = true;
    if (error) {
      past_->reading = false;
      if (error.value() != ENODATA) return say(knell_explain(), true);
      if (past_->model.total().died == 0)
        say("no deaths are stored for this time; b goes back to the last one before it");
      return;
    }
    if (events.size() < space.size()) return;
  }
}

void TopLoop::read_keys() {
  while (const auto key = terminal_.read_key()) {
    key_pressed_ = true;
    message_.clear();
    const size_t rows = state_.page == TopState::Page::kMain ? death_rows(terminal_.grid().rows())
                                                             : terminal_.grid().rows() - 2;
    act(press(*key, state_, shown(), rows));
    if (quit_) return;
  }
}

void TopLoop::say(std::string text, bool error) {
  message_ = std::move(text);
  is_error_ = error;
  key_pressed_ = true;
}

void TopLoop::pause_or_go_on() {
  if (past_) return go_to_now();
  if (!pause_) {
    pause_ = std::make_unique<Pause>(live_, now_ns(), live_.total().died);
    return;
  }
  const uint64_t died = live_.total().died - pause_->died;
  const size_t kept = live_.deaths().size();
  say(fmt::format(
      "paused for {}; {} died meanwhile, {}",
      duration_text(std::chrono::nanoseconds(now_ns() - pause_->at_ns)), died,
      died <= kept ? "all of them are kept" : fmt::format("the last {} of them are kept", kept)));
  pause_.reset();
}

void TopLoop::start_filter() {
  const std::string text = plan_.selection.text();
  state_.filter = LineEditor(text.empty() ? text : text + " ");
}

void TopLoop::apply_filter() {
  auto selection = Selection::parse(state_.filter->text());
  if (!selection) return say(selection.error().line, true);
  Selection checked = *selection;
  if (past_) checked.set_recorded();
  const auto good = checked.check(kEvents, &plan_.selection);
  if (!good) return say(good.error().line, true);
  auto opened = open_listener(plan_.options);
  if (!opened) return say(opened.error().line, true);
  if (const auto applied = selection->apply(*opened); !applied)
    return say(applied.error().line, true);
  listener_ = std::move(*opened);
  ended_.reset();
  plan_.selection = std::move(*selection);
  live_ = TopModel();
  began_ns_ = now_ns();
  pause_.reset();
  state_.filter.reset();
  state_.selected.reset();
  if (past_) open_past(past_->begin_ns, past_->end_ns);
}

// The start of the step that contains this time, by the local clock.
int64_t TopLoop::begin_of_step(int64_t time_ns) const {
  const auto seconds = static_cast<time_t>(time_ns / TopModel::kSecondNs);
  std::tm local{};
  ::localtime_r(&seconds, &local);
  const int64_t offset = local.tm_gmtoff * TopModel::kSecondNs;
  return (time_ns + offset) / step_ns() * step_ns() - offset;
}

bool TopLoop::open_past(int64_t begin_ns, int64_t end_ns) {
  HistoryOptions options;
  options.events = kEvents;
  options.since_ns = std::max<int64_t>(begin_ns, 1);
  options.until_ns = end_ns - 1;
  auto opened = open_journal(plan_.journal, options);
  Selection selection = plan_.selection;
  selection.set_recorded();
  if (opened) {
    if (const auto applied = selection.apply(*opened); !applied)
      opened = std::unexpected(applied.error());
  }
  if (!opened) {
    say(opened.error().line, true);
    return false;
  }
  const TopModel::Options how{.slot_ns = (end_ns - begin_ns) / kSlotsOfPast};
  past_ = std::make_unique<Past>(begin_ns, end_ns, TopModel(how), std::move(*opened));
  state_.selected.reset();
  return true;
}

void TopLoop::go_to(int64_t end_ns) {
  if (end_ns > begin_of_step(now_ns())) return go_to_now();
  open_past(end_ns - step_ns(), end_ns);
}

void TopLoop::go_earlier() { go_to(past_ ? past_->begin_ns : begin_of_step(now_ns())); }

void TopLoop::go_later() {
  if (past_) go_to(past_->end_ns + step_ns());
}

void TopLoop::go_to_now() {
  past_.reset();
  state_.selected.reset();
}

void TopLoop::change_step(bool longer) {
  if (longer ? step_ + 1 < kSteps.size() : step_ > 0) step_ = longer ? step_ + 1 : step_ - 1;
  if (past_) {
    // The displayed time must stay within the step.
    const int64_t begin = begin_of_step(past_->end_ns - 1);
    open_past(begin, begin + step_ns());
  }
  if (message_.empty()) say(fmt::format("left and right go by {}", duration_text(kSteps[step_])));
}

void TopLoop::go_to_earlier_death() {
  HistoryOptions options;
  options.events = KNELL_EVENT_EXIT;
  options.until_ns = (past_ ? past_->begin_ns : begin_of_step(now_ns())) - 1;
  options.last = 1;
  auto opened = open_journal(plan_.journal, options);
  if (!opened) return say(opened.error().line, true);
  Selection selection = plan_.selection;
  selection.set_recorded();
  if (const auto applied = selection.apply(*opened); !applied)
    return say(applied.error().line, true);
  // A search by predicates may go through the whole journal.
  const auto until = Clock::now() + 2s;
  std::array<const knell_event*, 1> space;
  std::error_code error;
  while (!error && Clock::now() < until) {
    for (const knell_event* event : opened->read(space, error)) {
      if (event->type != KNELL_EVENT_EXIT) continue;
      return go_to(begin_of_step(event->time_ns) + step_ns());
    }
    pollfd fd{opened->fd(), POLLIN, 0};
    if (!error) ::poll(&fd, 1, 100);
  }
  if (error.value() == ENODATA) return say("no earlier death is stored");
  say(error ? knell_explain() : "the search took too long; use a filter of fewer predicates", true);
}

void TopLoop::open_death() {
  const DeathRing& deaths = state_.shown_deaths(shown());
  if (deaths.size() == 0) return say("nothing has died yet");
  const size_t at =
      state_.selected ? std::min(deaths.position_of(*state_.selected), deaths.size() - 1) : 0;
  const Death& death = deaths.newest(at);
  if (death.is_loss()) return say("this is no death: events are missing here");
  page_ = death_page(shown(), death.event(), find_in_proc);
  page_title_ = fmt::format("{} {}", death.event().pid, printable(death.event().comm));
  state_.page = TopState::Page::kDeath;
  state_.scroll = 0;
}

void TopLoop::act(TopAction action) {
  switch (action) {
    case TopAction::kNone:
      return;
    case TopAction::kQuit:
      quit_ = true;
      return;
    case TopAction::kPause:
      return pause_or_go_on();
    case TopAction::kOpen:
      return open_death();
    case TopAction::kStartFilter:
      return start_filter();
    case TopAction::kFilter:
      return apply_filter();
    case TopAction::kEarlier:
      return go_earlier();
    case TopAction::kLater:
      return go_later();
    case TopAction::kEarlierDeath:
      return go_to_earlier_death();
    case TopAction::kNow:
      return go_to_now();
    case TopAction::kLongerStep:
      return change_step(true);
    case TopAction::kShorterStep:
      return change_step(false);
    case TopAction::kRedraw:
      return terminal_.redraw();
  }
}

TopFacts TopLoop::facts() const {
  const knell_stats stats = listener_.stats();
  TopFacts facts;
  facts.processes = plan_.selection.describe_processes(scope_text(stats));
  facts.source = source_text(stats);
  facts.began_ns = began_ns_;
  facts.now_ns = now_ns();
  facts.births_known = !plan_.selection.has("ended") && !plan_.selection.has("longer") &&
                       !plan_.selection.has("shorter");
  if (past_) {
    facts.mode = TopFacts::Mode::kPast;
    facts.began_ns = past_->begin_ns;
    facts.now_ns = past_->end_ns;
    facts.reading = past_->reading;
    facts.births_known = past_->model.total().born != 0;
  } else if (pause_) {
    facts.mode = TopFacts::Mode::kPaused;
    facts.now_ns = pause_->at_ns;
    facts.since_pause = live_.total().died - pause_->died;
  }
  facts.message = message_;
  facts.is_error = is_error_;
  if (facts.message.empty() && stats.daemon == KNELL_DAEMON_AWAY) {
    facts.message = "knelld is not running: no events arrive until it runs again";
    facts.is_error = true;
  }
  return facts;
}

void TopLoop::draw() {
  Grid grid = terminal_.grid();
  switch (state_.page) {
    case TopState::Page::kMain:
      draw_top(shown(), state_, facts(), grid);
      break;
    case TopState::Page::kDeath:
      draw_page(page_title_, page_, state_.scroll, grid);
      break;
    case TopState::Page::kHelp:
      draw_page("Keys of knell top", help_lines(), state_.scroll, grid);
      break;
  }
  terminal_.show(grid);
  drawn_ = Clock::now();
  key_pressed_ = changed_ = false;
}

// Stops this process as a program without a handler of SIGTSTP would.
void TopLoop::stop_here() {
  terminal_.suspend();
  struct sigaction before{};
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  ::sigaction(SIGTSTP, &usual, &before);
  ::raise(SIGTSTP);
  ::sigaction(SIGTSTP, &before, nullptr);
}

Outcome<int> TopLoop::run() {
  while (!quit_ && !Signals::stopped()) {
    KNELL_ASSIGN(const bool there, wait_and_read());
    if (!there) return kDone;
    if (stops_ != Signals::count(SIGTSTP)) {
      stop_here();
      stops_ = Signals::count(SIGTSTP);
      key_pressed_ = true;
      terminal_.resume();
    }
    if (continues_ != Signals::count(SIGCONT)) {
      continues_ = Signals::count(SIGCONT);
      key_pressed_ = true;
      terminal_.resume();
    }
    if (resizes_ != Signals::count(SIGWINCH)) {
      resizes_ = Signals::count(SIGWINCH);
      key_pressed_ = true;
    }
    if (!terminal_.pending() && wait_ms() == 0 && terminal_.in_foreground()) {
      draw();
      if (!terminal_.write_pending()) return kDone;
    }
  }
  return kDone;
}

class TopCommand final : public Command {
 public:
  std::string_view name() const override { return "top"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override {
    return "shows births and deaths by group, and what just died";
  }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<GroupKey> key() const;

  Selection selection_;
  ListenFlags listen_;  // --via only
  JournalFlags journal_;
  std::string by_;
};

std::string_view TopCommand::notes() const {
  return "Keys: ? shows all of them; / sets a filter, space pauses, left and right go back and\n"
         "forward in time through the journal of knelld, enter shows all about one death, q ends.\n"
         "\n"
         "Exit status: 0 done; 1 failed; 2 wrong usage, or no terminal; 3 nothing can be observed\n"
         "here (knell doctor shows why).\n"
         "\n"
         "Examples:\n"
         "  knell top                      everything, grouped by unit\n"
         "  knell top --by name --under $$ what this shell starts\n"
         "  knell top --ended '!0'         failures only\n";
}

void TopCommand::add_options(CommandLine& line) {
  line.add_value("--by", by_, "KEY", "the groups: unit (default), name, user or container");
  journal_.add_file_option(line);
  line.add_value("--via", listen_.via, "SOURCE", "the source: auto, daemon, bpf, connector");
  selection_.add_predicate_options(line);
}

Outcome<GroupKey> TopCommand::key() const {
  if (by_.empty()) return GroupKey::kUnit;
  std::array<std::string_view, kGroupKeys> names;
  for (size_t i = 0; i < kGroupKeys; ++i) {
    names[i] = name_of(static_cast<GroupKey>(i));
    if (names[i] == by_) return static_cast<GroupKey>(i);
  }
  const std::string_view near = nearest(by_, names);
  if (!near.empty()) return usage("--by: unknown key '{}'; did you mean {}?", printable(by_), near);
  return usage("--by takes unit, name, user or container, not '{}'", printable(by_));
}

Outcome<int> TopCommand::execute(std::vector<std::string>) {
  TopPlan plan;
  KNELL_ASSIGN(plan.key, key());
  KNELL_ASSIGN(plan.options, listen_.options(kEvents));
  plan.options.latency_ns = kLatencyNs;
  KNELL_TRY(selection_.check(kEvents));
  plan.selection = selection_;
  plan.journal = journal_.journal;
  if (::isatty(STDIN_FILENO) != 1 || ::isatty(STDOUT_FILENO) != 1)
    return usage("knell top needs a terminal; knell watch --by comm counts processes without one");
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM, SIGTSTP, SIGCONT, SIGWINCH}, {}));
  KNELL_ASSIGN(Listener listener, open_listener(plan.options));
  KNELL_TRY(plan.selection.apply(listener));
  KNELL_TRY(
      drop_privileges({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON}));
  KNELL_ASSIGN(Terminal terminal, Terminal::create());
  return TopLoop(std::move(plan), std::move(listener), signals, terminal).run();
}

}  // namespace

std::unique_ptr<Command> make_top() { return std::make_unique<TopCommand>(); }

}  // namespace knell::cli
