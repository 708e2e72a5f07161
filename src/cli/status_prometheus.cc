// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <map>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "cli/status_text.h"

namespace knell::cli {
namespace {

using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

// Appends a string as a quoted label value. These three characters must be escaped.
void append_escaped(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

// One metric: its HELP and TYPE line, then a line for each set of labels.
class Metric {
 public:
  Metric(std::string& out, std::string_view name, std::string_view type, std::string_view help)
      : out_(out), name_(name) {
    out += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void add(const Labels& labels, std::string_view value) {
    out_ += name_;
    char before = '{';
    for (const auto& [label, text] : labels) {
      out_ += before;
      before = ',';
      out_ += label;
      out_ += "=\"";
      append_escaped(out_, text);
      out_ += '"';
    }
    if (before == ',') out_ += '}';
    out_ += ' ';
    out_ += value;
    out_ += '\n';
  }
  void add(const Labels& labels, uint64_t value) { add(labels, fmt::format("{}", value)); }

 private:
  std::string& out_;
  std::string_view name_;
};

void counter(std::string& out, std::string_view name, std::string_view help, uint64_t value) {
  Metric(out, name, "counter", help).add({}, value);
}
void gauge(std::string& out, std::string_view name, std::string_view help, uint64_t value) {
  Metric(out, name, "gauge", help).add({}, value);
}

// Two streams may have the same source. Their counts are added, since a series must appear only
// once.
void append_sources(std::string& out, const JsonValue& status) {
  struct Metrics {
    const char *key, *name, *type, *help;
  };
  constexpr Metrics kMetrics[] = {
      {"received", "knell_source_received_total", "counter", "Events taken from the kernel."},
      {"lost", "knell_source_lost_total", "counter",
       "Events that the kernel dropped because its buffer was full, where it counted them."},
      {"recovered", "knell_source_recovered_total", "counter",
       "Lost events that were recovered afterwards."},
      {"repairs", "knell_source_repairs_total", "counter",
       "Times the connector had stopped sending events and was repaired."},
      {"buffer_bytes", "knell_source_buffer_bytes", "gauge",
       "Size of the buffer for events not yet read."}};
  for (const Metrics& one : kMetrics) {
    std::map<std::string, uint64_t> sums;
    for (const JsonValue* source : status["sources"].items()) {
      if ((*source)["used"].is_true()) sums[(*source)["name"].text()] += (*source)[one.key].count();
    }
    Metric metric(out, one.name, one.type, one.help);
    for (const auto& [source, sum] : sums) metric.add({{"source", source}}, sum);
  }
}

// The type of a lost event may be unknown; then the label lists all types that it may have had.
void append_losses(std::string& out, const JsonValue& status) {
  std::map<std::pair<std::string, std::string>, uint64_t> sums;
  for (const JsonValue* source : status["sources"].items()) {
    for (const JsonValue* one : (*source)["lost_by_types"].items())
      sums[{(*source)["name"].text(), (*one)["types"].text()}] += (*one)["lost"].count();
  }
  Metric metric(out, "knell_source_lost_by_types_total", "counter",
                "Events that the kernel dropped, by the types that they may have had.");
  for (const auto& [labels, sum] : sums)
    metric.add({{"source", labels.first}, {"types", labels.second}}, sum);
}

// A series for each open connection. Connection ids are never reused.
void append_losses_of_listeners(std::string& out, const JsonValue& status) {
  Metric metric(out, "knell_listener_lost_total", "counter",
                "Events that one listener lost because it was slow.");
  for (const JsonValue* one : status["listeners"].items()) {
    if ((*one)["mask"].text() == "none") continue;
    const std::string id = fmt::format("{}", (*one)["id"].count());
    metric.add({{"id", id}, {"comm", (*one)["comm"].text()}}, (*one)["lost"].count());
  }
}

void append_listeners(std::string& out, const JsonValue& status) {
  std::map<std::string, uint64_t> listeners;
  for (const JsonValue* one : status["listeners"].items()) {
    if ((*one)["mask"].text() != "none") ++listeners[(*one)["protocol"].text()];
  }
  Metric metric(out, "knell_listeners", "gauge", "Listeners with a subscription.");
  for (const char* protocol : {"compat", "native"})
    metric.add({{"protocol", protocol}}, listeners[protocol]);
}

// Maps an exit to one of six classes, since each code and signal would be a series of its own.
std::string_view class_of(std::string_view ended) {
  if (ended == "exit 0" || ended == "unknown") return ended;
  if (ended.starts_with("exit ")) return "exit nonzero";
  if (ended.ends_with(" oom")) return "oom";
  return ended.ends_with(" core") ? "core" : "signal";
}

void append_exits(std::string& out, const JsonValue& status, Codes codes) {
  std::map<std::array<std::string, 4>, uint64_t> sums;  // the labels, in this order
  for (const JsonValue* exits : status["exits"].items()) {
    std::string ended = (*exits)["ended"].text();
    if (codes == Codes::kNo) ended = class_of(ended);
    sums[{(*exits)["unit"].text(), std::move(ended), (*exits)["comm"].text(),
          (*exits)["container"].text()}] += (*exits)["count"].count();
  }
  Metric metric(out, "knell_exits_total", "counter",
                "Processes that ended, by systemd unit and by how they ended; units over a limit "
                "are _other.");
  for (const auto& [values, sum] : sums) {
    Labels labels{{"unit", values[0]}, {"ended", values[1]}};
    // Prometheus treats an empty label as absent.
    if (!values[2].empty()) labels.emplace_back("comm", values[2]);
    if (!values[3].empty()) labels.emplace_back("container", values[3]);
    metric.add(labels, sum);
  }
}

void append_journal(std::string& out, const JsonValue& status) {
  const JsonValue& journal = status["journal"];
  if (journal["path"].text().empty()) return;
  gauge(out, "knell_journal_working",
        "1: the last attempt to write the journal succeeded, within a second.",
        journal["state"].text() == "working" ? 1 : 0);
  counter(out, "knell_journal_written_total", "Events written to the journal.",
          journal["written"].count());
  Metric lost(out, "knell_journal_lost_total", "counter",
              "Events not written to the journal: the queue was full, or the disk failed.");
  lost.add({{"reason", "queue"}}, journal["lost_queue"].count());
  lost.add({{"reason", "disk"}}, journal["lost_disk"].count());
  gauge(out, "knell_journal_bytes", "Size of the journal.", journal["bytes"].count());
  gauge(out, "knell_journal_queued_bytes", "Events that wait to be written to the journal.",
        journal["queued_bytes"].count());
}

// A series for each name; the daemon limits their number.
void append_durable(std::string& out, const JsonValue& status) {
  struct Metrics {
    const char *key, *name, *type, *help;
  };
  constexpr Metrics kMetrics[] = {
      {"pending", "knell_durable_pending", "gauge",
       "Upper bound of the events that a durable listener has not acknowledged."},
      {"in_flight", "knell_durable_in_flight", "gauge",
       "Events that were sent to a durable listener and are not acknowledged."},
      {"redelivered", "knell_durable_redelivered_total", "counter",
       "Events that were sent to a durable listener again."},
      {"failed", "knell_durable_failed_total", "counter",
       "Events that a durable listener could not handle."},
      {"dropped", "knell_durable_dropped", "gauge",
       "Upper bound of the pending events that were deleted from the journal."}};
  const auto labels_of = [](const JsonValue& one) {
    return Labels{{"uid", fmt::format("{}", one["uid"].count())}, {"name", one["name"].text()}};
  };
  const auto all = status["durable"].items();
  if (all.empty()) return;
  for (const Metrics& one : kMetrics) {
    Metric metric(out, one.name, one.type, one.help);
    for (const JsonValue* name : all) metric.add(labels_of(*name), (*name)[one.key].count());
  }
  for (const auto& [key, metric_name, help] :
       {std::tuple{"oldest_pending_s", "knell_durable_oldest_pending_timestamp_seconds",
                   "Approximate time of the oldest event that is not acknowledged."},
        std::tuple{"expires_s", "knell_durable_expires_timestamp_seconds",
                   "Time at which an unused durable listener is removed."}}) {
    Metric metric(out, metric_name, "gauge", help);
    for (const JsonValue* name : all)
      if (const auto at = (*name)[key].number()) metric.add(labels_of(*name), *at);
  }
}

}  // namespace

void append_prometheus(std::string& out, const JsonValue& status, Codes codes) {
  Metric(out, "knell_info", "gauge",
         "Always 1; the labels are the versions of knelld and the kernel.")
      .add({{"version", status["version"].text()}, {"kernel", status["kernel"].text()}}, 1);
  Metric(out, "knell_uptime_seconds", "gauge", "Seconds since the daemon started.")
      .add({}, fmt::format("{:.3f}", status["uptime_s"].real().value_or(0)));
  append_sources(out, status);
  append_losses(out, status);
  counter(out, "knell_drains_total", "Times the sources were read.", status["drains"].count());
  counter(out, "knell_wakeups_total", "Times the daemon woke up.", status["wakeups"].count());
  counter(out, "knell_events_total", "Events taken from all sources.", status["events"].count());
  counter(out, "knell_delivered_total", "Events delivered to listeners.",
          status["delivered"].count());
  counter(out, "knell_lost_total", "Events lost because a listener was slow.",
          status["lost"].count());
  Metric withheld(out, "knell_withheld_total", "counter",
                  "Events not delivered because it was unknown whether the listener may see them.");
  for (const char* reason : {"unknown_uid", "unknown_namespace"})
    withheld.add({{"reason", reason}}, status["withheld"][reason].count());
  gauge(out, "knell_clients", "Connections.", status["clients"].count());
  counter(out, "knell_refused_total", "Connections that were refused.", status["refused"].count());
  if (!status["restart"]["text"].text().empty())
    gauge(out, "knell_restart_lost", "1: the last restart of knelld lost events.",
          status["restart"]["lost"].is_true() ? 1 : 0);
  append_listeners(out, status);
  append_losses_of_listeners(out, status);
  gauge(out, "knell_queue_bytes", "Bytes in the queues of all listeners.",
        status["memory"]["queue_bytes"].count());
  gauge(out, "knell_queue_limit_bytes", "The limit of knell_queue_bytes.",
        status["limits"]["memory_bytes"].count());
  gauge(out, "knell_resident_bytes", "Resident memory of the daemon, with its ring buffers.",
        status["memory"]["rss_bytes"].count());
  counter(out, "knell_nonzero_exits_total", "Processes that did not end with exit code 0.",
          status["nonzero_exits"].count());
  append_exits(out, status, codes);
  append_journal(out, status);
  append_durable(out, status);
}

}  // namespace knell::cli
