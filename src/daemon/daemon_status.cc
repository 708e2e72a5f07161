// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The status of the daemon.
#include <algorithm>
#include <map>
#include <span>

#include "daemon/daemon.h"
#include "event/mask.h"
#include "event/via.h"
#include "source/join.h"

namespace knell::daemon {
namespace {

std::string scope_text(const hub::Scope& scope) {
  std::string text = scope.every_user ? "" : "uid " + std::to_string(scope.uid);
  if (scope.ns != 0) text += std::string(text.empty() ? "" : ", ") + "pid namespace";
  return text.empty() ? "everything" : text;
}

const char* details_text(uint32_t details) {
  switch (details) {
    case KNELL_DETAILS_STATUS:
      return "status";
    case KNELL_DETAILS_NAMES:
      return "names";
    default:
      return "full";
  }
}

// The predicates as text, cut to about the size that is shown, because clients may have many long
// ones. `under` has pids of the daemon's namespace, so it is left out for a client in another one.
std::string predicates_text(const hub::Filter& filter, uint32_t ns) {
  const std::span<const filter::Predicate> all = filter.predicates.values();
  const auto under =
      ns == 0 ? std::ranges::subrange(all.end(), all.end())
              : std::ranges::equal_range(all, filter::Key::kUnder, {}, &filter::Predicate::key);
  std::string text = filter::text_of({all.begin(), under.begin()}, Status::kMostPredicatesText);
  const std::string rest = filter::text_of({under.end(), all.end()}, Status::kMostPredicatesText);
  if (!text.empty() && !rest.empty()) text += ' ';
  text += rest;
  if (!filter.subscription.only_added) return text;
  return text.empty() ? "added processes" : "added processes " + text;
}

Status::Listener describe(const server::ConnectionFromClient& client, uint32_t ns) {
  Status::Listener out;
  const hub::Queue& queue = client.listener().queue();
  out.id = client.id();
  out.pid = client.peer().pid();
  out.uid = client.peer().uid();
  out.comm = client.peer().comm();
  out.protocol = client.protocol() == server::ConnectionFromClient::Protocol::kCompat
                     ? Status::Protocol::kCompat
                     : Status::Protocol::kNative;
  out.scope = scope_text(client.peer().scope());
  out.latency_ns = client.latency_ns();
  out.delivered = queue.delivered();
  out.lost = queue.lost();
  out.queued = queue.size();
  out.queued_bytes = queue.bytes();
  out.since_ns = client.started_ns();
  const hub::Node* node = client.listener().node();
  if (node == nullptr) return out;
  const filter::Subscription& subscription = node->filter.subscription;
  out.mask = subscription.mask;
  out.predicates = predicates_text(node->filter, ns);
  out.level = subscription.stream == filter::Stream::kProcesses ? "process" : "raw";
  out.details = details_text(subscription.details);
  return out;
}

}  // namespace

// One entry for each open pipeline, and one for bpf if it is not used.
void Daemon::add_sources(Status& status) const {
  for (const Pipeline* pipeline : {&processes_, &threads_}) {
    const feed::Feed* feed = pipeline->feed();
    if (feed == nullptr) continue;
    const source::Capabilities can = feed->source().capabilities();
    Status::Source source;
    source.name = event::via_name(feed->via());
    source.used = true;
    source.why = pipeline == &processes_ ? "events of processes" : "events of threads";
    source.types = event::types_of(feed->kernel_mask()) & can.types;
    source.buffer_bytes = can.buffer_bytes;
    source.received = pipeline->received();
    source.lost = pipeline->lost();
    for (const auto& [types, lost] : pipeline->lost_by_types())
      if (lost != 0) source.lost_by_types.emplace_back(types, lost);
    source.recovered = pipeline->recovered();
    source.repaired = pipeline->repaired();
    status.sources.push_back(std::move(source));
  }
  if (processes_.feed()->via() == KNELL_VIA_BPF) return;
  Status::Source bpf;
  bpf.name = "bpf";
  bpf.why = config_.source == SourceChoice::kConnector
                ? "the configuration allows only the connector"
                : "it does not work here; `knell doctor` shows why";
  status.sources.push_back(std::move(bpf));
}

Status Daemon::status_for(const server::Peer* peer) const {
  const bool everything = peer == nullptr || (peer->scope().every_user && peer->scope().ns == 0);
  const uint32_t ns = peer == nullptr ? 0 : peer->scope().ns;
  const auto visible = [&](const server::Peer& client) {
    return everything || (client.uid() == peer->uid() && client.scope().ns == ns);
  };
  Status status;
  describe_process(status);
  const uint64_t now = clock_.monotonic_ns();
  status.started_ns = started_time_ns_;
  status.uptime_ns = static_cast<int64_t>(now - started_ns_);
  add_sources(status);
  const hub::Hub::Counters& counters = hub_.counters();
  status.drains = processes_.drains() + threads_.drains();
  status.wakeups = wakeups_;
  status.events = processes_.received() + threads_.received();
  status.events_per_second = rate_.per_second(counters.published, now);
  status.delivered = counters.delivered;
  status.lost = counters.lost;
  status.withheld = {.unknown_uid = counters.withheld_uid,
                     .unknown_namespace = counters.withheld_level};
  status.clients = static_cast<uint32_t>(server_->clients());
  status.refused = server_->refused();
  status.longest = {.request_ns = static_cast<int64_t>(server_->longest().request_ns),
                    .turn_ns = static_cast<int64_t>(server_->longest().turn_ns)};
  server_->for_each([&](const server::ConnectionFromClient& client) {
    if (!visible(client.peer())) return;
    status.listeners.push_back(describe(client, ns));
    if (ns != 0)
      status.listeners.back().pid =
          0;  // the daemon's pid of a client has no meaning in another pid namespace
  });
  for (const auto& [uid, account] : hub_.users().all()) {
    // In another pid namespace the same uid may be another user.
    if (!everything && (ns != 0 || uid != hub_.users().owner_of(peer->uid()))) continue;
    Status::User user;
    user.uid = uid;
    user.listeners = static_cast<uint32_t>(account.listeners);
    user.bytes = account.bytes;
    user.filters = static_cast<uint32_t>(account.values);
    user.filter_steps = account.steps;
    user.roots = static_cast<uint32_t>(account.roots);
    status.users.push_back(std::move(user));
  }
  if (const auto& report = restart_.report(); everything && report)
    status.restart = {.lost = report->lost || report->lost_threads,
                      .clients = report->clients,
                      .clients_lost = report->failed_clients,
                      .text = report->text};
  if (everything && is_journal_open())
    status.journal = describe(config_.journal, durable_->recorder());
  if (is_journal_open() && ns == 0)
    status.durable = durable_->status(everything ? std::nullopt : std::optional(peer->uid()));
  status.limits = config_.limits;
  status.memory.queue_bytes = hub_.bytes();
  // A client that may not see all users must not learn how their processes ended.
  if (everything) {
    status.exits = exits_.table();
    status.nonzero_exits = exits_.nonzero();
  }
  return status;
}

std::string Daemon::status_json() const { return to_json(status_for(nullptr)); }

std::string Daemon::status_json(const server::Peer& peer) const {
  return to_json(status_for(&peer));
}

std::string Daemon::summary() const {
  std::string text = std::string("via ") + event::via_name(processes_.feed()->via());
  if (threads_.is_open() && threads_.feed()->via() != processes_.feed()->via())
    text += std::string(" and ") + event::via_name(threads_.feed()->via());
  const size_t clients = server_->clients(), users = hub_.users().all().size();
  text += "; " + std::to_string(clients) + (clients == 1 ? " listener, " : " listeners, ");
  return text + std::to_string(users) + (users == 1 ? " user" : " users");
}

}  // namespace knell::daemon
