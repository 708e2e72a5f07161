// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/otlp_sender.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <span>

#include "export/message.h"

namespace knell::exporter {
namespace {

constexpr size_t kLeastBytes = size_t{16} << 10;  // of a request after 413; chosen, not measured

int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Events part(const Events& events, size_t begin, size_t count) {
  return Events(std::span<const knell_event* const>(events).subspan(begin, count));
}

// How many events a destination lost with these. A lost event stands for lost_count of them.
OtlpRefused number_of(const Events& events) {
  OtlpRefused out;
  for (const knell_event& event : events) {
    const bool lost = event.type == KNELL_EVENT_LOST;
    out.count += lost ? std::max<uint64_t>(event.lost_count, 1) : 1;
    if (lost && (event.lost_count == 0 || (event.flags & KNELL_FLAG_EXACT) == 0)) out.exact = false;
  }
  return out;
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
    case 413:
      return Result::kTooLarge;
    default:
      return answer.status >= 200 && answer.status < 300 ? Result::kTaken : Result::kRefused;
  }
}

void OtlpSender::refuse(const OtlpRefused& refused, const std::string& why) {
  counts_.refused += refused.count;
  unreported_.count += refused.count;
  unreported_.exact = unreported_.exact && refused.exact;
  message("the endpoint refused {} events: {}", refused.count, why);
}

void OtlpSender::finish(const Events& events, const HttpClient::Answer& answer, Result result) {
  if (away_) message("the endpoint answers again");
  away_ = false;
  backoff_.reset();
  const OtlpRefused all = number_of(events);
  if (result != Result::kTaken) return refuse(all, describe(answer));
  // The number is not trusted. It includes the record of `unreported_`.
  const OtlpAnswer says = parse_otlp_answer(answer.body);
  const size_t records = events.size() + (unreported_.count > 0 ? 1 : 0);
  if (says.rejected >= records) return refuse(all, printable(says.message));
  unreported_ = {};
  // The answer does not say which records were rejected. If one was a lost event, the number of
  // events is unknown.
  if (says.rejected > 0)
    return refuse({says.rejected, all.count == events.size() && all.exact},
                  printable(says.message));
  if (!says.message.empty()) message("the endpoint says: {}", printable(says.message));
}

size_t OtlpSender::send_some(const Events& events, StopSignal& stop) {
  size_t most = events.size();
  for (;;) {
    const auto first = [&](size_t count) { return part(events, 0, count); };
    const OtlpRequest request =
        otlp_request(resource_, first(most), unreported_, now_ns(), most_bytes_);
    const HttpClient::Answer answer = post_until_answered(request.body, stop);
    const Result result = result_of(answer);
    if (result == Result::kAgain) return 0;
    if (result != Result::kTooLarge || request.events == 1) {
      finish(first(request.events), answer, result);
      return request.events;
    }
    most = request.events / 2;
    most_bytes_ = std::max(request.body.size() / 2, kLeastBytes);
    message("the endpoint takes no request of {} bytes: sends smaller ones", request.body.size());
  }
}

// Returns an answer of kind kAgain only if the signal arrived.
HttpClient::Answer OtlpSender::post_until_answered(const std::string& body, StopSignal& stop) {
  for (;;) {
    ++counts_.requests;
    HttpClient::Answer answer = post_(body, stop);
    if (result_of(answer) != Result::kAgain || stop.arrived()) return answer;
    if (!away_) message("the endpoint does not take events, which wait: {}", describe(answer));
    away_ = true;
    if (stop.wait(-1, backoff_.next(answer.retry_after))) return answer;
  }
}

Outcome<bool> OtlpSender::deliver(const Events& events, StopSignal& stop) {
  for (size_t done = 0; done < events.size();) {
    const size_t sent = send_some(part(events, done, events.size() - done), stop);
    if (sent == 0) return false;
    done += sent;
  }
  return true;
}

}  // namespace knell::exporter
