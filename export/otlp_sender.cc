// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/otlp_sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "export/message.h"

namespace knell::exporter {
namespace {

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string describe(const HttpClient::Answer& answer) {
  if (answer.status == 0) return answer.error;
  const std::string body = printable(std::string_view(answer.body).substr(0, 200));
  return fmt::format("HTTP status {}{}{}", answer.status, body.empty() ? "" : ": ", body);
}

}  // namespace

OtlpSender::Result OtlpSender::result_of(const HttpClient::Answer& answer) const {
  switch (answer.status) {
    case 0:
    case 429:
    case 502:
    case 503:
    case 504:
      return Result::kAgain;
    default:
      return answer.status >= 200 && answer.status < 300 ? Result::kTaken : Result::kRefused;
  }
}

void OtlpSender::refuse(uint64_t count, const std::string& why) {
  counts_.refused += count;
  unreported_ += count;
  message("the endpoint refused {} events: {}", count, why);
}

void OtlpSender::finish(const Events& events, const HttpClient::Answer& answer, Result result) {
  if (away_) message("the endpoint answers again");
  away_ = false;
  backoff_.reset();
  if (result == Result::kRefused) return refuse(events.size(), describe(answer));
  unreported_ = 0;
  const OtlpAnswer says = parse_otlp_answer(answer.body);
  if (says.rejected > 0) return refuse(says.rejected, printable(says.message));
  if (!says.message.empty()) message("the endpoint says: {}", printable(says.message));
}

Outcome<bool> OtlpSender::deliver(const Events& events, StopSignal& stop) {
  const std::string body = otlp_request(resource_, events, unreported_, now_ns());
  for (;;) {
    ++counts_.requests;
    const HttpClient::Answer answer = post_(body, stop);
    const Result result = result_of(answer);
    if (result != Result::kAgain) {
      finish(events, answer, result);
      return true;
    }
    if (stop.arrived()) return false;
    if (!away_) message("the endpoint does not take events, which wait: {}", describe(answer));
    away_ = true;
    if (stop.wait(-1, backoff_.next(answer.retry_after))) return false;
  }
}

}  // namespace knell::exporter
