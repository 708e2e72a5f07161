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

// One ExportLogsServiceRequest in OTLP's JSON encoding: a LogRecord for each event. `refused`: how
// many events before the endpoint did not take; when it is not 0, a record says so first.
std::string otlp_request(const OtlpResource& resource, const Events& events, uint64_t refused,
                         int64_t now_ns);

// What the answer to an accepted request says (ExportLogsServiceResponse).
struct OtlpAnswer {
  uint64_t rejected = 0;  // log records that the endpoint did not take
  std::string message;    // why, or a warning; may be empty
};
OtlpAnswer parse_otlp_answer(const std::string& body);

}  // namespace knell::exporter
