// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-export otlp`: sends events as logs of OpenTelemetry, OTLP/HTTP with JSON.
#include <curl/curl.h>

#include <cstdlib>
#include <knell/knell.hpp>
#include <random>
#include <string>

#include "export/command.h"
#include "export/message.h"
#include "export/otlp_sender.h"
#include "export/selection.h"

namespace knell::exporter {
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

class Otlp final : public Command {
 public:
  std::string_view name() const override { return "otlp"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override {
    return "sends events as logs to an OpenTelemetry collector";
  }
  std::string_view notes() const override {
    return "OTEL_EXPORTER_OTLP_ENDPOINT is the default of --endpoint, "
           "OTEL_EXPORTER_OTLP_CERTIFICATE\n"
           "that of --ca-file. OTEL_EXPORTER_OTLP_HEADERS has headers, NAME=VALUE,NAME=VALUE.\n"
           "\n"
           "Exit status: 0 stopped by SIGTERM or SIGINT; 1 failed; 2 wrong usage; 3 knelld is not\n"
           "running.\n"
           "\n"
           "Examples:\n"
           "  knell export otlp --endpoint http://127.0.0.1:4318\n"
           "  knell export otlp --endpoint https://otel.example.com -e exit -m "
           "unit=postgresql.service\n";
  }
  void add_options(CommandLine& line) override {
    line.add_value("--endpoint", endpoint_, "URL",
                   "http:// or https:// URL of the collector; /v1/logs is\nappended");
    line.add_value(
        "--ca-file", ca_file_, "FILE",
        "certificates that may sign the collector's, PEM; default:\nthose of the system");
    selection_.add_options(line);
  }
  Outcome<int> execute() override;

 private:
  Outcome<HttpClient::Options> http_options() const;

  std::string endpoint_ = variable("OTEL_EXPORTER_OTLP_ENDPOINT");
  std::string ca_file_ = variable("OTEL_EXPORTER_OTLP_CERTIFICATE");
  Selection selection_{"export-otlp"};
};

Outcome<HttpClient::Options> Otlp::http_options() const {
  if (endpoint_.empty())
    return fail(kUsage,
                "--endpoint is missing: the URL of a collector, such as "
                "http://127.0.0.1:4318");
  HttpClient::Options out;
  auto url = logs_url(endpoint_);
  if (!url) return std::unexpected(std::move(url).error());
  out.url = *std::move(url);
  auto headers = parse_headers(variable("OTEL_EXPORTER_OTLP_HEADERS"));
  if (!headers) return std::unexpected(std::move(headers).error());
  out.headers = *std::move(headers);
  out.ca_file = ca_file_;
  return out;
}

Outcome<int> Otlp::execute() {
  auto http = http_options();
  if (!http) return std::unexpected(std::move(http).error());
  const auto options = selection_.options();
  if (!options) return std::unexpected(options.error());
  auto stop = StopSignal::create();
  if (!stop) return std::unexpected(std::move(stop).error());
  curl_global_init(CURL_GLOBAL_DEFAULT);
  auto client = HttpClient::create(*http);
  if (!client) return std::unexpected(std::move(client).error());
  auto intake = Intake::create(*options);
  if (!intake) return std::unexpected(std::move(intake).error());
  const auto post = [&](const std::string& body, StopSignal& signal) {
    return client->post(body, [&] { return signal.arrived(); });
  };
  OtlpSender sender(post, OtlpResource::of_this_machine(), Backoff(std::random_device()()));
  message("sends {} to {}", events_text(options->events), printable(http->url));
  auto done = pump(*intake, sender, *stop);
  if (sender.counts().refused > 0)
    message("the endpoint refused {} of these events", sender.counts().refused);
  return done;
}

}  // namespace

std::unique_ptr<Command> make_otlp() { return std::make_unique<Otlp>(); }

}  // namespace knell::exporter
