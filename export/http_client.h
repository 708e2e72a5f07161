// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "export/failure.h"

namespace knell::exporter {

// Posts JSON to one URL over HTTP or HTTPS, with libcurl. Follows no redirects. Not thread-safe.
class HttpClient {
 public:
  struct Options {
    std::string url;
    std::vector<std::string> headers;  // "Name: value"
    std::string ca_file;               // empty: the system's certificates
    std::chrono::milliseconds timeout = std::chrono::seconds(10);  // of one request
  };
  struct Answer {
    long status = 0;    // of HTTP; 0: there is no answer
    std::string body;   // at most kMostBody bytes
    std::string error;  // why there is no answer
    std::optional<std::chrono::milliseconds> retry_after;
  };
  static constexpr size_t kMostBody = 65536;

  static Outcome<HttpClient> create(const Options& options);
  HttpClient(HttpClient&&) noexcept;
  ~HttpClient();

  // `stop` is called about once a second, and ends the request when it returns true.
  Answer post(const std::string& body, const std::function<bool()>& stop);

 private:
  struct Curl;
  explicit HttpClient(std::unique_ptr<Curl> curl);
  std::unique_ptr<Curl> curl_;
};

// The URL to which logs of an endpoint are sent: "http://host:4318" -> "http://host:4318/v1/logs".
// Errors: kUsage no URL of HTTP or HTTPS.
Outcome<std::string> logs_url(const std::string& endpoint);

// "key=value,key2=value2", percent-encoded, as in OTEL_EXPORTER_OTLP_HEADERS -> "key: value", ...
// Errors: kUsage.
Outcome<std::vector<std::string>> parse_headers(const std::string& text);

}  // namespace knell::exporter
