// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/status_metrics.h"

#include <rapidjson/document.h>

#include <map>
#include <string>
#include <utility>

namespace knell::exporter {
namespace {

using Value = rapidjson::Value;

// The members of a JSON object. A missing member, or one with an unexpected type, reads as null, 0
// or "", because another version of the daemon may send other members.
class Object {
 public:
  explicit Object(const Value& value) : value_(value) {}
  const Value& operator[](const char* name) const {
    static const Value kNull;
    if (!value_.IsObject()) return kNull;
    const auto at = value_.FindMember(name);
    return at == value_.MemberEnd() ? kNull : at->value;
  }
  Object in(const char* name) const { return Object((*this)[name]); }
  double number(const char* name) const {
    const Value& value = (*this)[name];
    return value.IsNumber() ? value.GetDouble() : 0;
  }
  std::string text(const char* name) const {
    const Value& value = (*this)[name];
    return value.IsString() ? std::string(value.GetString(), value.GetStringLength()) : "";
  }
  template <class F>
  void each(const char* name, F visit) const {
    const Value& array = (*this)[name];
    if (!array.IsArray()) return;
    for (const Value& one : array.GetArray()) visit(Object(one));
  }

 private:
  const Value& value_;
};

struct Member {
  const char *key, *name, *help;
};

// Two streams may have the same source. Their counts are added, since a series must appear only
// once.
void append_sources(Families& out, const Object& status) {
  constexpr Member kCounters[] = {
      {"received", "knell_source_received_total", "Events taken from the kernel."},
      {"lost", "knell_source_lost_total",
       "Events that the kernel dropped because its buffer was full, where it counted them."},
      {"recovered", "knell_source_recovered_total", "Lost events that were recovered afterwards."},
      {"repairs", "knell_source_repairs_total",
       "Times the connector had stopped sending events and was repaired."}};
  for (const Member& one : kCounters) {
    std::map<std::string, double> sums;
    status.each("sources", [&](const Object& source) {
      if (source["used"].IsTrue()) sums[source.text("name")] += source.number(one.key);
    });
    if (sums.empty()) continue;
    out.counter(one.name, one.help);
    for (const auto& [name, sum] : sums) out.add({{"source", name}}, sum);
  }
}

// The type of a lost event may be unknown; then the label lists all types that it may have had.
void append_losses(Families& out, const Object& status) {
  std::map<std::pair<std::string, std::string>, double> sums;
  status.each("sources", [&](const Object& source) {
    source.each("lost_by_types", [&](const Object& one) {
      sums[{source.text("name"), one.text("types")}] += one.number("lost");
    });
  });
  if (sums.empty()) return;
  out.counter("knell_events_lost_total",
              "Events that the kernel dropped, by the types that they may have had.");
  for (const auto& [labels, sum] : sums)
    out.add({{"source", labels.first}, {"type", labels.second}}, sum);
}

void append_listeners(Families& out, const Object& status) {
  std::map<std::string, double> protocols{{"compat", 0}, {"native", 0}};
  double queued = 0;
  status.each("listeners", [&](const Object& listener) {
    if (listener.text("mask") == "none") return;
    const auto at = protocols.find(listener.text("protocol"));
    if (at != protocols.end()) ++at->second;
    queued += listener.number("queued");
  });
  out.gauge("knell_listeners", "Listeners with a subscription.");
  for (const auto& [protocol, count] : protocols) out.add({{"protocol", protocol}}, count);
  out.gauge("knell_listener_queued_events", "Events in the queues of all listeners.");
  out.add({}, queued);
}

void append_journal(Families& out, const Object& journal) {
  if (journal.text("path").empty()) return;
  out.gauge("knell_journal_working",
            "1: the last attempt to write the journal succeeded, within a second.");
  out.add({}, journal.text("state") == "working" ? 1 : 0);
  out.counter("knell_journal_written_total", "Events written to the journal.");
  out.add({}, journal.number("written"));
  out.counter("knell_journal_lost_total",
              "Events not written to the journal: the queue was full, or the disk failed.");
  out.add({{"reason", "queue"}}, journal.number("lost_queue"));
  out.add({{"reason", "disk"}}, journal.number("lost_disk"));
  out.gauge("knell_journal_bytes", "Size of the journal.");
  out.add({}, journal.number("bytes"));
  out.gauge("knell_journal_queued_bytes", "Events that wait to be written to the journal.");
  out.add({}, journal.number("queued_bytes"));
  out.gauge("knell_journal_events", "Events in the journal.");
  out.add({}, journal.number("next_seq") - journal.number("oldest_seq"));
}

// Metrics of the forwarder of knell-fleet, whose durable listener is named fleet-HOST. The
// forwarder acknowledges an event when the server has written it to disk, some minutes after it was
// sent.
void append_fleet(Families& out, const Object& status) {
  int forwarders = 0;
  double pending = 0, oldest = 0;
  status.each("durable", [&](const Object& durable) {
    if (!durable.text("name").starts_with("fleet-")) return;
    ++forwarders;
    pending += durable.number("pending");
    const double at = durable.number("oldest_pending_s");
    if (at != 0 && (oldest == 0 || at < oldest)) oldest = at;
  });
  if (forwarders == 0) return;
  out.gauge("knell_fleet_pending_events",
            "Events in the journal that the fleet requested and that its server has not yet "
            "written to disk.");
  out.add({}, pending);
  if (oldest == 0) return;
  out.gauge("knell_fleet_oldest_pending_timestamp_seconds",
            "Approximate time of the oldest of knell_fleet_pending_events.");
  out.add({}, oldest);
}

void append_totals(Families& out, const Object& status) {
  constexpr Member kCounters[] = {
      {"events", "knell_events_total", "Events taken from all sources."},
      {"delivered", "knell_delivered_total", "Events delivered to listeners."},
      {"lost", "knell_lost_total", "Events lost because a listener was slow."},
      {"refused", "knell_refused_total", "Connections that were refused."},
      {"wakeups", "knell_wakeups_total", "Times the daemon woke up."}};
  for (const Member& one : kCounters) {
    out.counter(one.name, one.help);
    out.add({}, status.number(one.key));
  }
  constexpr Member kGauges[] = {
      {"uptime_s", "knell_uptime_seconds", "Seconds since the daemon started."},
      {"clients", "knell_clients", "Connections."}};
  for (const Member& one : kGauges) {
    out.gauge(one.name, one.help);
    out.add({}, status.number(one.key));
  }
  out.gauge("knell_queue_bytes", "Bytes in the queues of all listeners.");
  out.add({}, status.in("memory").number("queue_bytes"));
  out.gauge("knell_queue_limit_bytes", "The limit of knell_queue_bytes.");
  out.add({}, status.in("limits").number("memory_bytes"));
  out.gauge("knell_resident_bytes", "Resident memory of the daemon, with its ring buffers.");
  out.add({}, status.in("memory").number("rss_bytes"));
}

}  // namespace

void append_status(Families& out, std::string_view text) {
  rapidjson::Document document;
  // Iterative, so that no nesting can exhaust the stack.
  document.Parse<rapidjson::kParseIterativeFlag>(text.data(), text.size());
  const bool answered = !text.empty() && !document.HasParseError() && document.IsObject();
  out.gauge("knell_daemon_up", "1: knelld answers.");
  out.add({}, answered ? 1 : 0);
  if (!answered) return;
  const Object status(document);
  out.gauge("knell_build_info", "Always 1; the labels are the versions of knelld and the kernel.");
  out.add({{"version", status.text("version")}, {"kernel", status.text("kernel")}}, 1);
  append_totals(out, status);
  append_sources(out, status);
  append_losses(out, status);
  append_listeners(out, status);
  append_journal(out, status.in("journal"));
  append_fleet(out, status);
  if (status.in("restart").text("text").empty()) return;
  out.gauge("knell_restart_lost", "1: the last restart of knelld lost events.");
  out.add({}, status.in("restart")["lost"].IsTrue() ? 1 : 0);
}

}  // namespace knell::exporter
