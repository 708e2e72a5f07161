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

#include "filter/rule.h"
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
  return bytes.empty();
}

int64_t checksum_of_row(const DurableName& name, std::string_view bytes) {
  return checksum_of_text(checksum_of_text(name.owner, name.name), bytes);
}

// Every process is under every root.
class AnyAncestry final : public filter::Ancestry {
 public:
  bool is_under(int32_t, const knell_event&) const override { return true; }
};

std::unexpected<Error> no_such_name(std::string_view name) {
  return say(ENOENT, "there is no durable listener '" + std::string(name) + "' of this user");
}

}  // namespace

Result<DurableNames::Compiled> DurableNames::compile(const DurableName& name) {
  Compiled compiled;
  KNELL_ASSIGN(compiled.predicates, filter::Predicates::create(name.predicates));
  compiled.has_roots = !compiled.predicates.needs().roots.empty();
  return compiled;
}

Result<void> DurableNames::load(Database& database) {
  std::vector<DurableName> names;
  std::vector<Compiled> all_compiled;
  KNELL_ASSIGN(insert_, database.prepare("INSERT OR REPLACE INTO durable VALUES (?,?,?,?)"));
  KNELL_ASSIGN(delete_, database.prepare("DELETE FROM durable WHERE owner=? AND name=?"));
  KNELL_ASSIGN(Statement select, database.prepare("SELECT owner, name, state, checksum FROM durable"
                                                  " ORDER BY owner, name"));
  for (;;) {
    KNELL_ASSIGN(const bool row, select.step());
    if (!row) break;
    DurableName name;
    name.owner = static_cast<uint32_t>(select.number(0));
    name.name = select.bytes(1);
    if (checksum_of_row(name, select.bytes(2)) != select.number(3) ||
        !decode(select.bytes(2), name))
      return say(EBADMSG, database.path() + ": a durable listener is damaged");
    KNELL_ASSIGN(Compiled compiled, compile(name));
    names.push_back(std::move(name));
    all_compiled.push_back(std::move(compiled));
  }
  names_ = std::move(names);
  compiled_ = std::move(all_compiled);
  return {};
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
  KNELL_ASSIGN(Compiled compiled, compile(name));
  KNELL_TRY(store(name));
  const size_t index = index_of(name.owner, name.name);
  if (index == names_.size()) {
    names_.push_back(std::move(name));
    compiled_.push_back(std::move(compiled));
  } else {
    names_[index] = std::move(name);
    compiled_[index] = std::move(compiled);
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
  compiled_.erase(compiled_.begin() + static_cast<ptrdiff_t>(index));
  return {};
}

// A lost event with what was dropped comes before all events that are left, so an acknowledgement
// of one of these covers it. An event that was deleted after it was delivered can be acknowledged,
// too: then nobody knows how many of those that were dropped came after it.
Result<void> DurableNames::acknowledge(uint32_t owner, std::string_view name, int64_t seq,
                                       int64_t oldest, int64_t now_ns) {
  const size_t index = index_of(owner, name);
  if (index == names_.size()) return no_such_name(name);
  DurableName next = names_[index];
  next.used_ns = now_ns;
  if (seq > next.acked) {
    next.acked = seq;
    if (seq + 1 >= oldest) next.dropped = next.dropped_types = 0;
    next.dropped_exact = seq + 1 >= oldest || (next.dropped_exact && next.dropped == 0);
  }
  KNELL_TRY(store(next));
  names_[index] = std::move(next);
  return {};
}

bool DurableNames::is_pending(int64_t seq) const {
  return std::ranges::any_of(names_, [&](const DurableName& name) { return name.acked < seq; });
}

// `event`: nullptr: it cannot be decoded.
void DurableNames::count(size_t index, const Record& record, const knell_event* event) {
  DurableName& name = names_[index];
  const bool lost = record.type == KNELL_EVENT_LOST;
  if (!lost &&
      !filter::passes(filter::Rule::kReleased, name.mask, record.type, record.nonzero ? 1 : 0))
    return;
  // Descent cannot be decided after the fact: an event that may match is counted.
  const auto& [predicates, has_roots] = compiled_[index];
  if (event != nullptr && !predicates.matches(*event, AnyAncestry()) &&
      !(has_roots && predicates.matches(*event, filter::NoAncestry())))
    return;
  if (lost) {
    name.dropped += event == nullptr ? 0 : event->lost_count;
    name.dropped_types |= event == nullptr ? uint32_t{KNELL_EVENT_ALL} : event->lost_types;
    name.dropped_exact = false;
    return;
  }
  ++name.dropped;
  name.dropped_types |= record.type;
  if (event == nullptr || has_roots) name.dropped_exact = false;
}

Result<void> DurableNames::on_delete_damaged(int64_t last_seq) {
  for (DurableName& name : names_) {
    if (name.acked >= last_seq) continue;
    name.dropped_exact = false;
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
      if (names_[i].acked < block.seq()) count(i, record, decoded ? &event : nullptr);
  }
  for (size_t i = 0; i < names_.size(); ++i)
    if (names_[i] != before[i]) KNELL_TRY(store(names_[i]));
  return {};
}

}  // namespace knell::journal
