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

// Sends each batch as one request, and waits until the endpoint has taken or refused it. By the
// specification of OTLP/HTTP a request is sent again after 429, 502, 503, 504 and when there is no
// answer; after any other error it must not be sent again, and its events are lost: they are
// counted, reported, and the next request says how many they were. Not thread-safe.
class OtlpSender final : public Destination {
 public:
  using Post = std::function<HttpClient::Answer(const std::string& body, StopSignal& stop)>;
  struct Counts {
    uint64_t requests = 0;  // sent, also again
    uint64_t refused = 0;   // events
  };

  OtlpSender(Post post, OtlpResource resource, Backoff backoff)
      : post_(std::move(post)), resource_(std::move(resource)), backoff_(backoff) {}

  Outcome<bool> deliver(const Events& events, StopSignal& stop) override;
  const Counts& counts() const { return counts_; }

 private:
  enum class Result { kTaken, kRefused, kAgain };

  Result result_of(const HttpClient::Answer& answer) const;
  void finish(const Events& events, const HttpClient::Answer& answer, Result result);
  void refuse(uint64_t count, const std::string& why);

  Post post_;
  OtlpResource resource_;
  Backoff backoff_;
  Counts counts_;
  uint64_t unreported_ = 0;  // refused, and not yet in an accepted request
  bool away_ = false;        // reported already
};

}  // namespace knell::exporter
