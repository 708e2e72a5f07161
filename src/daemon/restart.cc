// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// All or nothing: the programs, the clients and the state belong together. Descriptors that cannot
// be used are removed from the keeper.
#include "daemon/restart.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <utility>

#include "base/boot_id.h"
#include "base/duration.h"
#include "daemon/log.h"

namespace knell::daemon {
namespace {

constexpr const char* kState = "state";
constexpr const char* kClients = "client.";
// Prefixes of the names under which sources store descriptors.
constexpr std::array kOfSources{"bpf.", "netlink."};
// Memory in addition to the queues: clients, held records, and the records between two snapshots.
// Chosen, not measured; pages are allocated only when they are used.
constexpr size_t kBeside = size_t{128} << 20;

size_t room_for(const Config& config) {
  return 2 * (config.limits.memory_bytes + config.journal.queue_bytes) + kBeside;
}

// Increment with every change of a record format; the kernel's records have their own hash.
constexpr uint64_t kFormats = 3;

handover::State::Identity identity_here() {
  struct stat ns{};
  if (::stat("/proc/self/ns/pid", &ns) != 0) ns.st_ino = 0;
  return {.boot = boot_id(), .pid_ns = ns.st_ino, .build = kFormats};
}

bool is_whole(std::string_view record) {
  uint64_t whole = 0;
  if (record.size() < sizeof whole) return false;
  record.copy(reinterpret_cast<char*>(&whole), sizeof whole);
  return whole != 0;
}

}  // namespace

Restart Restart::begin(handover::Handover& handover, const Config& config) {
  Restart restart(handover, config);
  if (!handover.keeper.stores()) return restart;
  const handover::State::Identity identity = identity_here();
  handover::Keeper& keeper = handover.keeper;
  const auto is_stored = [&](const char* prefix) { return !keeper.names(prefix).empty(); };
  restart.any_ =
      keeper.has(kState) || is_stored(kClients) || std::ranges::any_of(kOfSources, is_stored);
  if (restart.any_) {
    if (auto adopted = restart.adopt(identity, room_for(config)); adopted)
      return restart;
    else
      restart.unusable_ = adopted.error().message();
    restart.clients_ = {};
    restart.processes_.records.clear();
    restart.threads_.records.clear();
    restart.numbers_.clear();
    restart.newest_ = {};
    handover.state.reset();
    keeper.drop(kState);
    keeper.drop(kClients);
    for (const char* stored : kOfSources) keeper.drop(stored);
  }
  auto made = handover::State::create(identity, room_for(config));
  if (!made) {
    log_warning("{}; a restart of knelld will lose events", made.error().message());
    return restart;
  }
  handover.state = *std::move(made);
  keeper.store(kState, handover.state->fd(), handover::Keeper::Poll::kNo);
  return restart;
}

Result<void> Restart::adopt(const handover::State::Identity& identity, size_t bytes) {
  UniqueFd fd = handover_->keeper.take(kState);
  if (!fd) return say(ESTALE, "the state of the earlier knelld is missing");
  KNELL_ASSIGN(handover_->state, handover::State::adopt(std::move(fd), identity, bytes));
  return read();
}

Result<void> Restart::read() {
  const handover::State& state = *handover_->state;
  Result<void> applied;
  KNELL_TRY(state.read([&](uint32_t kind, std::string_view payload) {
    if (kind == kNumbers) numbers_ = payload;
    if (kind == kNewest && payload.size() == sizeof newest_)
      std::memcpy(&newest_, payload.data(), sizeof newest_);
    journal_.restore(kind, payload);
    if (kind == kThreads) threads_.records.assign(1, std::string(payload));
    if (kind == kProcesses) {
      if (is_whole(payload)) processes_.records.clear();
      processes_.records.emplace_back(payload);
    }
    if (applied) applied = clients_.apply(state, kind, payload);
  }));
  KNELL_TRY(applied);
  return clients_.finish(state);
}

void Restart::finish(size_t clients, size_t failed_clients, bool threads) {
  for (const char* stored : kOfSources)
    handover_->keeper.drop(stored, handover::Keeper::Drop::kNotTaken);
  if (!any_) return;
  using Outcome = source::Kept::Outcome;
  Report report;
  report.clients = clients;
  report.failed_clients = failed_clients;
  report.lost = processes_.outcome != Outcome::kAdopted;
  report.lost_threads = threads && threads_.outcome != Outcome::kAdopted;
  if (!unusable_.empty())
    report.text = unusable_ + "; clients must reconnect";
  else if (processes_.outcome == Outcome::kNew)
    report.text =
        "the source of events could not be taken over, so the events during the restart were lost";
  else
    report.text = processes_.why;
  if (report.lost_threads) report.text += "; events of threads were lost: " + threads_.why;
  const LogLevel level = report.lost || report.lost_threads || failed_clients != 0
                             ? LogLevel::kWarning
                             : LogLevel::kInfo;
  log_at(level, "restarted: {}; {} clients stay connected, {} could not", report.text, clients,
         failed_clients);
  report_ = std::move(report);
}

void Restart::add_stop(uint64_t away_ns, size_t ended, size_t stored) {
  const std::string text = fmt::format(
      "knelld was stopped for {}, and of the processes that were alive {} ended meanwhile; the "
      "journal has {} of these exits",
      duration_text(std::chrono::nanoseconds(away_ns)), ended, stored);
  log_info("{}", text);
  if (!report_)
    report_ = Report{.lost = true, .text = text};
  else
    report_->text += "; " + text;
}

void Restart::save_newest(const Newest& newest, bool whole) {
  if (std::exchange(newest_, newest) == newest && !whole) return;
  handover_->state->append(kNewest, {reinterpret_cast<const char*>(&newest_), sizeof newest_});
}

void Restart::report_broken() {
  const bool broken = handover_->state->is_broken();
  if (std::exchange(broken_, broken) == broken) return;
  if (broken)
    log_warning(
        "the state that a restart keeps has outgrown its memory of {} MiB: until it fits again, a "
        "restart disconnects all clients and loses events; if this persists, increase [limits] "
        "memory and restart knelld",
        handover_->state->room() >> 20);
  else
    log_info("the state that a restart keeps fits into its memory again");
}

void Restart::forget() {
  clients_ = {};
  processes_.records = {};
  threads_.records = {};
  numbers_ = {};
}

}  // namespace knell::daemon
