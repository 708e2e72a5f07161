// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/tally.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <knell/knell.hpp>

#include "base/clock.h"
#include "base/nearest.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

struct KeyName {
  std::string_view name;
  Key key;
};
constexpr KeyName kKeys[] = {
    {"type", Key::kType},     {"ended", Key::kEnded},         {"comm", Key::kComm},
    {"exe", Key::kExe},       {"unit", Key::kUnit},           {"user", Key::kUser},
    {"uid", Key::kUid},       {"cgroup", Key::kCgroup},       {"pid", Key::kPid},
    {"parent", Key::kParent}, {"container", Key::kContainer},
};

std::string_view name_of(Key key) {
  for (const KeyName& k : kKeys) {
    if (k.key == key) return k.name;
  }
  return "?";
}

std::string_view title_of(Key key) {
  switch (key) {
    case Key::kType:
      return "TYPE";
    case Key::kEnded:
      return "ENDED";
    case Key::kComm:
      return "COMM";
    case Key::kExe:
      return "EXE";
    case Key::kUnit:
      return "UNIT";
    case Key::kUser:
      return "USER";
    case Key::kUid:
      return "UID";
    case Key::kCgroup:
      return "CGROUP";
    case Key::kContainer:
      return "CONTAINER";
    case Key::kParent:
      return "PARENT";
    case Key::kPid:
      return "PID";
  }
  return "?";
}

Outcome<Key> parse_key(std::string_view word) {
  std::vector<std::string_view> names;
  for (const KeyName& k : kKeys) {
    if (k.name == word) return k.key;
    names.push_back(k.name);
  }
  const std::string_view near = nearest(word, names);
  if (!near.empty())
    return usage("--by: unknown key '{}'; did you mean {}?", printable(word), near);
  return usage(
      "--by takes type, ended, comm, exe, unit, user, uid, cgroup, container, parent and pid, not "
      "'{}'",
      printable(word));
}

// Appends one value of a kind: '+' and its bytes, or '-' where it is unknown; then a NUL.
void append_value(std::string& kind, bool known, std::string_view value) {
  kind += known ? '+' : '-';
  if (known) kind += value;
  kind += '\0';
}

void append_value(std::string& kind, const knell_string& value) {
  append_value(kind, value.data != nullptr, view(value));
}

void append_value(std::string& kind, Key key, const knell_event& event) {
  switch (key) {
    case Key::kType:
      return append_value(kind, true, knell_type_name(event.type));
    case Key::kEnded:
      return append_value(kind, event.type == KNELL_EVENT_EXIT, ended(event));
    case Key::kComm:
      return append_value(kind, event.comm);
    case Key::kExe:
      return append_value(kind, event.exe);
    case Key::kUnit:
      return append_value(kind, event.unit);
    case Key::kUser:
      return append_value(kind, event.user);
    case Key::kUid:
      return append_value(kind, (event.has & KNELL_HAS_UID) != 0, fmt::to_string(event.uid));
    case Key::kCgroup:
      return append_value(kind, event.cgroup);
    case Key::kContainer:
      return append_value(kind, event.container_id);
    case Key::kParent:
      return append_value(kind, event.parent_comm);
    case Key::kPid:
      return append_value(kind, true, fmt::to_string(event.pid));
  }
}

struct Value {
  bool known;
  std::string_view bytes;
};

Value take_value(std::string_view& kind) {
  const size_t end = kind.find('\0');
  const Value value{kind.front() == '+', kind.substr(1, end - 1)};
  kind.remove_prefix(end + 1);
  return value;
}

}  // namespace

Outcome<std::vector<Key>> parse_keys(const std::vector<std::string>& lists) {
  std::vector<Key> keys;
  for (const std::string& list : lists) {
    for (size_t at = 0; at <= list.size();) {
      const size_t comma = std::min(list.find(',', at), list.size());
      KNELL_ASSIGN(const Key key, parse_key(std::string_view(list).substr(at, comma - at)));
      if (std::ranges::find(keys, key) != keys.end())
        return usage("--by names {} twice", name_of(key));
      keys.push_back(key);
      at = comma + 1;
    }
  }
  return keys;
}

void Tally::add(const knell_event& event, std::string&) {
  if (event.type == KNELL_EVENT_LOST) {
    losses_.add(event);
    return;
  }
  kind_.clear();
  for (const Key key : keys_) append_value(kind_, key, event);
  const auto found = kinds_.find(kind_);
  if (found != kinds_.end()) {
    ++found->second.total;
  } else if (kinds_.size() < limit_) {
    ++kinds_[kind_].total;
  } else {
    ++other_.total;
  }
}

std::vector<Tally::Row*> Tally::sorted() {
  std::vector<Row*> rows;
  rows.reserve(kinds_.size());
  for (Row& row : kinds_) rows.push_back(&row);
  std::ranges::sort(rows, [](const Row* a, const Row* b) {
    return a->second.total != b->second.total ? a->second.total > b->second.total
                                              : a->first < b->first;
  });
  return rows;
}

void Tally::show(std::string& out, Last last) {
  const std::vector<Row*> rows = sorted();
  if (json_) {
    show_json(out, rows, last);
  } else {
    show_table(out, rows, last);
  }
  for (Row* row : rows) row->second.shown = row->second.total;
  other_.shown = other_.total;
}

namespace {

// Shrinks the widest columns until all fit into `room`. The column ENDED keeps its width.
void shrink(std::vector<size_t>& widths, const std::vector<Key>& keys, size_t room, size_t gap) {
  constexpr size_t kLeast = 4;  // chosen, not measured: few titles are shorter
  size_t taken = (widths.size() - 1) * gap;
  for (const size_t width : widths) taken += width;
  while (taken > room) {
    size_t widest = widths.size();
    for (size_t k = 0; k < widths.size(); ++k) {
      if (keys[k] != Key::kEnded && widths[k] > kLeast &&
          (widest == widths.size() || widths[k] > widths[widest]))
        widest = k;
    }
    if (widest == widths.size()) return;
    --widths[widest];
    --taken;
  }
}

}  // namespace

// On a terminal the table overwrites the previous one; elsewhere a blank line separates them.
void Tally::show_table(std::string& out, const std::vector<Row*>& rows, Last last) {
  constexpr size_t kGap = 2;
  constexpr size_t kCounts = 8 + kGap + 7 + kGap;  // COUNT, NEW
  const bool limited = screen_.terminal;
  const size_t frame = 4;  // title, "(other)", "more below", the line of the cursor
  const size_t shown =
      limited ? std::min(rows.size(), std::max(screen_.rows, frame + 1) - frame) : rows.size();

  std::vector<size_t> widths;
  widths.reserve(keys_.size());
  for (const Key key : keys_) widths.push_back(title_of(key).size());
  std::vector<std::vector<std::string>> cells;
  for (size_t i = 0; i < shown; ++i) {
    std::string_view rest = rows[i]->first;
    auto& line = cells.emplace_back();
    for (size_t& width : widths) {
      const Value value = take_value(rest);
      line.push_back(value.known ? name_text(value.bytes) : "-");
      width = std::max(width, display_width(line.back()));
    }
  }

  if (limited) shrink(widths, keys_, screen_.columns - std::min(screen_.columns, kCounts), kGap);

  if (limited && lines_on_screen_ != 0) out += fmt::format("\033[{}A\033[J", lines_on_screen_);
  if (!limited && lines_on_screen_ != 0) out += '\n';
  lines_on_screen_ = 0;
  const auto add_line = [&](std::string line, Colour colour) {
    line.resize(line.find_last_not_of(' ') + 1);
    if (limited) line = cut(line, screen_.columns);
    paint(out, line, colour, screen_);
    out += '\n';
    ++lines_on_screen_;
  };
  std::string line = fmt::format("{:>8}  {:>7}  ", "COUNT", "NEW");
  for (size_t k = 0; k < keys_.size(); ++k)
    append_padded(line, title_of(keys_[k]), widths[k] + kGap);
  add_line(line, Colour::kBold);
  for (size_t i = 0; i < shown; ++i) {
    const Count& count = rows[i]->second;
    line = fmt::format("{:>8}  {:>7}  ", count.total, count.total - count.shown);
    for (size_t k = 0; k < keys_.size(); ++k)
      append_padded(line, limited ? cut(cells[i][k], widths[k]) : cells[i][k], widths[k] + kGap);
    add_line(line, Colour::kNone);
  }
  if (other_.total != 0) {
    add_line(fmt::format("{:>8}  {:>7}  (other)", other_.total, other_.total - other_.shown),
             Colour::kNone);
  }
  if (shown < rows.size())
    add_line(fmt::format("{:>8}  more below", rows.size() - shown), Colour::kDim);
  if (last == Last::kYes) lines_on_screen_ = 0;
}

std::string Tally::json_row(const std::string& kind) const {
  std::string out = "{";
  std::string_view rest = kind;
  for (const Key key : keys_) {
    const Value value = take_value(rest);
    const bool number = key == Key::kUid || key == Key::kPid;
    if (out.size() > 1) out += ',';
    out += fmt::format("\"{}\":", name_of(key));
    out += !value.known ? "null" : number ? std::string(value.bytes) : json_string(value.bytes);
  }
  out += '}';
  return out;
}

void Tally::show_json(std::string& out, const std::vector<Row*>& rows, Last last) const {
  const std::string time = rfc3339_text(system_clock().realtime_ns());
  const auto add_line = [&](const std::string& by, uint64_t total, uint64_t shown) {
    if (total == shown && last == Last::kNo) return;  // only the last table has unchanged rows
    out += fmt::format(R"({{"time":"{}","final":{},"by":{},"count":{},"new":{}}})", time,
                       last == Last::kYes, by, total, total - shown);
    out += '\n';
  };
  for (const Row* row : rows) add_line(json_row(row->first), row->second.total, row->second.shown);
  if (other_.total != 0) add_line("\"(other)\"", other_.total, other_.shown);
  if (last == Last::kYes && losses_.any()) {
    out +=
        fmt::format(R"({{"time":"{}","final":true,"lost":{},"exact":{}}})", time,
                    losses_.counted() ? fmt::to_string(losses_.count()) : "null", losses_.exact());
    out += '\n';
  }
}

}  // namespace knell::cli
