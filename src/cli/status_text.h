// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "base/json_value.h"
#include "cli/screen.h"

namespace knell::cli {

// The status of knelld (docs/status.md) as text: a few lines on the daemon, then its listeners,
// those with the most delivered events first. Looks up a user's name where the daemon sends none.
void append_status_table(std::string& out, const JsonValue& status, const Screen& screen);

// The durable listeners in the status, one a line.
void append_durable_table(std::string& out, const JsonValue& status, const Screen& screen);
// The elements of the array `key` of a JSON object, which are objects, one a line.
void append_json_elements(std::string& out, std::string_view json, std::string_view key);

enum class Codes { kNo, kYes };

// The status in Prometheus' text format, version 0.0.4, as node_exporter's textfile collector reads
// it. The number of series is bounded: listeners are only counted, and exits have six classes; with
// `codes`, each exit code and signal is a series.
void append_prometheus(std::string& out, const JsonValue& status, Codes codes);

}  // namespace knell::cli
