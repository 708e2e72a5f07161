// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/json_value.h"
#include "cli/screen.h"

namespace knell::cli {

// What knelld tells of itself (docs/status.md), for people: a few lines on the daemon, then the
// listeners, those that were told most first. Names of users are looked up here where the daemon
// gives none.
void append_status_table(std::string& out, const JsonValue& status, const Screen& screen);

enum class Codes { kNo, kYes };

// The same for Prometheus' text format, version 0.0.4: what node_exporter's textfile collector
// reads. The number of series is bounded: of the listeners only how many there are, and of the ways
// to end six classes, with `codes` each code and signal.
void append_prometheus(std::string& out, const JsonValue& status, Codes codes);

}  // namespace knell::cli
