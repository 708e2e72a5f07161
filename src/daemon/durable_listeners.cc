// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A durable listener is a row of the journal. Its mask and predicates are stored there, whether it
// has a connection or not. All its events, new and old ones, are read from the journal, so that
// there is one code path and one order:
//
//   event -> wants() -> Recorder -> commit -> on_ready() -> DurablePages -> on_page() -> its queue
//
//   attach() -> [commit] -> on_attached() -> { page -> in_flight -> acknowledge() -> [commit] }*
//
// While attach() waits for its answer, it is unknown whether the row has the old or the new mask
// and predicates. So the events that pass any of them are stored. The writer counts those that pass
// the row, and delivery applies the filter of the row: the other events of that time are not
// delivered. If the answer is an error, the request may have been committed nevertheless, so the
// same holds until the journal was opened again: then names_ becomes what the file has.
//
// At most one page of a connection is being read. The next one is requested only while few bytes
// wait to be sent and fewer than most_unacked events are in flight. So the memory of a connection
// is bounded.
//
// The recorder's thread handles requests that change a row, and the thread of DurablePages handles
// reads. Both report results by an eventfd; until then only the request of that client waits. If
// the client disconnects meanwhile, its request remains. So the number of requests is bounded, for
// a disk that does not answer.
//
// Events that the retention deleted before they were read are reported as a lost event. Its count
// is the count in the row, minus the deleted events that this connection has received and not yet
// acknowledged.
#include "daemon/durable_listeners.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "daemon/log.h"
#include "event/mask.h"
#include "event/printable.h"
#include "filter/rule.h"
#include "journal/cursor.h"
#include "wire/event.h"

namespace knell::daemon {
namespace {

constexpr int64_t kDayNs = int64_t{86'400} * 1'000'000'000;
constexpr int64_t kExpiryNs = 30 * kDayNs;  // chosen, not measured
constexpr int64_t kWarningNs = 3 * kDayNs;
constexpr uint64_t kCheckNs = UINT64_C(3'600'000'000'000);
constexpr size_t kMostWaiting = 4096;  // chosen, not measured

void signal_event(int event) {
  const uint64_t one = 1;
  (void)!::write(event, &one, sizeof one);
}

std::string describe(const std::pair<uint32_t, std::string>& key) {
  return "durable listener '" + key.second + "' of uid " + std::to_string(key.first);
}

}  // namespace

DurableListeners::DurableListeners(Options options, const std::vector<journal::DurableName>& names,
                                   Clock& clock)
    : options_(std::move(options)),
      clock_(clock),
      age_clock_(clock, names.empty()
                            ? INT64_MAX
                            : std::ranges::max(names, {}, &journal::DurableName::used_ns).used_ns) {
}

Result<std::unique_ptr<DurableListeners>> DurableListeners::create(
    Options options, const std::vector<journal::DurableName>& names, Clock& clock) {
  std::unique_ptr<DurableListeners> made(new DurableListeners(std::move(options), names, clock));
  made->event_ = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!made->event_) return errno_error("create an eventfd");
  made->adopt_all(names);
  // Not immediately: after a machine was off for a month, its listeners get time to connect first.
  made->check_ns_ = clock.monotonic_ns() + kCheckNs;
  return made;
}

void DurableListeners::start() {
  const auto notify = [event = event_.get()] { signal_event(event); };
  recorder_ = options_.start(notify);
  pages_ = std::make_unique<DurablePages>(options_.path, notify);
  progress_.names = std::make_shared<const std::vector<journal::DurableName>>();
}

void DurableListeners::request_stop(std::function<void()> at_end) {
  recorder_->request_stop(std::move(at_end));
  pages_->request_stop();
}

// -------------------------------------------------------------------------------- what is stored

Result<DurableListeners::Name> DurableListeners::live_name(
    const journal::DurableName& row, const std::vector<filter::Predicate>& with_under) {
  Name name;
  journal::DurableName plain = row;
  plain.exclusion = 0;
  KNELL_ASSIGN(auto filter, journal::DurableFilter::create(plain));
  name.filter = std::make_shared<const journal::DurableFilter>(std::move(filter));
  for (const filter::Predicate& one : with_under)
    if (one.key == filter::Key::kUnder)
      name.excluded_roots.push_back(
          {static_cast<int32_t>(std::get<int64_t>(one.value)), one.start});
  filter::Subscription subscription;
  subscription.mask = row.mask;
  subscription.details = row.details;
  subscription.recover = row.recover;
  KNELL_ASSIGN(const auto predicates, filter::Predicates::create(row.predicates));
  name.interest = filter::interest_of(subscription, predicates);
  if (!row.every_user) name.interest.uids = {row.owner};
  name.account = row.account;
  name.claim = {.values = hub::Filter::values_of({.predicates = row.predicates}),
                .steps = predicates.empty() ? 0 : predicates.most_steps()};
  name.exclusion = row.exclusion;
  name.details = row.details;
  name.every_user = row.every_user;
  name.recover = row.recover;
  return name;
}

// The names are those of the rows from here on, and nothing is in doubt. The processes that a
// connection excludes stay excluded.
void DurableListeners::adopt_all(const std::vector<journal::DurableName>& rows) {
  const std::map<Key, Name> before = std::exchange(names_, {});
  in_doubt_.clear();
  for (const journal::DurableName& row : rows) {
    auto name = live_name(row, {});
    if (!name) continue;
    const Key key{row.owner, row.name};
    if (const auto known = before.find(key); known != before.end())
      name->excluded_roots = known->second.excluded_roots;
    names_.emplace(key, *std::move(name));
  }
}

void DurableListeners::adopt_opened() {
  using Missed = Options::Missed;
  const std::vector<filter::Interest> before = interests();
  const auto is_new = [this](const journal::DurableName& row) {
    return !names_.contains({row.owner, row.name});
  };
  const bool missed = !opened_before_ && std::ranges::any_of(*progress_.names, is_new);
  opened_before_ = true;
  adopt_all(*progress_.names);
  if (options_.interests_changed && interests() != before)
    options_.interests_changed(missed ? Missed::kYes : Missed::kNo);
}

// Each event is tested with the filters of all names, also of those without a connection. So the
// names of a user have the same quotas as the listeners of that user, in addition to these.
Result<void> DurableListeners::may_claim(const Key& key, const Name& wanted) const {
  hub::Users::Account used{.owner = wanted.account};
  const auto add = [&](const Name& name) {
    if (name.account != wanted.account) return;
    used.values += name.claim.values;
    used.steps += name.claim.steps;
  };
  for_each_name(add);
  hub::Users::Claim less;
  if (const auto stored = names_.find(key);
      stored != names_.end() && stored->second.account == wanted.account)
    less = stored->second.claim;
  if (const auto may = options_.may_claim(used, less, wanted.claim); !may)
    return say(may.error().code,
               "all durable listeners together, also those without a connection: " +
                   may.error().message());
  return {};
}

const journal::DurableName* DurableListeners::stored_row(const Key& key) const {
  const auto row = std::ranges::find_if(*progress_.names, [&](const journal::DurableName& one) {
    return one.owner == key.first && one.name == key.second;
  });
  return row == progress_.names->end() ? nullptr : &*row;
}

DurableListeners::Wanted DurableListeners::wants(const knell_event& event,
                                                 const filter::Ancestry& ancestry) const {
  Wanted wanted;
  const auto add = [&](const Name& name) {
    if ((event.flags & KNELL_FLAG_RECOVERED) != 0 && !name.recover) return;
    if (!name.filter->wants(event, 0)) return;
    const bool excluded = event.type != KNELL_EVENT_LOST &&
                          std::ranges::any_of(name.excluded_roots, [&](const filter::Root& root) {
                            return ancestry.is_under(root, event);
                          });
    if (excluded) {
      wanted.marks |= journal::exclusion_bit(name.exclusion);
      return;
    }
    wanted.any = true;
    wanted.details = std::min(wanted.details, name.details);
  };
  for_each_name(add);
  return wanted;
}

std::vector<filter::Interest> DurableListeners::interests() const {
  std::vector<filter::Interest> all;
  for_each_name([&](const Name& name) { all.push_back(name.interest); });
  return all;
}

bool DurableListeners::has_user_scopes() const {
  bool any = false;
  for_each_name([&](const Name& name) { any = any || !name.every_user; });
  return any;
}

// ---------------------------------------------------------------------------------------- requests

DurableListeners::Attached* DurableListeners::find(const Client& client) {
  const auto found = attached_.find(&client);
  return found == attached_.end() ? nullptr : &found->second;
}

uint64_t DurableListeners::wait_for(Asked what, Client* client, Key key) {
  waiting_.emplace(++last_token_, Waiting{.what = what, .client = client, .key = std::move(key)});
  return last_token_;
}

// EIO makes the library try again later.
Result<void> DurableListeners::check_waiting() const {
  if (waiting_.size() < kMostWaiting) return {};
  return say(EIO, "the disk of the journal of knelld does not answer, and " +
                      std::to_string(kMostWaiting) + " requests wait for it; try again later");
}

Result<DurableListeners::Done> DurableListeners::attach(Client& client,
                                                        const wire::Durable& durable) {
  KNELL_TRY(journal::check_durable_name(durable.name));
  KNELL_TRY(check_waiting());
  const uint32_t uid = client.peer().uid();
  const Key key{uid, durable.name};
  Attached* const before = find(client);
  if (before != nullptr && before->key != key)
    return say(EINVAL, "subscribe: this connection is the " + describe(before->key));
  for (auto& [other, one] : attached_) {
    if (one.key != key || other == &client) continue;
    if (!one.client->has_left())
      return say(EBUSY, "the " + describe(key) + " is in use by process " +
                            std::to_string(one.client->peer().pid()) + " (" +
                            event::printable(one.client->peer().comm()) +
                            "); one process can use it at a time");
    detach(*one.client);
    break;
  }

  const hub::Filter& filter = client.listener().node()->filter;
  journal::Attach attach;
  journal::DurableName& wanted = attach.wanted;
  wanted.name = durable.name;
  wanted.owner = uid;
  wanted.account = options_.owner_of(uid);
  wanted.mask = filter::as_released(filter.subscription.rule, filter.subscription.mask);
  wanted.every_user = filter.scope.every_user;
  wanted.recover = filter.subscription.recover;
  wanted.details = filter.interest.details;
  for (const filter::Predicate& one : filter.predicates.values()) {
    if (one.key == filter::Key::kUnder)
      attach.excludes = true;
    else
      wanted.predicates.push_back(one);
  }
  attach.from = before == nullptr ? durable.from : uint32_t{KNELL_FROM_ACKNOWLEDGED};
  if (before == nullptr) attach.cursor = durable.cursor;
  attach.most_of_account =
      wanted.account == 0 ? journal::kMostDurableNames : options_.most_per_user;
  KNELL_ASSIGN(Name name, live_name(wanted, filter.predicates.values()));
  KNELL_TRY(may_claim(key, name));

  // The writer may give its bit to another name before the answer, so no further event may get it.
  if (const auto stored = names_.find(key); !attach.excludes && stored != names_.end())
    stored->second.excluded_roots.clear();

  Attached& one = attached_[&client];
  one.client = &client;
  one.key = key;
  one.most_unacked = durable.most_unacked;
  one.confirmed = one.reading = false;
  ++one.turn;
  const uint64_t token = wait_for(Asked::kAttach, &client, key);
  attaching_.emplace(token, std::move(name));
  recorder_->request({.token = token, .what = std::move(attach)});
  return Done::kLater;
}

Result<DurableListeners::Done> DurableListeners::acknowledge(Client& client,
                                                             const wire::Acknowledge& what) {
  Attached* const one = find(client);
  if (one == nullptr) return say(ENOENT, "this durable listener is now used by another connection");
  if (what.failed != 0)
    recorder_->request(
        {.token = 0,
         .what = journal::Note{
             .owner = one->key.first, .name = one->key.second, .failed = what.failed}});
  if (what.cursor.empty()) return Done::kNow;
  KNELL_TRY(check_waiting());
  const auto cursor = journal::parse_cursor(what.cursor);
  if (!cursor) return say(EINVAL, "acknowledge: the cursor is not one of an event");
  if (cursor->journal != one->journal) return journal::other_journal();
  if (cursor->seq >= one->next_seq)
    return say(ERANGE, "acknowledge: the event was not delivered by this connection");
  journal::Acknowledge request{.journal = one->journal,
                               .owner = one->key.first,
                               .name = one->key.second,
                               .seq = cursor->seq};
  for (const InFlight& event : one->in_flight) {
    if (event.what.seq > cursor->seq) {
      request.what.oldest_pending_ns = event.time_ns;
      break;
    }
    request.what.events.push_back(event.what);
  }
  if (request.what.oldest_pending_ns == 0) request.what.oldest_pending_ns = one->last_time_ns;
  one->acknowledging = cursor->seq;
  recorder_->request(
      {.token = wait_for(Asked::kAcknowledge, &client, one->key), .what = std::move(request)});
  return Done::kLater;
}

Result<DurableListeners::Done> DurableListeners::forget(Client& client,
                                                        const wire::Forget& forget) {
  const uint32_t uid = client.peer().uid();
  const Key key{forget.owner.value_or(uid), forget.name};
  if (key.first != uid && uid != 0)
    return say(EPERM, "only root may remove the durable listener of another user");
  KNELL_TRY(check_waiting());
  for (auto& [other, one] : attached_)
    if (one.key == key && !one.client->has_left())
      return say(EBUSY, "the " + describe(key) + " is in use by process " +
                            std::to_string(one.client->peer().pid()) + "; end it first");
  recorder_->request({.token = wait_for(Asked::kForget, &client, key),
                      .what = journal::Remove{.owner = key.first, .name = key.second}});
  return Done::kLater;
}

void DurableListeners::detach(Client& client) {
  for (auto& [token, waiting] : waiting_) {
    if (waiting.client != &client) continue;
    waiting.client = nullptr;
    if (const auto name = attaching_.find(token); name != attaching_.end())
      name->second.excluded_roots.clear();
  }
  const auto found = attached_.find(&client);
  if (found == attached_.end()) return;
  Attached& one = found->second;
  if (const auto name = names_.find(one.key); name != names_.end())
    name->second.excluded_roots.clear();
  if (one.confirmed)
    recorder_->request(
        {.token = 0, .what = journal::Note{.owner = one.key.first, .name = one.key.second}});
  pages_->cancel(client.id());
  attached_.erase(found);
}

void DurableListeners::resume_reading(Client& client) {
  if (Attached* const one = find(client)) read_on(*one);
}

// ----------------------------------------------------------------------------------------- answers

void DurableListeners::on_ready() {
  uint64_t count = 0;
  (void)!::read(event_.get(), &count, sizeof count);
  journal::Recorder::Progress now = recorder_->take_progress();
  std::vector<journal::Recorder::Answer> answers = std::exchange(now.answers, {});
  const bool replaced = now.id != progress_.id, opened = now.opened != progress_.opened;
  progress_ = std::move(now);
  if (replaced) on_replaced();
  for (journal::Recorder::Answer& answer : answers) on_answer(answer);
  // After the answers: those of before the failure are of earlier rows.
  if (opened) adopt_opened();
  if (auto page = pages_->take()) on_page(*page);
  for (auto& [client, one] : attached_) read_on(one);
  if (const uint64_t at = clock_.monotonic_ns(); at >= check_ns_) {
    check_ns_ = at + kCheckNs;
    expire();
  }
}

void DurableListeners::on_answer(journal::Recorder::Answer& answer) {
  const auto found = waiting_.find(answer.token);
  if (found == waiting_.end()) return;
  Waiting waiting = std::move(found->second);
  waiting_.erase(found);
  Result<journal::DurableName> row = answer.row;
  // The journal may have been replaced after it answered. Then the row of the new journal counts.
  const bool outdated = row && answer.journal != progress_.id;
  if (outdated && waiting.what == Asked::kAttach) {
    if (const journal::DurableName* now = stored_row(waiting.key))
      row = *now;
    else
      row = say(EIO, "the journal of knelld was damaged and lost this durable listener; try again");
  }
  auto attaching = attaching_.extract(answer.token);
  if (answer.in_doubt && !attaching.empty() && answer.opened == progress_.opened) {
    attaching.mapped().excluded_roots.clear();
    in_doubt_.push_back(std::move(attaching.mapped()));
  }
  if (waiting.what == Asked::kForget && row && !outdated) names_.erase(waiting.key);
  if (waiting.what == Asked::kAttach && row) {
    attaching.mapped().exclusion = row->exclusion;
    names_.insert_or_assign(waiting.key, std::move(attaching.mapped()));
  }
  if (waiting.client == nullptr) return;
  Attached* const one = find(*waiting.client);
  auto outcome = row ? Result<void>() : std::unexpected(row.error());
  if (one != nullptr && waiting.what == Asked::kAttach) {
    outcome = on_attached(*one, row);
  } else if (one != nullptr && waiting.what == Asked::kAcknowledge && row && !outdated) {
    while (!one->in_flight.empty() && one->in_flight.front().what.seq <= one->acknowledging)
      one->in_flight.pop_front();
  }
  waiting.client->finish_durable(std::move(outcome));
  options_.resume(*waiting.client);
}

// After an error, finish_durable() detaches the client.
Result<void> DurableListeners::on_attached(Attached& one, const Result<journal::DurableName>& row) {
  if (!row) return std::unexpected(row.error());
  KNELL_ASSIGN(auto filter, journal::DurableFilter::create(*row));
  one.filter = std::make_shared<const journal::DurableFilter>(std::move(filter));
  const bool first = one.journal != progress_.id;
  if (first) {
    one.journal = progress_.id;
    one.next_seq = row->acked + 1;
    one.redelivered_until = row->delivered;
    one.in_flight.clear();
  }
  one.confirmed = true;
  return {};
}

// The journal was opened, or it was damaged and moved aside. The new journal has the same names and
// begins with a lost event, so the listeners continue with that event.
void DurableListeners::on_replaced() {
  for (auto& [client, one] : attached_) {
    if (!one.confirmed) continue;
    ++one.turn;
    one.reading = false;
    one.in_flight.clear();
    one.journal = progress_.id;
    one.next_seq = 1;
    one.redelivered_until = 0;
    const journal::DurableName* const row = stored_row(one.key);
    if (row == nullptr) continue;
    if (auto filter = journal::DurableFilter::create(*row))
      one.filter = std::make_shared<const journal::DurableFilter>(*std::move(filter));
  }
}

// --------------------------------------------------------------------------------------------
// pages

void DurableListeners::read_on(Attached& one) {
  if (!one.confirmed || one.reading || one.next_seq >= progress_.next_seq) return;
  if (one.in_flight.size() >= one.most_unacked || one.client->has_too_many_answers()) return;
  one.reading = true;
  pages_->request({.client = one.client->id(),
                   .turn = one.turn,
                   .account = one.client->listener().account().owner,
                   .journal = one.journal,
                   .name = one.key.second,
                   .owner = one.key.first,
                   .from = one.next_seq,
                   .redelivered = one.redelivered_until,
                   .filter = one.filter,
                   .scope = one.client->peer().scope(),
                   .details = one.client->listener().node()->filter.subscription.details,
                   .most_events = one.most_unacked - one.in_flight.size()});
}

void DurableListeners::on_page(Page& page) {
  const auto found = std::ranges::find_if(attached_, [&](const auto& one) {
    return one.first->id() == page.client && one.second.turn == page.turn;
  });
  if (found == attached_.end() || !found->second.reading) return;
  Attached& one = found->second;
  one.reading = false;
  if (!page.outcome) {
    // The page will be requested again, and DurablePages delays it.
    if (const std::string why = page.outcome.error().message(); why != reported_)
      log_warning("cannot read the journal for the {}: {}", describe(one.key), reported_ = why);
    return;
  }
  if (page.missed) {
    on_missed(one, page);
  } else if (!page.frame.empty()) {
    for (const Page::Entry& entry : page.entries)
      one.in_flight.push_back({.what = {.seq = entry.seq}, .time_ns = entry.time_ns});
    one.last_time_ns = page.entries.back().time_ns;
    recorder_->request({.token = 0,
                        .what = journal::Note{.owner = one.key.first,
                                              .name = one.key.second,
                                              .journal = one.journal,
                                              .delivered = page.entries.back().seq,
                                              .redelivered = page.redelivered}});
    one.client->queue_frame(page.frame);
  }
  one.next_seq = page.next_seq;
  read_on(one);
}

void DurableListeners::on_missed(Attached& one, const Page& page) {
  const journal::DurableName& row = *page.missed;
  uint64_t reported = 0;
  for (const InFlight& event : one.in_flight) {
    if (event.what.seq <= row.acked) continue;
    if (event.what.deleted != 0)
      reported += event.what.deleted;
    else if (event.what.seq < page.next_seq)
      ++reported;
  }
  const uint64_t count = row.dropped - std::min(row.dropped, reported);
  if (count == 0 && row.dropped_exact) return;
  const int64_t seq = page.next_seq - 1;
  const std::string cursor = journal::text_of({.journal = one.journal, .seq = seq});
  knell_event lost{};
  lost.size = sizeof lost;
  lost.type = KNELL_EVENT_LOST;
  if (row.dropped_exact) lost.flags |= KNELL_FLAG_EXACT;
  if (count != 0) lost.has = KNELL_HAS_COUNT;
  lost.lost_count = count;
  lost.lost_types = event::types_of(row.dropped_types);
  lost.mono_ns = lost.lost_until_ns = clock_.monotonic_ns();
  lost.time_ns = lost.lost_until_time_ns = clock_.realtime_ns();
  lost.lost_from_time_ns = one.last_time_ns != 0 ? one.last_time_ns : row.created_ns;
  lost.lost_from_ns =
      lost.mono_ns - std::min(lost.mono_ns, static_cast<uint64_t>(std::max<int64_t>(
                                                lost.time_ns - lost.lost_from_time_ns, 0)));
  lost.cursor = {cursor.data(), cursor.size()};
  std::string packet;
  wire::EventFrame frame(packet);
  (void)server::add_encoded(frame, encoder_.event(lost, KNELL_DETAILS_STATUS));
  frame.finish();
  one.in_flight.push_back(
      {.what = {.seq = seq, .deleted = std::max<uint64_t>(count, 1)}, .time_ns = lost.time_ns});
  one.client->queue_frame(packet);
}

// -------------------------------------------------------------------------- expiration and status

// Removes the names that were not used for a long time.
void DurableListeners::expire() {
  const int64_t now = age_clock_.now_ns();
  for (const journal::DurableName& row : *progress_.names) {
    const Key key{row.owner, row.name};
    const bool in_use =
        std::ranges::any_of(attached_, [&](const auto& one) { return one.second.key == key; });
    const int64_t left = row.used_ns + kExpiryNs - now;
    if (in_use) {
      recorder_->request({.token = 0, .what = journal::Note{.owner = row.owner, .name = row.name}});
    } else if (left <= 0) {
      log_warning("the {} was not used for 30 days and is removed, with {} events pending",
                  describe(key), row.pending);
      recorder_->request({.token = wait_for(Asked::kForget, nullptr, key),
                          .what = journal::Remove{.owner = row.owner, .name = row.name}});
    } else if (left <= kWarningNs) {
      log_info("the {} is removed in {} hours unless it is used", describe(key),
               left / (kDayNs / 24));
    }
  }
}

std::vector<Status::Durable> DurableListeners::status(std::optional<uint32_t> uid) const {
  std::vector<Status::Durable> all;
  for (const journal::DurableName& row : *progress_.names) {
    if (uid && row.owner != *uid) continue;
    Status::Durable one;
    one.name = row.name;
    one.uid = row.owner;
    one.mask = row.mask;
    one.predicates = filter::text_of(row.predicates, Status::kMostPredicatesText);
    one.cursor = journal::text_of({.journal = progress_.id, .seq = row.acked});
    one.pending = row.pending;
    one.pending_exact = row.pending_exact;
    if (row.pending != 0) one.oldest_ns = row.oldest_pending_ns;
    one.redelivered = row.redelivered;
    one.failed = row.failed;
    one.dropped = row.dropped;
    one.dropped_exact = row.dropped_exact;
    one.used_ns = row.used_ns;
    one.expires_ns = row.used_ns + kExpiryNs;
    for (const auto& [client, attached] : attached_) {
      if (attached.key != Key{row.owner, row.name}) continue;
      one.pid = client->peer().pid();
      one.in_flight = attached.in_flight.size();
      one.expires_ns.reset();
    }
    all.push_back(std::move(one));
  }
  return all;
}

}  // namespace knell::daemon
