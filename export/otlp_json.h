// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <knell/knell.hpp>
#include <string>

namespace knell::exporter {

// Where the events come from; empty texts are left out.
struct OtlpResource {
  std::string host_name;
  std::string host_id;  // of /etc/machine-id, as the semantic conventions have it
  static OtlpResource of_this_machine();
};

// The events that the endpoint did not take.
struct OtlpRefused {
  uint64_t count = 0;
  bool exact = true;  // false: `count` may be wrong, because the number of a lost event is unknown
};

struct OtlpRequest {
  std::string body;
  size_t events = 0;  // the number of events in it
};

// One ExportLogsServiceRequest in OTLP's JSON encoding: a LogRecord for each of the first `events`,
// at least one, until the request has `most_bytes`; the last record may exceed them. When
// `refused.count` is not 0, a record reports it first.
OtlpRequest otlp_request(const OtlpResource& resource, const Events& events,
                         const OtlpRefused& refused, int64_t now_ns, size_t most_bytes);

// What the answer to an accepted request says (ExportLogsServiceResponse).
struct OtlpAnswer {
  uint64_t rejected = 0;  // log records that the endpoint did not take
  std::string message;    // why, or a warning; may be empty
};
OtlpAnswer parse_otlp_answer(const std::string& body);

}  // namespace knell::exporter
