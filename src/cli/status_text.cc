// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/status_text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pwd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include "base/duration.h"
#include "base/numbers.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

constexpr size_t kMostExits = 5;  // chosen, not measured: they fit into a line

std::string user_text(const JsonValue& of) {
  if (const std::string name = of["user"].text(); !name.empty()) return printable(name);
  const auto uid = static_cast<uid_t>(of["uid"].count());
  const passwd* const entry = ::getpwuid(uid);
  return entry != nullptr ? printable(std::string_view(entry->pw_name)) : fmt::format("{}", uid);
}

// "9.8M": rounded for display; size_text() is exact.
std::string bytes_text(uint64_t bytes) {
  constexpr std::string_view kUnits = "KMGT";
  if (bytes < 1024) return fmt::format("{}", bytes);
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return value < 10 ? fmt::format("{:.1f}{}", value, kUnits[unit])
                    : fmt::format("{:.0f}{}", value, kUnits[unit]);
}

std::string uptime_text(const JsonValue& status) {
  const double seconds = std::clamp(status["uptime_s"].real().value_or(0), 0.0, 1e9);
  return duration_text(std::chrono::seconds(static_cast<int64_t>(seconds)));
}

void append_source(std::string& out, const JsonValue& source) {
  const std::string name = printable(source["name"].text());
  if (!source["used"].is_true()) {
    out += fmt::format("not used: {}: {}\n", name, printable(source["why"].text()));
    return;
  }
  const auto lost = source["lost"].number();
  out += fmt::format("via {} ({}): {}; {} received, {} lost", name, printable(source["why"].text()),
                     printable(source["types"].text()), source["received"].count(),
                     lost ? fmt::format("{}", *lost) : "some");
  std::string by_types;
  for (const JsonValue* one : source["lost_by_types"].items()) {
    by_types += fmt::format("{}{} {}", by_types.empty() ? "" : "; ",
                            printable((*one)["types"].text()), (*one)["lost"].count());
  }
  if (!by_types.empty()) out += fmt::format(" ({})", by_types);
  if (source["recovered"].count() != 0)
    out += fmt::format(", {} recovered", source["recovered"].count());
  if (source["repairs"].count() != 0)
    out += fmt::format(", repaired {} times", source["repairs"].count());
  out += fmt::format("; buffer {}\n", bytes_text(source["buffer_bytes"].count()));
}

void append_counters(std::string& out, const JsonValue& status) {
  out += fmt::format("{} events", status["events"].count());
  if (const auto rate = status["events_per_second"].real())
    out += fmt::format(", {:.1f} a second", *rate);
  out += fmt::format("; {} delivered, {} lost by slow listeners\n", status["delivered"].count(),
                     status["lost"].count());
  const uint64_t uid = status["withheld"]["unknown_uid"].count();
  const uint64_t ns = status["withheld"]["unknown_namespace"].count();
  if (uid + ns != 0) {
    out += fmt::format("withheld: {} events of unknown users, {} of unknown pid namespaces\n", uid,
                       ns);
  }
  const JsonValue& memory = status["memory"];
  out += fmt::format(
      "queues {} of {}; resident memory {}\n", bytes_text(memory["queue_bytes"].count()),
      size_text(status["limits"]["memory_bytes"].count()), bytes_text(memory["rss_bytes"].count()));
}

void append_exits(std::string& out, const JsonValue& status) {
  const uint64_t all = status["nonzero_exits"].count();
  if (all == 0) return;
  std::vector<std::string> most;
  for (const JsonValue* exits : status["exits"].items()) {
    if (most.size() == kMostExits) break;
    const std::string unit = (*exits)["unit"].text();
    most.push_back(fmt::format("{}{}{} {}", printable((*exits)["ended"].text()),
                               unit.empty() ? "" : " ", printable(unit),
                               (*exits)["count"].count()));
  }
  out += fmt::format("{} non-zero exits; most: {}\n", all, fmt::join(most, ", "));
}

void append_journal(std::string& out, const JsonValue& status) {
  const JsonValue& journal = status["journal"];
  const std::string path = journal["path"].text();
  if (path.empty()) return;
  out += fmt::format("journal {}: ", printable(path));
  if (const std::string problem = journal["problem"].text(); !problem.empty())
    out += fmt::format("{}: {}; ", printable(journal["state"].text()), printable(problem));
  const uint64_t next = journal["next_seq"].count(), oldest = journal["oldest_seq"].count();
  out += fmt::format("{} events", next > oldest ? next - oldest : 0);
  if (const std::string since = journal["oldest"].text(); !since.empty())
    out += fmt::format(" since {}", printable(since));
  if (const uint64_t queued = journal["queued_bytes"].count(); queued != 0)
    out += fmt::format(", {} wait to be written", bytes_text(queued));
  out += fmt::format(", {}; {} lost by a full queue, {} by the disk\n",
                     bytes_text(journal["bytes"].count()), journal["lost_queue"].count(),
                     journal["lost_disk"].count());
}

void append_restart(std::string& out, const JsonValue& status) {
  const JsonValue& restart = status["restart"];
  const std::string text = restart["text"].text();
  if (text.empty()) return;
  out += fmt::format("last restart: {}; {} clients stayed connected", printable(text),
                     restart["clients"].count());
  if (const uint64_t lost = restart["clients_lost"].count(); lost > 0)
    out += fmt::format(", {} had to connect again", lost);
  out += '\n';
}

using Row = std::vector<std::string>;

// Aligns rows of equal size as columns; the first row has the titles. Omits the last column if it
// is empty in all other rows.
void append_rows(std::string& out, const std::vector<Row>& rows, const Screen& screen) {
  const bool has_last =
      std::any_of(rows.begin() + 1, rows.end(), [](const Row& row) { return !row.back().empty(); });
  const size_t columns = rows.front().size() - (has_last ? 0 : 1);
  std::vector<size_t> widths(columns);
  for (const Row& row : rows)
    for (size_t i = 0; i < columns; ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  for (const Row& row : rows) {
    std::string line;
    for (size_t i = 0; i < columns; ++i)
      append_padded(line, row[i], i + 1 < columns ? widths[i] + 2 : 0);
    while (line.ends_with(' ')) line.pop_back();
    out += screen.columns == 0 ? line : cut(line, screen.columns);
    out += '\n';
  }
}

const Row kTitles{"ID",        "PID",  "USER",   "COMMAND", "PROTOCOL", "EVENTS",
                  "DELIVERED", "LOST", "QUEUED", "SEES",    "FILTER"};

Row row_of(const JsonValue& listener) {
  const std::string mask = listener["mask"].text();
  std::string protocol = printable(listener["protocol"].text());
  if (const std::string level = listener["level"].text(); level == "raw" && protocol != "compat")
    protocol += " raw";
  return {fmt::format("{}", listener["id"].count()),
          fmt::format("{}", listener["pid"].count()),
          user_text(listener),
          printable(listener["comm"].text()),
          protocol,
          printable(mask),
          fmt::format("{}", listener["delivered"].count()),
          fmt::format("{}", listener["lost"].count()),
          bytes_text(listener["queued_bytes"].count()),
          printable(listener["scope"].text()),
          printable(listener["predicates"].text())};
}

void append_listeners(std::string& out, const JsonValue& status, const Screen& screen) {
  std::vector<const JsonValue*> listeners = status["listeners"].items();
  // A client without a subscription is not a listener, for example the client that requests this
  // status.
  std::erase_if(listeners, [](const JsonValue* one) { return (*one)["mask"].text() == "none"; });
  if (listeners.empty()) {
    out += "no listeners\n";
    return;
  }
  // Listeners with equal values are sorted by id, so that the order is stable.
  std::ranges::sort(listeners, [](const JsonValue* a, const JsonValue* b) {
    const auto key = [](const JsonValue& one) {
      return std::pair(UINT64_MAX - one["delivered"].count(), one["id"].count());
    };
    return key(*a) < key(*b);
  });
  std::vector<Row> rows{kTitles};
  for (const JsonValue* listener : listeners) rows.push_back(row_of(*listener));
  out += '\n';
  append_rows(out, rows, screen);
}

// "2026-11-23T06:00:00.123456789Z" without fractions of a second.
std::string short_time(const std::string& time) {
  const std::string shown = printable(time);
  return shown.size() > 19 ? shown.substr(0, 19) + "Z" : shown;
}

const Row kDurableTitles{"NAME",   "USER",    "PID",         "EVENTS",  "PENDING", "OLDEST",
                         "FAILED", "DROPPED", "REDELIVERED", "EXPIRES", "FILTER"};

Row durable_row_of(const JsonValue& one) {
  const auto at_most = [&](const char* key, const char* exact) {
    return fmt::format("{}{}", one[exact].is_true() ? "" : "<=", one[key].count());
  };
  const std::string oldest = one["oldest_pending"].text(), expires = one["expires"].text();
  return {printable(one["name"].text()),
          user_text(one),
          one["pid"].count() == 0 ? "-" : fmt::format("{}", one["pid"].count()),
          printable(one["events"].text()),
          at_most("pending", "pending_exact"),
          oldest.empty() ? "-" : short_time(oldest),
          fmt::format("{}", one["failed"].count()),
          at_most("dropped", "dropped_exact"),
          fmt::format("{}", one["redelivered"].count()),
          expires.empty() ? "-" : short_time(expires),
          printable(one["predicates"].text())};
}

}  // namespace

void append_status_table(std::string& out, const JsonValue& status, const Screen& screen) {
  out +=
      fmt::format("knelld {}, up {}, pid {}, {}\n", printable(status["version"].text()),
                  uptime_text(status), status["pid"].count(), printable(status["kernel"].text()));
  for (const JsonValue* source : status["sources"].items()) append_source(out, *source);
  append_counters(out, status);
  append_exits(out, status);
  append_journal(out, status);
  append_restart(out, status);
  append_listeners(out, status, screen);
  if (status["durable"].items().empty()) return;
  out += "\ndurable listeners\n";
  append_durable_table(out, status, screen);
}

void append_durable_table(std::string& out, const JsonValue& status, const Screen& screen) {
  std::vector<Row> rows{kDurableTitles};
  for (const JsonValue* one : status["durable"].items()) rows.push_back(durable_row_of(*one));
  if (rows.size() == 1)
    out += "no durable listeners\n";
  else
    append_rows(out, rows, screen);
}

void append_json_elements(std::string& out, std::string_view json, std::string_view key) {
  const std::string_view array = json_member(json, key);
  size_t depth = 0;
  bool in_text = false;
  for (size_t i = 0; i < array.size(); ++i) {
    const char c = array[i];
    if (in_text) {
      out += c;
      if (c == '\\' && i + 1 < array.size()) out += array[++i];
      in_text = c != '"';
      continue;
    }
    if (c == '{') ++depth;
    if (depth != 0) out += c;
    in_text = c == '"';
    if (c == '}' && --depth == 0) out += '\n';
  }
}

}  // namespace knell::cli
