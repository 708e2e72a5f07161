// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/status.h"

#include <fmt/format.h>
#include <knell/knell.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <array>
#include <cmath>
#include <concepts>
#include <ctime>
#include <fstream>
#include <string_view>

#include "event/json_text.h"
#include "event/mask.h"

namespace knell::daemon {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

std::string rfc3339(int64_t time_ns) {
  const auto seconds = static_cast<time_t>(time_ns / kSecond);
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 32> text{};
  const size_t size = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {text.data(), size};
}

// Writes members in the order of the calls. An object or array is open from begin() to end().
class JsonText {
 public:
  explicit JsonText(std::string& out) : out_(out) {}

  void begin(char bracket, std::string_view key = {}) {
    name(key);
    out_ += bracket;
    first_ = true;
  }
  void end(char bracket) {
    out_ += bracket;
    first_ = false;
  }
  void add(std::string_view key, std::string_view text) {
    name(key);
    const size_t at = out_.size() + 1;
    out_.resize(at + text.size() * event::kMostEscape + event::kSpareText, '"');
    char* const end = event::write_json_text(out_.data() + at, text);
    out_.resize(static_cast<size_t>(end - out_.data()));
    out_ += '"';
  }
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  void add(std::string_view key, const std::string& text) { add(key, std::string_view(text)); }
  void add(std::string_view key, bool value) { raw(key, value ? "true" : "false"); }
  void add(std::string_view key, double value) {
    raw(key, std::isfinite(value) ? fmt::format("{:.3f}", value) : "null");
  }
  template <std::integral T>
  void add(std::string_view key, T value) {
    raw(key, fmt::format_int(value).c_str());
  }
  template <class T>
  void add(std::string_view key, const std::optional<T>& value) {
    if (value) return add(key, *value);
    raw(key, "null");
  }
  void add_or_null(std::string_view key, const std::string& text) {
    if (!text.empty()) return add(key, text);
    raw(key, "null");
  }

 private:
  void name(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    if (key.empty()) return;
    out_ += '"';
    out_ += key;
    out_ += "\":";
  }
  void raw(std::string_view key, std::string_view value) {
    name(key);
    out_ += value;
  }

  std::string& out_;
  bool first_ = true;
};

// Limits the text of each listener's predicates, so that clients cannot make a status too large.
std::string cut(const std::string& text) {
  constexpr size_t kMostText = Status::kMostPredicatesText;
  return text.size() <= kMostText ? text : text.substr(0, kMostText) + "...";
}

double in_us(int64_t ns) { return static_cast<double>(ns) / 1e3; }
double in_seconds(int64_t ns) { return static_cast<double>(ns) / 1e9; }

void add_source(JsonText& json, const Status::Source& source) {
  json.begin('{');
  json.add("name", source.name);
  json.add("used", source.used);
  json.add_or_null("why", source.why);
  json.add("types", event::mask_text(source.types));
  json.add("buffer_bytes", source.buffer_bytes);
  json.add("received", source.received);
  json.add("lost", source.lost);
  json.begin('[', "lost_by_types");
  for (const auto& [types, lost] : source.lost_by_types) {
    json.begin('{');
    json.add("types", event::mask_text(types));
    json.add("lost", lost);
    json.end('}');
  }
  json.end(']');
  json.add("recovered", source.recovered);
  json.add("repairs", source.repaired);
  json.end('}');
}

void add_listener(JsonText& json, const Status::Listener& listener) {
  json.begin('{');
  json.add("id", listener.id);
  json.add("pid", listener.pid);
  json.add("uid", listener.uid);
  json.add_or_null("user", listener.user);
  json.add("comm", listener.comm);
  json.add("protocol", listener.protocol == Status::Protocol::kCompat ? "compat" : "native");
  json.add("scope", listener.scope);
  json.add("mask", event::mask_text(listener.mask));
  json.add_or_null("predicates", cut(listener.predicates));
  json.add("level", listener.level);
  json.add("details", listener.details);
  json.add("latency_ms", static_cast<double>(listener.latency_ns) / 1e6);
  json.add("delivered", listener.delivered);
  json.add("lost", listener.lost);
  json.add("queued", listener.queued);
  json.add("queued_bytes", listener.queued_bytes);
  json.add("since", rfc3339(listener.since_ns));
  json.end('}');
}

void add_user(JsonText& json, const Status::User& user) {
  json.begin('{');
  json.add("uid", user.uid);
  json.add_or_null("user", user.user);
  json.add("listeners", user.listeners);
  json.add("bytes", user.bytes);
  json.add("filters", user.filters);
  json.add("filter_steps", user.filter_steps);
  json.add("roots", user.roots);
  json.end('}');
}

void add_limits(JsonText& json, const Config::Limits& limits) {
  json.begin('{', "limits");
  json.add("clients", limits.clients);
  json.add("clients_per_user", limits.clients_per_user);
  json.add("queue_bytes", limits.queue_bytes);
  json.add("memory_bytes", limits.memory_bytes);
  json.add("memory_per_user_bytes", limits.memory_per_user_bytes);
  json.add("filters_per_user", limits.filters_per_user);
  json.add("filter_steps_per_user", limits.filter_steps_per_user);
  json.add("requests_per_second", limits.requests_per_second);
  json.add("durable_per_user", limits.durable_per_user);
  json.end('}');
}

void add_exits(JsonText& json, const Status::Exits& exits) {
  json.begin('{');
  json.add_or_null("unit", exits.unit);
  json.add("ended", exits.ended);
  if (!exits.comm.empty()) json.add("comm", exits.comm);
  if (!exits.container.empty()) json.add("container", exits.container);
  json.add("count", exits.count);
  json.end('}');
}

void add_journal(JsonText& json, const Status::Journal& journal) {
  json.begin('{', "journal");
  json.add("path", journal.path);
  json.add("state", journal.state);
  json.add_or_null("problem", journal.problem);
  json.add_or_null("id", journal.id);
  json.add("mask", event::mask_text(journal.mask));
  json.add("written", journal.written);
  json.add("lost_queue", journal.lost_queue);
  json.add("lost_disk", journal.lost_disk);
  json.add("commits", journal.commits);
  json.add("bytes", journal.bytes);
  json.add("queued_bytes", journal.queued_bytes);
  json.add("oldest_seq", journal.oldest_seq);
  json.add("next_seq", journal.next_seq);
  json.add_or_null("oldest", journal.oldest_ns ? rfc3339(*journal.oldest_ns) : std::string());
  json.end('}');
}

void add_durable(JsonText& json, const Status::Durable& durable) {
  const auto time = [](std::optional<int64_t> ns) { return ns ? rfc3339(*ns) : std::string(); };
  json.begin('{');
  json.add("name", durable.name);
  json.add("uid", durable.uid);
  json.add_or_null("user", durable.user);
  if (durable.pid != 0)
    json.add("pid", durable.pid);
  else
    json.add_or_null("pid", {});
  json.add("events", event::mask_text(durable.mask));
  json.add_or_null("predicates", durable.predicates);
  json.add("cursor", durable.cursor);
  json.add("pending", durable.pending);
  json.add("pending_exact", durable.pending_exact);
  json.add_or_null("oldest_pending", time(durable.oldest_ns));
  if (durable.oldest_ns) json.add("oldest_pending_s", *durable.oldest_ns / 1'000'000'000);
  json.add("in_flight", durable.in_flight);
  json.add("redelivered", durable.redelivered);
  json.add("failed", durable.failed);
  json.add("dropped", durable.dropped);
  json.add("dropped_exact", durable.dropped_exact);
  json.add("used", rfc3339(durable.used_ns));
  json.add_or_null("expires", time(durable.expires_ns));
  if (durable.expires_ns) json.add("expires_s", *durable.expires_ns / 1'000'000'000);
  json.end('}');
}

template <class T>
void add_array(JsonText& json, std::string_view key, const std::vector<T>& values,
               void (*add)(JsonText&, const T&)) {
  json.begin('[', key);
  for (const T& value : values) add(json, value);
  json.end(']');
}

uint64_t resident_bytes() {
  // The second number is the resident pages, proc(5).
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  file >> size >> resident;
  return resident * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

void describe_process(Status& status) {
  utsname system{};
  ::uname(&system);
  status.version = KNELL_VERSION;
  status.pid = ::getpid();
  status.kernel = fmt::format("{} {} {}", system.sysname, system.release, system.machine);
  status.memory.rss_bytes = resident_bytes();
}

std::string to_json(const Status& status) {
  std::string out;
  JsonText json(out);
  json.begin('{');
  json.add("version", status.version);
  json.add("pid", status.pid);
  json.add("started", rfc3339(status.started_ns));
  json.add("uptime_s", in_seconds(status.uptime_ns));
  json.add("kernel", status.kernel);
  add_array(json, "sources", status.sources, add_source);
  json.add("drains", status.drains);
  json.add("wakeups", status.wakeups);
  json.add("events", status.events);
  json.add("events_per_second", status.events_per_second);
  json.add("delivered", status.delivered);
  json.add("lost", status.lost);
  json.begin('{', "withheld");
  json.add("unknown_uid", status.withheld.unknown_uid);
  json.add("unknown_namespace", status.withheld.unknown_namespace);
  json.end('}');
  json.add("clients", status.clients);
  json.add("refused", status.refused);
  json.begin('{', "longest");
  json.add("request_us", in_us(status.longest.request_ns));
  json.add("turn_us", in_us(status.longest.turn_ns));
  json.end('}');
  add_array(json, "listeners", status.listeners, add_listener);
  add_array(json, "users", status.users, add_user);
  add_limits(json, status.limits);
  json.begin('{', "memory");
  json.add("queue_bytes", status.memory.queue_bytes);
  json.add("rss_bytes", status.memory.rss_bytes);
  json.end('}');
  if (status.journal)
    add_journal(json, *status.journal);
  else
    json.add_or_null("journal", {});
  if (status.restart) {
    json.begin('{', "restart");
    json.add("lost", status.restart->lost);
    json.add("clients", status.restart->clients);
    json.add("clients_lost", status.restart->clients_lost);
    json.add("text", status.restart->text);
    json.end('}');
  } else {
    json.add_or_null("restart", {});
  }
  add_array(json, "durable", status.durable, add_durable);
  add_array(json, "exits", status.exits, add_exits);
  json.add("nonzero_exits", status.nonzero_exits);
  json.end('}');
  return out;
}

}  // namespace knell::daemon
