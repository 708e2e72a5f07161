// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "export/backoff.h"
#include "export/http_client.h"
#include "export/otlp_json.h"
#include "export/pump.h"

namespace knell::exporter {

// Sends each batch in requests of about kMostBytes, and waits until the endpoint has taken or
// refused each. By the specification of OTLP/HTTP a request is sent again after 429, 502, 503, 504
// and when there is no answer; after any other error it must not be sent again, and its events are
// lost: they are counted, reported, and the next request says how many they were. After 413 (too
// large) the events are sent in requests of half the size, down to one event. Not thread-safe.
class OtlpSender final : public Destination {
 public:
  // An event has up to 60 KiB of text, and some proxies take 1 MiB unless configured otherwise.
  static constexpr size_t kMostBytes = size_t{896} << 10;

  using Post = std::function<HttpClient::Answer(const std::string& body, StopSignal& stop)>;
  struct Counts {
    uint64_t requests = 0;  // sent, also again
    uint64_t refused = 0;   // events, also lost ones as far as their number is known
  };

  OtlpSender(Post post, OtlpResource resource, Backoff backoff)
      : post_(std::move(post)), resource_(std::move(resource)), backoff_(backoff) {}

  Outcome<bool> deliver(const Events& events, StopSignal& stop) override;
  const Counts& counts() const { return counts_; }

 private:
  enum class Result { kTaken, kRefused, kTooLarge, kAgain };

  Result result_of(const HttpClient::Answer& answer) const;
  // Returns the number of events that the endpoint has taken or refused; 0: the signal arrived.
  size_t send_some(const Events& events, StopSignal& stop);
  HttpClient::Answer post_until_answered(const std::string& body, StopSignal& stop);
  void finish(const Events& events, const HttpClient::Answer& answer, Result result);
  void refuse(const OtlpRefused& refused, const std::string& why);

  Post post_;
  OtlpResource resource_;
  Backoff backoff_;
  Counts counts_;
  OtlpRefused unreported_;          // not yet in an accepted request
  size_t most_bytes_ = kMostBytes;  // lower after 413
  bool away_ = false;               // reported already
};

}  // namespace knell::exporter
