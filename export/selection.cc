// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/selection.h"

#include <knell/knell.hpp>

namespace knell::exporter {

void Selection::add_match(CommandLine& line) {
  line.add_values("-m,--match", matches_, "KEY=VALUE",
                  "only processes that match this predicate of knell_match(3),\nsuch as "
                  "unit=postgresql, comm=!grep or ended=signal");
}

void Selection::add_options(CommandLine& line) {
  line.add_value("-e,--events", events_, "EVENTS", "what to export (default nonzero-exit)");
  line.add_value("--details", details_, "LEVEL",
                 "details of a process to export: status, names, or full (default)");
  add_match(line);
  line.add_value("--durable", durable_, "NAME",
                 "the name of the durable listener; knelld keeps its events until they\nare "
                 "delivered (default " +
                     durable_ + ")");
  line.add_flag(
      "--plain", plain_,
      "use no durable listener: events are not exported while this program\ndoes not run");
}

Outcome<Intake::Options> Selection::options() const {
  Intake::Options out;
  out.matches = matches_;
  if (!plain_) out.durable = durable_;
  if (!events_.empty()) {
    std::error_code error;
    out.events = events_parse(events_, error);
    if (error) return fail(kUsage, "--events: {}", printable(explain()));
  }
  if (details_ == "status") {
    out.details = KNELL_DETAILS_STATUS;
  } else if (details_ == "names") {
    out.details = KNELL_DETAILS_NAMES;
  } else if (!details_.empty() && details_ != "full") {
    return fail(kUsage, "--details takes status, names or full, not '{}'", printable(details_));
  }
  return out;
}

}  // namespace knell::exporter
