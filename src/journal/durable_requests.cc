// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/durable_requests.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "journal/cursor.h"

namespace knell::journal {
namespace {

constexpr std::string_view kChoices =
    "; choose where to begin: \"oldest\", \"newest\", or a cursor of this journal";

Result<int64_t> seq_of_cursor(const std::string& text, const Store& store) {
  const auto cursor = parse_cursor(text);
  if (!cursor)
    return say(EINVAL, "'" + text.substr(0, kMostCursorBytes) +
                           "' is not a cursor: it looks like k1:JOURNAL:NUMBER");
  if (cursor->journal != store.id())
    return say(ESTALE, "the cursor is of another journal (" + cursor->journal +
                           "); that of knelld is now " + store.id() + std::string(kChoices));
  if (cursor->seq >= store.next_seq())
    return say(ERANGE, "the cursor is of event " + std::to_string(cursor->seq) +
                           ", but the newest event of the journal is " +
                           std::to_string(store.next_seq() - 1) + std::string(kChoices));
  return cursor->seq;
}

Result<void> check_count(const Attach& attach, const DurableNames& names) {
  if (names.all().size() >= kMostDurableNames)
    return say(EUSERS, "there are " + std::to_string(kMostDurableNames) +
                           " durable listeners, the most that the journal can have; `knell durable "
                           "rm NAME` removes one");
  const auto own = static_cast<size_t>(
      std::ranges::count(names.all(), attach.wanted.account, &DurableName::account));
  if (own < attach.most_of_account) return {};
  return say(EDQUOT, "this user has " + std::to_string(own) +
                         " durable listeners, and may not have more; `knell durable rm NAME` "
                         "removes one (limits.durable_per_user in knelld.toml)");
}

// An exclusion bit that no other name uses.
Result<uint32_t> free_exclusion(const DurableNames& names) {
  std::array<bool, kMostExclusions + 1> used{};
  for (const DurableName& name : names.all()) used.at(name.exclusion) = true;
  for (uint32_t i = 1; i <= kMostExclusions; ++i)
    if (!used.at(i)) return i;
  return say(EUSERS, "there are " + std::to_string(kMostExclusions) +
                         " durable listeners that exclude processes by `under`, as `knell watch "
                         "--exec` does; `knell durable rm NAME` removes one");
}

// Moves the name to its start position.
Result<void> place(const Attach& attach, bool is_new, const Store& store, DurableName& name) {
  const int64_t newest = store.next_seq() - 1;
  int64_t acked = newest;
  if (!attach.cursor.empty()) {
    KNELL_ASSIGN(acked, seq_of_cursor(attach.cursor, store));
  } else if (attach.from == KNELL_FROM_OLDEST) {
    acked = store.oldest_seq() - 1;
  } else if (attach.from == KNELL_FROM_ACKNOWLEDGED && !is_new) {
    return {};
  }
  if (!is_new && acked == name.acked) return {};
  const bool forward = !is_new && acked > name.acked;
  // Events after this position that the retention has deleted are known as far as they were counted
  // for this name.
  const int64_t deleted = store.oldest_seq() - 1 - acked;
  if (deleted <= 0) {
    name.dropped = name.dropped_types = 0;
    name.dropped_exact = true;
  } else {
    name.dropped_exact = false;
    if (!forward) name.dropped = static_cast<uint64_t>(deleted);
    name.dropped_types = name.mask;
  }
  name.acked = acked;
  if (!forward) name.delivered = acked;
  name.pending = static_cast<uint64_t>(newest - std::max(acked, store.oldest_seq() - 1));
  name.pending_exact = name.pending == 0;
  name.oldest_pending_ns = name.pending == 0 ? 0 : store.oldest_ns();
  return {};
}

Result<DurableName> do_attach(const Attach& attach, Store& store, int64_t now_ns) {
  KNELL_TRY(check_durable_name(attach.wanted.name));
  const DurableName* known = store.names().find(attach.wanted.owner, attach.wanted.name);
  if (known == nullptr) KNELL_TRY(check_count(attach, store.names()));
  DurableName name = known != nullptr ? *known : attach.wanted;
  if (known == nullptr) name.created_ns = now_ns;
  const bool same = known != nullptr && known->mask == attach.wanted.mask &&
                    known->predicates == attach.wanted.predicates &&
                    known->every_user == attach.wanted.every_user;
  name.mask = attach.wanted.mask;
  name.predicates = attach.wanted.predicates;
  name.details = attach.wanted.details;
  name.every_user = attach.wanted.every_user;
  name.recover = attach.wanted.recover;
  name.used_ns = now_ns;
  if (attach.excludes && name.exclusion == 0) {
    KNELL_ASSIGN(name.exclusion, free_exclusion(store.names()));
    name.excluded_since = store.next_seq();
  } else if (!attach.excludes) {
    name.exclusion = 0;
  }
  KNELL_TRY(place(attach, known == nullptr, store, name));
  if (known != nullptr && !same && name.acked < store.next_seq() - 1) {
    // Other events are pending for it now; all events are the upper bound.
    name.pending =
        static_cast<uint64_t>(store.next_seq() - 1 - std::max(name.acked, store.oldest_seq() - 1));
    name.pending_exact = false;
    if (name.oldest_pending_ns == 0) name.oldest_pending_ns = store.oldest_ns();
  }
  KNELL_TRY(store.put(name));
  return name;
}

Result<DurableName> row_of(const Store& store, uint32_t owner, const std::string& name) {
  const DurableName* found = store.names().find(owner, name);
  if (found == nullptr)
    return say(ENOENT, "there is no durable listener '" + name +
                           "' of this user; `knell durable` "
                           "lists them");
  return *found;
}

std::pair<uint32_t, std::string_view> name_of(const DurableRequest& request) {
  if (const auto* attach = std::get_if<Attach>(&request.what))
    return {attach->wanted.owner, attach->wanted.name};
  if (const auto* remove = std::get_if<Remove>(&request.what)) return {remove->owner, remove->name};
  if (const auto* done = std::get_if<Acknowledge>(&request.what)) return {done->owner, done->name};
  const auto& note = std::get<Note>(request.what);
  return {note.owner, note.name};
}

}  // namespace

bool merge_note(const DurableRequest& request, std::vector<DurableRequest>& waiting) {
  const auto* note = std::get_if<Note>(&request.what);
  if (note == nullptr) return false;
  const auto last = std::ranges::find(waiting.rbegin(), waiting.rend(), name_of(request), name_of);
  if (last == waiting.rend()) return false;
  auto* before = std::get_if<Note>(&last->what);
  if (before == nullptr) return false;
  if (before->journal.empty()) before->journal = note->journal;
  if (!note->journal.empty() && note->journal != before->journal) return false;
  before->delivered = std::max(before->delivered, note->delivered);
  before->redelivered += note->redelivered;
  before->failed += note->failed;
  return true;
}

std::unexpected<Error> other_journal() {
  return say(ESTALE, "acknowledge: the event is of a journal that was replaced");
}

bool is_refusal(const Error& error) {
  switch (error.code) {
    case ENOENT:
    case EDQUOT:
    case EINVAL:
    case ESTALE:
    case ERANGE:
    case EUSERS:
      return true;
    default:
      return false;
  }
}

Result<DurableName> apply(const DurableRequest& request, Store& store, int64_t now_ns) {
  if (const auto* attach = std::get_if<Attach>(&request.what))
    return do_attach(*attach, store, now_ns);
  if (const auto* remove = std::get_if<Remove>(&request.what)) {
    KNELL_ASSIGN(DurableName row, row_of(store, remove->owner, remove->name));
    KNELL_TRY(store.remove(remove->owner, remove->name));
    return row;
  }
  if (const auto* acknowledge = std::get_if<Acknowledge>(&request.what)) {
    if (acknowledge->journal != store.id()) return other_journal();
    KNELL_TRY(row_of(store, acknowledge->owner, acknowledge->name));
    KNELL_TRY(store.acknowledge(acknowledge->owner, acknowledge->name, acknowledge->seq,
                                acknowledge->what));
    return row_of(store, acknowledge->owner, acknowledge->name);
  }
  const auto& note = std::get<Note>(request.what);
  KNELL_ASSIGN(DurableName row, row_of(store, note.owner, note.name));
  if (note.journal == store.id()) row.delivered = std::max(row.delivered, note.delivered);
  row.redelivered += note.redelivered;
  row.failed += note.failed;
  row.used_ns = now_ns;
  KNELL_TRY(store.put(row));
  return row;
}

}  // namespace knell::journal
