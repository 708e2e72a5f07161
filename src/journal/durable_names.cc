// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A row has the name and its owner, and one value with the rest: numbers of variable length, then
// the predicates. So one checksum covers all of it.
#include "journal/durable_names.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <variant>

#include "journal/varint.h"

namespace knell::journal {
namespace {

enum class Kind : uint8_t { kNumber, kText, kEnded };

void append(std::string& out, uint64_t value) {
  std::array<char, kMostVarint> digits;
  out.append(digits.data(), put_varint(digits.data(), value));
}

void append(std::string& out, const filter::Predicate& predicate) {
  append(out, static_cast<uint64_t>(predicate.key));
  append(out, predicate.excluded ? 1 : 0);
  if (const auto* number = std::get_if<int64_t>(&predicate.value)) {
    append(out, static_cast<uint64_t>(Kind::kNumber));
    append(out, zigzag(*number));
  } else if (const auto* text = std::get_if<std::string>(&predicate.value)) {
    append(out, static_cast<uint64_t>(Kind::kText));
    append(out, text->size());
    out += *text;
  } else {
    const auto& ended = std::get<filter::Ended>(predicate.value);
    append(out, static_cast<uint64_t>(Kind::kEnded));
    append(out, static_cast<uint64_t>(ended.kind));
    append(out, ended.first);
    append(out, ended.last);
  }
}

bool take_predicate(std::string_view& bytes, filter::Predicate& predicate) {
  uint64_t key = 0, excluded = 0, kind = 0, value = 0, first = 0, last = 0;
  if (!take_varint(bytes, key) || !take_varint(bytes, excluded) || !take_varint(bytes, kind) ||
      !take_varint(bytes, value))
    return false;
  predicate.key = static_cast<filter::Key>(key);
  predicate.excluded = excluded != 0;
  switch (static_cast<Kind>(kind)) {
    case Kind::kNumber:
      predicate.value = unzigzag(value);
      return true;
    case Kind::kText:
      if (value > bytes.size()) return false;
      predicate.value = std::string(bytes.substr(0, value));
      bytes.remove_prefix(value);
      return true;
    case Kind::kEnded:
      if (!take_varint(bytes, first) || !take_varint(bytes, last)) return false;
      predicate.value = filter::Ended{.kind = static_cast<filter::Ended::Kind>(value),
                                      .first = static_cast<uint16_t>(first),
                                      .last = static_cast<uint16_t>(last)};
      return true;
  }
  return false;
}

std::string encode(const DurableName& name) {
  std::string out;
  append(out, name.mask);
  append(out, static_cast<uint64_t>(name.acked));
  append(out, zigzag(name.created_ns));
  append(out, zigzag(name.used_ns));
  append(out, name.dropped);
  append(out, name.dropped_types);
  append(out, name.dropped_exact ? 1 : 0);
  append(out, name.predicates.size());
  for (const filter::Predicate& predicate : name.predicates) append(out, predicate);
  append(out, name.account);
  append(out, name.details);
  append(out, name.every_user ? 1 : 0);
  append(out, name.recover ? 1 : 0);
  append(out, name.exclusion);
  append(out, static_cast<uint64_t>(name.excluded_since));
  append(out, static_cast<uint64_t>(name.delivered));
  append(out, name.pending);
  append(out, name.pending_exact ? 1 : 0);
  append(out, zigzag(name.oldest_pending_ns));
  append(out, name.redelivered);
  append(out, name.failed);
  return out;
}

bool decode(std::string_view bytes, DurableName& name) {
  uint64_t mask = 0, acked = 0, created = 0, used = 0, types = 0, exact = 0, count = 0;
  if (!take_varint(bytes, mask) || !take_varint(bytes, acked) || !take_varint(bytes, created) ||
      !take_varint(bytes, used) || !take_varint(bytes, name.dropped) ||
      !take_varint(bytes, types) || !take_varint(bytes, exact) || !take_varint(bytes, count))
    return false;
  name.mask = static_cast<uint32_t>(mask);
  name.acked = static_cast<int64_t>(acked);
  name.created_ns = unzigzag(created);
  name.used_ns = unzigzag(used);
  name.dropped_types = static_cast<uint32_t>(types);
  name.dropped_exact = exact != 0;
  for (; count > 0; --count) {
    filter::Predicate predicate;
    if (!take_predicate(bytes, predicate)) return false;
    name.predicates.push_back(std::move(predicate));
  }
  uint64_t account = 0, details = 0, every_user = 0, recover = 0, exclusion = 0, since = 0,
           delivered = 0, pending_exact = 0, oldest = 0;
  if (!take_varint(bytes, account) || !take_varint(bytes, details) ||
      !take_varint(bytes, every_user) || !take_varint(bytes, recover) ||
      !take_varint(bytes, exclusion) || !take_varint(bytes, since) ||
      !take_varint(bytes, delivered) || !take_varint(bytes, name.pending) ||
      !take_varint(bytes, pending_exact) || !take_varint(bytes, oldest) ||
      !take_varint(bytes, name.redelivered) || !take_varint(bytes, name.failed))
    return false;
  name.account = static_cast<uint32_t>(account);
  name.details = static_cast<uint32_t>(details);
  name.every_user = every_user != 0;
  name.recover = recover != 0;
  name.exclusion = static_cast<uint32_t>(exclusion);
  name.excluded_since = static_cast<int64_t>(since);
  name.delivered = static_cast<int64_t>(delivered);
  name.pending_exact = pending_exact != 0;
  name.oldest_pending_ns = unzigzag(oldest);
  return bytes.empty() && name.exclusion <= kMostExclusions;
}

int64_t checksum_of_row(const DurableName& name, std::string_view bytes) {
  return checksum_of_text(checksum_of_text(name.owner, name.name), bytes);
}

std::unexpected<Error> no_such_name(std::string_view name) {
  return say(ENOENT, "there is no durable listener '" + std::string(name) + "' of this user");
}

}  // namespace

Result<void> DurableNames::load(Database& database) {
  KNELL_ASSIGN(insert_, database.prepare("INSERT OR REPLACE INTO durable VALUES (?,?,?,?)"));
  KNELL_ASSIGN(delete_, database.prepare("DELETE FROM durable WHERE owner=? AND name=?"));
  KNELL_ASSIGN(const int64_t rows, database.number("SELECT count(*) FROM durable"));
  KNELL_ASSIGN(std::vector<DurableName> names, read_intact(database));
  if (static_cast<int64_t>(names.size()) != rows)
    return say(EBADMSG, database.path() + ": a durable listener is damaged");
  std::vector<DurableFilter> filters;
  for (const DurableName& name : names) {
    KNELL_ASSIGN(DurableFilter filter, DurableFilter::create(name));
    filters.push_back(std::move(filter));
  }
  changed_.assign(names.size(), false);
  names_ = std::move(names);
  filters_ = std::move(filters);
  return {};
}

Result<std::vector<DurableName>> DurableNames::read_intact(Database& database) {
  std::vector<DurableName> names;
  KNELL_ASSIGN(Statement select, database.prepare("SELECT owner, name, state, checksum FROM durable"
                                                  " ORDER BY owner, name"));
  for (;;) {
    KNELL_ASSIGN(const bool row, select.step());
    if (!row) return names;
    DurableName name;
    name.owner = static_cast<uint32_t>(select.number(0));
    name.name = select.bytes(1);
    if (checksum_of_row(name, select.bytes(2)) == select.number(3) && decode(select.bytes(2), name))
      names.push_back(std::move(name));
  }
}

size_t DurableNames::index_of(uint32_t owner, std::string_view name) const {
  const auto at = std::ranges::find_if(
      names_, [&](const DurableName& one) { return one.owner == owner && one.name == name; });
  return static_cast<size_t>(at - names_.begin());
}

const DurableName* DurableNames::find(uint32_t owner, std::string_view name) const {
  const size_t index = index_of(owner, name);
  return index == names_.size() ? nullptr : &names_[index];
}

Result<void> DurableNames::store(const DurableName& name) {
  const std::string state = encode(name);
  insert_.bind(1, name.owner);
  insert_.bind(2, name.name);
  insert_.bind(3, state);
  insert_.bind(4, checksum_of_row(name, state));
  return insert_.run();
}

Result<void> DurableNames::put(DurableName name) {
  KNELL_ASSIGN(DurableFilter filter, DurableFilter::create(name));
  KNELL_TRY(store(name));
  const size_t index = index_of(name.owner, name.name);
  if (index == names_.size()) {
    names_.push_back(std::move(name));
    filters_.push_back(std::move(filter));
    changed_.push_back(false);
  } else {
    names_[index] = std::move(name);
    filters_[index] = std::move(filter);
    changed_[index] = false;
  }
  return {};
}

Result<void> DurableNames::remove(uint32_t owner, std::string_view name) {
  const size_t index = index_of(owner, name);
  if (index == names_.size()) return no_such_name(name);
  delete_.bind(1, owner);
  delete_.bind(2, name);
  KNELL_TRY(delete_.run());
  names_.erase(names_.begin() + static_cast<ptrdiff_t>(index));
  filters_.erase(filters_.begin() + static_cast<ptrdiff_t>(index));
  changed_.erase(changed_.begin() + static_cast<ptrdiff_t>(index));
  return {};
}

// The lost event that counts the dropped events is delivered before all remaining events, so the
// acknowledgement of a remaining event covers it. An event that was deleted after its delivery can
// be acknowledged, too: then `what` has the number of dropped events that are acknowledged. Without
// that number the count is not exact.
Result<void> DurableNames::acknowledge(uint32_t owner, std::string_view name, int64_t seq,
                                       Range journal, int64_t now_ns, const Acknowledged& what) {
  const size_t index = index_of(owner, name);
  if (index == names_.size()) return no_such_name(name);
  DurableName next = names_[index];
  next.used_ns = now_ns;
  if (seq > next.acked) {
    uint64_t done = 0, deleted = 0;
    for (const Settled& one : what.events) {
      if (one.deleted == 0 && one.seq >= journal.oldest) ++done;
      if (one.deleted == 0 && one.seq < journal.oldest) ++deleted;
      deleted += one.deleted;
    }
    next.acked = seq;
    if (seq + 1 >= journal.oldest) {
      next.dropped = next.dropped_types = 0;
      next.dropped_exact = true;
    } else if (what.events.empty()) {
      next.dropped_exact = next.dropped_exact && next.dropped == 0;
    } else {
      next.dropped -= std::min(next.dropped, deleted);
    }
    next.pending -= std::min(next.pending, done);
    if (what.events.empty() && next.pending != 0) next.pending_exact = false;
    if (what.oldest_pending_ns != 0) next.oldest_pending_ns = what.oldest_pending_ns;
    if (seq >= journal.newest) {
      next.pending = 0;
      next.pending_exact = true;
    }
    if (next.pending == 0) next.oldest_pending_ns = 0;
  }
  KNELL_TRY(store(next));
  names_[index] = std::move(next);
  changed_[index] = false;
  return {};
}

void DurableNames::on_append(const knell_event& event, int64_t seq) {
  for (size_t i = 0; i < names_.size(); ++i) {
    DurableName& name = names_[i];
    if (name.acked >= seq || !filters_[i].wants(event, seq)) continue;
    if (name.pending++ == 0) name.oldest_pending_ns = event.time_ns;
    changed_[i] = true;
  }
}

Result<void> DurableNames::flush() {
  for (size_t i = 0; i < names_.size(); ++i) {
    if (!changed_[i]) continue;
    KNELL_TRY(store(names_[i]));
    changed_[i] = false;
  }
  return {};
}

bool DurableNames::is_pending(int64_t seq) const {
  return std::ranges::any_of(names_, [&](const DurableName& name) { return name.acked < seq; });
}

// `event`: nullptr: it cannot be decoded.
void DurableNames::count(size_t index, const Record& record, int64_t seq,
                         const knell_event* event) {
  DurableName& name = names_[index];
  const bool lost = record.type == KNELL_EVENT_LOST;
  const DurableFilter& filter = filters_[index];
  if (event != nullptr ? !filter.wants(*event, seq) : !lost && !filter.may_want(record)) return;
  name.pending -= std::min<uint64_t>(name.pending, 1);
  if (lost) {
    name.dropped += event == nullptr ? 0 : event->lost_count;
    name.dropped_types |= event == nullptr ? uint32_t{KNELL_EVENT_ALL} : event->lost_types;
    name.dropped_exact = false;
    return;
  }
  ++name.dropped;
  name.dropped_types |= record.type;
  if (event == nullptr) name.dropped_exact = false;
}

Result<void> DurableNames::on_delete_damaged(int64_t last_seq) {
  for (DurableName& name : names_) {
    if (name.acked >= last_seq) continue;
    name.dropped_exact = name.pending_exact = false;
    name.dropped_types |= KNELL_EVENT_ALL;
    KNELL_TRY(store(name));
  }
  return {};
}

Result<void> DurableNames::on_delete(BlockReader& block, const Decode& decode) {
  const std::vector<DurableName> before = names_;
  knell_event event;
  for (Record record; block.next(record);) {
    if (!is_pending(block.seq())) continue;
    const bool decoded = decode(record, event);
    for (size_t i = 0; i < names_.size(); ++i)
      if (names_[i].acked < block.seq()) count(i, record, block.seq(), decoded ? &event : nullptr);
  }
  for (size_t i = 0; i < names_.size(); ++i)
    if (names_[i] != before[i]) changed_[i] = true;
  return flush();
}

}  // namespace knell::journal
