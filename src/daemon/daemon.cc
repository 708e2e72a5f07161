// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Two pipelines, of processes and of threads, feed one hub, whose listeners are the clients of one
// server. The joined interest of the listeners is requested from the pipelines. If a listener needs
// more, the request grows at once, before the listener gets its ack. If less is needed, the request
// shrinks a moment later, so that a client that connects for a short time does not cause extra work
// in the kernel. The pipeline of processes is always open, since opening it needs privileges that
// are dropped afterwards. The pipeline of threads is open while it has listeners.
//
// One epoll descriptor polls everything. Each turn reads each source once, up to one batch, and
// then serves the clients, so neither delays the other for long.
#include "daemon/daemon.h"

#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <initializer_list>
#include <set>
#include <tuple>
#include <utility>

#include "base/boot_id.h"
#include "daemon/live_snapshot.h"
#include "daemon/log.h"
#include "daemon/lost_until_now.h"
#include "daemon/user_database.h"
#include "event/ended.h"
#include "event/mask.h"
#include "event/visibility.h"
#include "filter/rule.h"
#include "process/root_set.h"
#include "source/join.h"

namespace knell::daemon {
namespace {

constexpr uint64_t kProcessesTag = 1, kThreadsTag = 2, kServerTag = 3, kAlarmTag = 4,
                   kJournalTag = 5, kHistoryTag = 6;
constexpr uint64_t kShrinkNs = 1'000'000'000;  // chosen, not measured
// How long stop() waits for the disk; chosen, not measured: far below systemd's TimeoutStopSec=.
constexpr std::chrono::seconds kMostStop{5};
// The latency of events that the daemon only counts
constexpr auto kOwnLatency = filter::Latency::fixed(10'000'000);
// values in a joined interest; above this it is recomputed
constexpr size_t kMostValues = 4096;
// Without delay, the daemon wakes up for every event of the machine, which slows down every process
// that exits. A client that may see only some processes cannot request less than this.
constexpr int64_t kLeastOfUsersNs = 1'000'000;

filter::Latency latency_for(const hub::Scope& scope, const hub::Filter& filter) {
  filter::Latency latency = filter::latency_of(filter.subscription);
  if (scope.every_user && scope.ns == 0) return latency;
  latency.ns = std::max(latency.ns, kLeastOfUsersNs);
  latency.under_load_ns = std::max(latency.under_load_ns, kLeastOfUsersNs);
  return latency;
}

uint32_t via_of(SourceChoice choice) {
  switch (choice) {
    case SourceChoice::kBpf:
      return KNELL_VIA_BPF;
    case SourceChoice::kConnector:
      return KNELL_VIA_CONNECTOR;
    case SourceChoice::kAuto:
      break;
  }
  return KNELL_VIA_AUTO;
}

source::SourceOptions source_options_of(const Config& config) {
  return {.via = via_of(config.source),
          .buffer_bytes = config.buffer_bytes,
          .reserve_bytes = config.reserve_bytes};
}

hub::Quotas quotas_of(const Config& config) {
  const Config::Limits& limits = config.limits;
  return {.listeners = limits.clients,
          .listeners_per_user = limits.clients_per_user,
          .queue_bytes = limits.queue_bytes,
          .memory_bytes = limits.memory_bytes,
          .user_bytes = limits.memory_per_user_bytes,
          .values_per_user = limits.filters_per_user,
          .steps_per_user = limits.filter_steps_per_user};
}

server::ServerOptions server_options_of(const Config& config) {
  return {.visibility = {.users = config.visibility.users, .groups = config.visibility.groups},
          .requests_per_second = config.limits.requests_per_second};
}

filter::Redactor redactor_of(const Config& config) {
  if (!config.redact.enabled) return filter::Redactor::none();
  return filter::Redactor(config.redact.flags, config.redact.except);
}

std::string living_file_of(const Config& config) { return config.journal.path + "-living"; }

void warn_of_lost_exits(const Result<void>& failed) {
  log_warning("processes that end while knelld is not running will be lost: {}",
              failed.error().message());
}

// `at` 0: never.
bool is_due(uint64_t at, uint64_t now_ns) { return at != 0 && now_ns >= at; }

Result<void> poll(int epoll, int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("poll a descriptor");
  return {};
}

}  // namespace

Daemon::Daemon(const Config& config, Restart restart)
    : config_(config),
      restart_(std::move(restart)),
      hub_(encoder_, quotas_of(config)),
      processes_(Pipeline::Level::kProcesses, source_options_of(config), hub_,
                 [this](event::Batch& batch, event::Slot& slot) { on_event(batch, slot); }),
      threads_(
          Pipeline::Level::kThreads, source_options_of(config), hub_,
          [this](event::Batch& batch, event::Slot& slot) { redact(batch, slot); }, &processes_),
      redactor_(redactor_of(config)),
      started_ns_(clock_.monotonic_ns()),
      started_time_ns_(clock_.realtime_ns()) {
  hub_.set_subordinate_uids(read_subordinate_uids());
}

// The events of the last read are in both the journal and the state, or in neither. If the disk
// does not answer, the events that the journal lacks are in the state only. The threads then stay
// blocked in a system call; docs/design/restart.md describes what such a thread can still do.
bool Daemon::stop() {
  if (is_journal_open()) on_journal_progress();
  save();
  saves_ = false;
  // Only now: while the daemon runs, a source that is closed because no listener needs it is
  // removed from the keeper.
  if (leaves_quietly_) restart_.leave();
  server_.reset();
  if (!is_journal_open()) return true;
  std::function<void()> write_list;
  if (living_)
    write_list = [living = *std::exchange(living_, std::nullopt), path = living_file_of(config_),
                  &clock = clock_] {
      if (const auto written = living.write(path, clock); !written) warn_of_lost_exits(written);
    };
  durable_->request_stop(std::move(write_list));
  history_->request_stop();
  const auto deadline = std::chrono::steady_clock::now() + kMostStop;
  const bool ended = durable_->await_end(deadline) && history_->await_end(deadline);
  report_unwritten(ended);
  if (!ended) {
    // The blocked threads still use these objects.
    std::ignore = durable_.release();
    std::ignore = history_.release();
  }
  return ended;
}

void Daemon::report_unwritten(bool ended) {
  journal::Recorder& recorder = durable_->recorder();
  const bool kept = restart_.handover().state.has_value();
  if (kept) restart_.journal().set_done(recorder.take_progress().done);
  const uint64_t unwritten = kept ? restart_.journal().size() : recorder.unwritten();
  if (ended && unwritten == 0) return;
  log_warning("{}: {} events were not written, {}",
              ended ? "the journal cannot be written" : "the disk of the journal does not answer",
              unwritten, kept ? "and are kept for the next knelld" : "and are lost");
}

Result<std::unique_ptr<Daemon>> Daemon::create(const Config& config, UniqueFd listening,
                                               handover::Handover& handover) {
  std::unique_ptr<Daemon> daemon(new Daemon(config, Restart::begin(handover, config)));
  KNELL_TRY(daemon->start(std::move(listening), handover));
  return daemon;
}

// Restores the clients of the earlier daemon first. Then the sources are asked for all events of
// these clients, and the tracing programs need not change. Nothing is sent or received before
// save() has stored the whole state of this daemon.
Result<void> Daemon::start(UniqueFd listening, handover::Handover& handover) {
  KNELL_TRY(open_durable());
  take_ended_meanwhile();  // later exits are in the rings
  epoll_ = UniqueFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_) return errno_error("make an epoll descriptor");
  KNELL_ASSIGN(alarm_, feed::Alarm::create(epoll_.get(), kAlarmTag));
  KNELL_ASSIGN(server_, server::Server::create(std::move(listening), server_options_of(config_),
                                               hub_, *this));
  KNELL_TRY(poll(epoll_.get(), server_->fd(), kServerTag));
  size_t failed_clients = 0;
  if (handover.state) {
    processes_.keep_in(&restart_.processes());
    threads_.keep_in(&restart_.threads());
    threads_.restore_numbers(restart_.numbers());
    if (restart_.took_over()) {
      processes_.restore_newest(restart_.newest().processes_ns);
      threads_.restore_newest(restart_.newest().threads_ns);
    }
    failed_clients = server_->restore(handover, restart_.clients());
  }
  KNELL_TRY(set_exact_interest());
  KNELL_TRY(set_exact_interest());  // again, with the interest that depends on the opened source
  for (bool all = false; !all;) {
    KNELL_ASSIGN(all, scan_live_processes(Scan::kAll));
  }
  if (handover.state) {
    report_restart(failed_clients);
    server_->keep_in(handover);
    server_->resume(*handover.state, restart_.clients());
    saves_ = true;
    save();
  }
  arm();
  return {};
}

// The interest of the daemon itself without listeners. With count = "none" this is an interest that
// matches nothing, since the feed of processes must always have one.
filter::Interest Daemon::base_interest() const {
  filter::Interest own;
  own.mask = KNELL_EVENT_NONZERO_EXIT;
  own.only_added = true;
  if (config_.count_mask == 0) return own;
  own.only_added = false;
  own.mask = config_.count_mask;
  own.details = KNELL_DETAILS_NAMES;  // for the unit
  return own;
}

uint32_t Daemon::journal_details() const {
  const bool bpf = processes_.is_open() && processes_.feed()->via() == KNELL_VIA_BPF;
  return config_.journal.details.value_or(bpf ? KNELL_DETAILS_FULL : KNELL_DETAILS_NAMES);
}

filter::Interest Daemon::journal_interest() const {
  filter::Interest own;
  own.mask = config_.journal.mask;
  own.details = journal_details();
  return own;
}

filter::Interest Daemon::wanted_of(std::initializer_list<filter::Stream> streams) const {
  std::vector<filter::Interest> all;
  for (const filter::Stream stream : streams)
    std::ranges::move(hub_.interests(stream), std::back_inserter(all));
  const bool threads = *streams.begin() != filter::Stream::kProcesses;
  if (!threads) all.push_back(base_interest());
  if (!threads && config_.journal.enabled && config_.journal.mask != 0)
    all.push_back(journal_interest());
  if (!threads && durable_ != nullptr)
    std::ranges::move(durable_->interests(), std::back_inserter(all));
  filter::Interest joined = source::join(all);
  add_owners(joined, threads);
  return joined;
}

// Adds owners and namespaces to the interest if some listeners may not see all processes.
void Daemon::add_owners(filter::Interest& interest, bool threads) const {
  using enum filter::Stream;
  if (filter::empty(interest)) return;
  const bool namespaces_of_threads =
      hub_.has_namespace_scopes(kThreads) || hub_.has_namespace_scopes(kDatagrams);
  if (!threads) {
    interest.owners |=
        hub_.has_user_scopes(kProcesses) || (durable_ != nullptr && durable_->has_user_scopes());
    interest.namespaces |= hub_.has_namespace_scopes(kProcesses) ||
                           (namespaces_of_threads && processes_.reports_births());
    return;
  }
  // To follow owners, all of /proc must be scanned first. Continue to follow them as long as there
  // are listeners of threads, so that a client that reconnects repeatedly does not cause a scan
  // each time.
  const filter::Interest& now = threads_.interest();
  interest.owners |=
      hub_.has_user_scopes(kThreads) || hub_.has_user_scopes(kDatagrams) || now.owners;
  interest.namespaces |= namespaces_of_threads || now.namespaces;
}

filter::Latency Daemon::latency_of(std::initializer_list<filter::Stream> streams) const {
  filter::Latency least = kOwnLatency;
  if (server_ == nullptr) return least;
  server_->for_each([&](const server::ConnectionFromClient& client) {
    const hub::Node* node = client.listener().node();
    if (node == nullptr) return;
    const filter::Stream stream = node->filter.subscription.stream;
    if (std::ranges::find(streams, stream) != streams.end())
      least = filter::join(least, latency_for(client.peer().scope(), node->filter));
  });
  return least;
}

Result<void> Daemon::set_interest(Pipeline& pipeline, const filter::Interest& interest,
                                  const filter::Latency& latency) {
  const bool was_open = pipeline.is_open();
  if (!was_open || interest != pipeline.interest() || latency != pipeline.latency())
    KNELL_TRY(pipeline.set_interest(interest, latency));
  if (was_open) return {};
  auto polled =
      poll(epoll_.get(), pipeline.fd(), &pipeline == &threads_ ? kThreadsTag : kProcessesTag);
  if (!polled) pipeline.close();
  return polled;
}

// Requests only what the current listeners need.
Result<void> Daemon::set_exact_interest() {
  using enum filter::Stream;
  shrink_ns_ = 0;
  KNELL_TRY(set_interest(processes_, wanted_of({kProcesses}), latency_of({kProcesses})));
  const filter::Interest threads = wanted_of({kThreads, kDatagrams});
  if (filter::empty(threads)) {
    threads_.close();
  } else {
    KNELL_TRY(set_interest(threads_, threads, latency_of({kThreads, kDatagrams})));
  }
  keep_births();
  return {};
}

void Daemon::keep_births() {
  processes_.keep_births(threads_.is_open() && threads_.interest().namespaces);
}

Result<void> Daemon::interest_grown(const hub::Listener& listener) {
  const hub::Filter& filter = listener.node()->filter;
  const bool threads = filter.subscription.stream != filter::Stream::kProcesses;
  Pipeline& pipeline = threads ? threads_ : processes_;
  filter::Interest wanted = filter.interest;
  filter::Latency latency = latency_for(filter.scope, filter);
  if (pipeline.is_open()) {
    wanted = source::join(std::array{pipeline.interest(), wanted});
    latency = filter::join(latency, pipeline.latency());
  }
  add_owners(wanted, threads);
  // The joined interest may be full because of closed listeners, or of one that often changes its
  // request: recompute it.
  if (wanted.roots.size() > process::RootSet::kMost ||
      wanted.pids.size() + wanted.uids.size() + wanted.cgroups.size() > kMostValues)
    return set_exact_interest();
  KNELL_TRY(set_interest(pipeline, wanted, latency));
  if (threads && threads_.interest().namespaces) {
    // The pipeline of processes must report births inside pid namespaces.
    filter::Interest with_births = processes_.interest();
    add_owners(with_births, false);
    KNELL_TRY(set_interest(processes_, with_births, processes_.latency()));
  }
  keep_births();
  arm();
  return {};
}

Result<bool> Daemon::scan_live_processes(Scan what) {
  ScanBudget piece{.left = 8};  // chosen, not measured: about a tenth of a millisecond
  if (!processes_.scan_some(piece) || !threads_.scan_some(piece)) return false;
  if (what == Scan::kAllButRoots) return true;
  KNELL_ASSIGN(const bool processes, processes_.scan_under_roots(piece));
  if (!processes) return false;
  return threads_.scan_under_roots(piece);
}

Result<std::unique_ptr<server::Snapshot>> Daemon::begin_snapshot(const hub::Listener& listener) {
  return LiveSnapshot::create(listener, redactor_, clock_);
}

void Daemon::interest_shrunk() {
  if (shrink_ns_ != 0) return;
  shrink_ns_ = clock_.monotonic_ns() + kShrinkNs;
  arm();
}

Result<void> Daemon::follow(int32_t pid, uint64_t start) {
  KNELL_TRY(processes_.add_pid(pid, start, processes_.interest()));
  if (threads_.is_open()) return threads_.add_pid(pid, start, threads_.interest());
  return {};
}

// Does nothing without a state.
void Daemon::save() {
  if (!saves_) return;
  handover::State& state = *restart_.handover().state;
  const bool whole = std::exchange(saves_whole_, false) || state.wants_snapshot();
  if (whole) {
    state.begin_snapshot();
    state.append_serials(server::kSavedSent, server::kSavedReceived);
  }
  server_->save(whole);
  processes_.save(whole);
  threads_.save(whole);
  restart_.journal().save(state, whole);
  if (const std::string numbers = threads_.take_numbers(whole); !numbers.empty())
    state.append(Restart::kNumbers, numbers);
  restart_.save_newest({.processes_ns = processes_.newest_ns(), .threads_ns = threads_.newest_ns()},
                       whole);
  if (whole) restart_.forget();
  restart_.handover().keeper.flush();
  if (!state.has_uncommitted()) return;
  state.commit();
  restart_.report_broken();
  processes_.saved();
  threads_.saved();
  if (is_journal_open()) restart_.journal().forward(durable_->recorder());
}

// Clients that were restored get a loss event for each stream that could not be taken over.
void Daemon::report_restart(size_t failed_clients) {
  restart_.finish(server_->clients(), failed_clients, threads_.is_open());
  if (!restart_.report()) return;
  if (restart_.report()->lost) processes_.publish_gap();
  if (restart_.report()->lost_threads) threads_.publish_gap();
}

void Daemon::unfollow(int32_t pid) {
  if (hub_.is_added(pid)) return;
  processes_.remove_pid(pid);
  threads_.remove_pid(pid);
}

event::Raw Daemon::make_ack(uint32_t error, uint32_t ack) {
  event::Raw raw;
  raw.what = KNELL_EVENT_NONE;
  unsigned cpu = 0;
  if (::getcpu(&cpu, nullptr) == 0) raw.cpu = cpu;
  raw.seq = threads_.next_number(raw.cpu);
  raw.stamp_ns = clock_.monotonic_ns();
  raw.u.ack = {.err = error, .ack = ack};
  return raw;
}

wire::Origin Daemon::origin() const {
  wire::Origin origin = wire::origin_here(clock_, boot_id());
  origin.subscription.via = processes_.feed()->via();
  return origin;
}

// Redacts secrets before the event is queued or counted.
void Daemon::redact(event::Batch& batch, event::Slot& slot) {
  knell_event& event = slot.event;
  if (event.args.data == nullptr) return;
  const auto redacted = redactor_.redact({event.args.data, event.args.size});
  if (redacted) event.args = batch.copy(*redacted);
}

void Daemon::on_event(event::Batch& batch, event::Slot& slot) {
  redact(batch, slot);
  const knell_event& event = slot.event;
  if (durable_ != nullptr) store(slot);
  if (living_ && event.type == KNELL_EVENT_EXIT) living_->remove(event.pid, event.id.start);
  if (event.type != KNELL_EVENT_EXIT || config_.count_mask == 0 ||
      !filter::passes(filter::Rule::kReleased, config_.count_mask, event))
    return;
  const auto view = [](const knell_string& text) {
    return text.data == nullptr ? std::string_view() : std::string_view(text.data, text.size);
  };
  const std::string ended = event::ended_text(event);
  exits_.add(
      {.unit = view(event.unit),
       .ended = ended,
       .comm = config_.count_by.comm ? view(event.comm) : std::string_view(),
       .container = config_.count_by.container ? view(event.container_id) : std::string_view()});
}

// Writes the event to the journal if the configuration or a durable listener requests it. Returns
// whether it was written.
bool Daemon::store(const event::Slot& slot) {
  const Config::Journal& journal = config_.journal;
  const bool configured =
      journal.mask != 0 && filter::passes(filter::Rule::kReleased, journal.mask, slot.event);
  const filter::RootBits ancestry(processes_.interest().roots, slot.note);
  const DurableListeners::Wanted wanted = durable_->wants(slot.event, ancestry);
  if (!configured && !wanted.any) return false;
  uint32_t details = wanted.any ? wanted.details : uint32_t{KNELL_DETAILS_STATUS};
  if (configured) details = std::min(details, journal_details());
  knell_event stored = slot.event;
  event::limit_details(stored, details);
  stored.flags |= wanted.marks;
  write(stored);
  return true;
}

// With a state, the event is first added to the backlog, and save() passes it on.
void Daemon::write(const knell_event& event) {
  if (saves_)
    restart_.journal().add(event);
  else if (is_journal_open())
    durable_->recorder().add(event);
}

// Writes a loss event for the time when no daemon ran, which begins at the last event in the
// journal.
void Daemon::note_restart(int64_t last_ns) {
  if (config_.journal.mask == 0 && durable_->empty()) return;
  const int64_t now_ns = clock_.realtime_ns();
  last_ns = std::max(last_ns, restart_.journal().last_time_ns());
  const int64_t ago_ns = last_ns == 0 ? 0 : std::max<int64_t>(now_ns - last_ns, 0);
  knell_event lost = lost_until_now(static_cast<uint64_t>(ago_ns), clock_.monotonic_ns(), now_ns);
  lost.lost_types = event::types_of(KNELL_EVENT_ALL);
  lost.via = processes_.feed()->via();
  write(lost);
}

namespace {
// Restores the values of the keys that knelld reads only at its start. Returns the names of the
// changed keys.
std::string keep_until_restart(Config& config, const Config& old) {
  std::string keys;
  const auto keep = [&keys](auto& value, const auto& in_force, std::string_view name) {
    if (value == in_force) return;
    value = in_force;
    keys += (keys.empty() ? "" : ", ") + std::string(name);
  };
  keep(config.source, old.source, "source");
  keep(config.buffer_bytes, old.buffer_bytes, "buffer");
  keep(config.reserve_bytes, old.reserve_bytes, "reserve");
  keep(config.socket, old.socket, "[socket]");
  Config::Journal journal = old.journal;
  journal.mask = config.journal.mask;
  journal.details = config.journal.details;
  keep(config.journal, journal, "[journal]");
  return keys;
}
}  // namespace

void Daemon::take_ended_meanwhile() {
  if (durable_ == nullptr) return;
  process::LiveKernelProcesses kernel;
  if (auto ended = daemon::take_ended_meanwhile(living_file_of(config_), kernel, clock_))
    ended_meanwhile_ = *std::move(ended);
  else
    log_warning("processes that ended while knelld was not running are unknown: {}",
                ended.error().message());
}

// Skipped if the tracing programs were taken over: then the exits are in their rings.
void Daemon::store_ended_meanwhile() {
  const EndedMeanwhile ended = std::exchange(ended_meanwhile_, {});
  const auto& report = restart_.report();
  if (ended.stopped_ns == 0 || (report && !report->lost)) return;
  size_t stored = 0;
  for (const std::string& copy : ended.exits) {
    event::Slot slot;
    slot.event = journal::read_copy(copy.data()).event;
    stored += store(slot) ? 1 : 0;
  }
  restart_.add_stop(clock_.monotonic_ns() - ended.stopped_ns, ended.exits.size(), stored);
}

// Makes the list first, and then reads all events that were reported until now. So a process that
// ends meanwhile is either on the list, or its exit was read.
void Daemon::remember_living_processes() {
  if (!is_journal_open()) return;
  auto living = LivingProcessList::read(journal_details(), redactor_, clock_);
  if (!living) return warn_of_lost_exits(std::unexpected(living.error()));
  living_ = *std::move(living);
  if (const auto read = processes_.read_now(); !read) {
    living_.reset();
    warn_of_lost_exits(read);
  }
}

Result<void> Daemon::serve() {
  ++wakeups_;
  std::array<epoll_event, 8> events;
  const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  bool processes = false, threads = false, journal = false, history = false;
  for (int i = 0; i < n; ++i) {
    const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
    processes |= tag == kProcessesTag;
    threads |= tag == kThreadsTag;
    if (tag == kAlarmTag) alarm_.on_fired();
    journal |= tag == kJournalTag;
    history |= tag == kHistoryTag;
  }
  if (processes) KNELL_TRY(processes_.read());
  // Not fatal: the source of threads can be reopened without the dropped privileges, the source of
  // processes cannot.
  if (threads && threads_.is_open()) {
    if (const auto read = threads_.read(); !read) {
      log_warning("the source of thread events failed: {}; reopening it", read.error().message());
      threads_.close_after_failure();
      interest_shrunk();
    }
  }
  const uint64_t now = clock_.monotonic_ns();
  rate_.sample(hub_.counters().published, now);
  if (journal || (is_journal_open() && is_due(durable_->due_ns(), now))) on_journal_progress();
  if (history_ != nullptr && (history || is_due(history_->due_ns(), now))) history_->on_ready();
  server_->serve();
  // If the request cannot be reduced now, unneeded events continue to arrive; try again later.
  if (is_due(shrink_ns_, now)) {
    if (const auto asked = set_exact_interest(); !asked) {
      log_warning("cannot update the request to the sources: {}; trying again",
                  asked.error().message());
      interest_shrunk();
    }
  }
  arm();
  return {};
}

void Daemon::on_journal_progress() {
  durable_->on_ready();
  const journal::Recorder::Progress& progress = durable_->progress();
  if (progress.written_before) restart_.journal().drop_written(*progress.written_before);
  restart_.journal().set_done(progress.done);
  history_->on_progress(progress.id, progress.next_seq);
}

void Daemon::arm() {
  uint64_t at = server_->due_ns();
  const auto no_later_than = [&at](uint64_t other) {
    if (other != 0 && (at == 0 || other < at)) at = other;
  };
  no_later_than(shrink_ns_);
  if (history_ != nullptr) no_later_than(history_->due_ns());
  if (is_journal_open()) no_later_than(durable_->due_ns());
  alarm_.set(at);
}

// Must run before the sources are opened, since their interest includes that of the durable
// listeners.
Result<void> Daemon::open_durable() {
  const Config::Journal& journal = config_.journal;
  if (!journal.enabled) return {};
  KNELL_ASSIGN(
      durable_,
      DurableListeners::create(
          {.path = journal.path,
           .start =
               [this, &journal](journal::Recorder::OnProgress on_progress) {
                 return start_recorder(journal, std::move(on_progress),
                                       restart_.journal().count_written(journal.path));
               },
           .resume = [this](server::ConnectionFromClient& client) { server_->resume(client); },
           .owner_of = [this](uint32_t uid) { return hub_.owner_of(uid); },
           .may_claim = [this](const hub::Users::Account& used, hub::Users::Claim less,
                               hub::Users::Claim more) { return hub_.may_claim(used, less, more); },
           .most_per_user = config_.limits.durable_per_user,
           .interests_changed =
               [this](DurableListeners::Options::Missed missed) {
                 shrink_ns_ = 1;  // now
                 if (missed == DurableListeners::Options::Missed::kYes) note_restart(0);
               }},
          journal::read_durable_names(journal.path)));
  KNELL_ASSIGN(history_,
               HistoryPages::create(journal.path, [this](server::ConnectionFromClient& one) {
                 server_->resume(one);
               }));
  return {};
}

Result<void> Daemon::start_journal() {
  if (durable_ == nullptr) return {};
  const auto last_ns = last_time(config_.journal.path);  // before a new journal is created
  durable_->start();
  KNELL_TRY(poll(epoll_.get(), durable_->fd(), kJournalTag));
  KNELL_TRY(poll(epoll_.get(), history_->fd(), kHistoryTag));
  JournalBacklog& backlog = restart_.journal();
  const auto& report = restart_.report();
  const bool gap = !report || report->lost || backlog.lacks_some();
  if (gap && (last_ns || !durable_->empty())) note_restart(last_ns.value_or(0));
  store_ended_meanwhile();
  save();
  if (saves_) backlog.forward(durable_->recorder());
  return {};
}

namespace {
std::unexpected<Error> no_journal() {
  return say(EOPNOTSUPP,
             "there is no journal: it is disabled in knelld.toml ([journal] enabled = false), or "
             "knelld runs with "
             "--socket and needs its own [journal] path");
}
}  // namespace

Result<Daemon::Done> Daemon::attach_durable(server::ConnectionFromClient& client,
                                            const wire::Durable& durable) {
  if (durable_ == nullptr) return no_journal();
  return durable_->attach(client, durable);
}
Result<Daemon::Done> Daemon::acknowledge_durable(server::ConnectionFromClient& client,
                                                 const wire::Acknowledge& acknowledge) {
  if (durable_ == nullptr) return no_journal();
  return durable_->acknowledge(client, acknowledge);
}
Result<Daemon::Done> Daemon::forget_durable(server::ConnectionFromClient& client,
                                            const wire::Forget& forget) {
  if (durable_ == nullptr) return no_journal();
  return durable_->forget(client, forget);
}
Result<void> Daemon::read_history(server::ConnectionFromClient& client, const wire::History& asked,
                                  hub::Filter filter) {
  if (history_ == nullptr) return no_journal();
  return history_->read(client, asked, std::move(filter));
}
void Daemon::detach_durable(server::ConnectionFromClient& client) {
  if (durable_ == nullptr) return;
  durable_->detach(client);
  history_->cancel(client);
}
void Daemon::continue_durable(server::ConnectionFromClient& client) {
  if (durable_ != nullptr) durable_->resume_reading(client);
}

Result<void> Daemon::reload(const Config& config) {
  const Config old = std::exchange(config_, config);
  if (const std::string keys = keep_until_restart(config_, old); !keys.empty())
    log_warning("changes of {} take effect when knelld is restarted", keys);
  hub_.set_quotas(quotas_of(config));
  hub_.set_subordinate_uids(read_subordinate_uids());
  server_->set_options(server_options_of(config));
  redactor_ = redactor_of(config);
  if (durable_ != nullptr) durable_->set_most_per_user(config.limits.durable_per_user);
  return set_exact_interest();
}

}  // namespace knell::daemon
