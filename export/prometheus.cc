// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-export prometheus`: counts exits, and serves the counts and the status of knelld to
// Prometheus. The main thread receives events; the threads of the HTTP server collect.
#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <chrono>
#include <exception>
#include <knell/knell.hpp>
#include <mutex>
#include <string>
#include <vector>

#include "base/numbers.h"
#include "export/command.h"
#include "export/exit_metrics.h"
#include "export/listen_address.h"
#include "export/message.h"
#include "export/pump.h"
#include "export/selection.h"
#include "export/status_metrics.h"

namespace knell::exporter {
namespace {

using Clock = std::chrono::steady_clock;

// The status of knelld, at most a second old: any number of scrapes are one request to the daemon.
class Status {
 public:
  std::string get() {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    if (now - asked_ < std::chrono::seconds(1)) return text_;
    std::error_code error;
    text_ = knell::status(error);
    asked_ = now;
    return text_;
  }

 private:
  std::mutex mutex_;
  std::string text_;
  Clock::time_point asked_ = Clock::now() - std::chrono::hours(1);
};

// What is counted, between the thread that counts and those that collect.
class Counters final : public Destination, public prometheus::Collectable {
 public:
  explicit Counters(const ExitMetrics::Options& options) : metrics_(options, Clock::now()) {}

  Outcome<bool> deliver(const Events& events, StopSignal&) override {
    const std::lock_guard lock(mutex_);
    const auto now = Clock::now();
    for (const knell_event& event : events) metrics_.count(event, now);
    return true;
  }
  std::vector<prometheus::MetricFamily> Collect() const override {
    Families families;
    {
      const std::lock_guard lock(mutex_);
      metrics_.collect(families);
    }
    append_status(families, status_.get());
    return families.take();
  }

 private:
  mutable std::mutex mutex_;
  ExitMetrics metrics_;
  mutable Status status_;
};

// A client that is slow holds one thread for kTimeoutMs at most.
constexpr const char* kThreads = "4";
constexpr const char* kTimeoutMs = "5000";

Outcome<std::unique_ptr<prometheus::Exposer>> serve(const ListenAddress& address) {
  const std::string where = address.text();
  try {
    return std::make_unique<prometheus::Exposer>(std::vector<std::string>{
        "listening_ports", where, "num_threads", kThreads, "request_timeout_ms", kTimeoutMs});
  } catch (const std::exception&) {
    return fail(
        kFailed,
        "cannot listen on {}: the address is in use or not of this machine; another one can "
        "be given with --listen",
        where);
  }
}

class Prometheus final : public Command {
 public:
  std::string_view name() const override { return "prometheus"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override {
    return "serves counts of exits and the status of knelld to Prometheus";
  }
  std::string_view notes() const override {
    return "The metrics are at http://ADDRESS/metrics; docs/exports.md describes them.\n"
           "\n"
           "Exit status: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 wrong usage; 3 knelld is not\n"
           "running.\n"
           "\n"
           "Examples:\n"
           "  knell export prometheus\n"
           "  knell export prometheus --unit postgresql.service --unit cron.service\n"
           "  curl -s http://127.0.0.1:9437/metrics\n";
  }
  void add_options(CommandLine& line) override {
    line.add_value("-l,--listen", listen_, "ADDRESS",
                   "address and port, default 127.0.0.1:9437; IPv6 as [::1]:9437");
    line.add_values("-u,--unit", units_, "UNIT",
                    "a unit with series of its own, which begin at 0; may be repeated");
    line.add_value("-k,--top-k", places_, "COUNT",
                   "how many other units have series of their own (default 50)");
    line.add_flag("--containers", containers_, "count failures by container, too");
    line.add_flag("--failures-only", failures_only_,
                  "receive only non-zero exits, which costs less; ended=\"ok\" stays 0");
    selection_.add_match(line);
  }
  Outcome<int> execute() override;

 private:
  std::string listen_ = "127.0.0.1:9437", places_;
  std::vector<std::string> units_;
  bool containers_ = false, failures_only_ = false;
  Selection selection_;
};

Outcome<int> Prometheus::execute() {
  const auto address = ListenAddress::parse(listen_);
  if (!address)
    return fail(kUsage,
                "--listen takes ADDRESS:PORT, such as 127.0.0.1:9437 or [::1]:9437, not '{}'",
                printable(listen_));
  ExitMetrics::Options options{.units = units_, .containers = containers_};
  if (!places_.empty()) {
    // More units than that are more series than a server of Prometheus should keep of one host.
    const auto places = parse_number(places_, 0, 1000);
    if (!places)
      return fail(kUsage, "--top-k takes a number from 0 to 1000, not '{}'", printable(places_));
    options.places = static_cast<size_t>(*places);
  }
  auto events = selection_.options();
  if (!events) return std::unexpected(std::move(events).error());
  events->events = failures_only_ ? KNELL_EVENT_NONZERO_EXIT : KNELL_EVENT_EXIT;
  events->details = KNELL_DETAILS_NAMES;

  auto stop = StopSignal::create();
  if (!stop) return std::unexpected(std::move(stop).error());
  auto intake = Intake::create(*events);
  if (!intake) return std::unexpected(std::move(intake).error());
  const auto counters = std::make_shared<Counters>(options);
  auto server = serve(*address);
  if (!server) return std::unexpected(std::move(server).error());
  (*server)->RegisterCollectable(counters);
  const auto ports = (*server)->GetListeningPorts();
  message("serves metrics on http://{}/metrics",
          ListenAddress(address->host(), ports.empty() ? address->port() : ports.front()).text());
  return pump(*intake, *counters, *stop);
}

}  // namespace

std::unique_ptr<Command> make_prometheus() { return std::make_unique<Prometheus>(); }

}  // namespace knell::exporter
