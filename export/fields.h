// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace knell::exporter {

// A value of a field: text is valid UTF-8. monostate: unknown, or the event has no such field; then
// the field is left out.
using Value = std::variant<std::monostate, int64_t, bool, std::string, std::vector<std::string>>;

// A field of an event, by its name in each format that has fields; an empty name: not in that
// format. OpenTelemetry: the attribute of its semantic conventions where there is one, else
// knell.NAME with the name in JSON (docs/fields.md).
struct Field {
  std::string_view attribute;
  std::string_view journal;
  Value (*of)(const knell_event& event);
};
std::span<const Field> fields();

enum class Severity { kInfo, kWarning, kError };
// Error: a core dump or the out-of-memory killer. Warning: other failures, and lost events.
Severity severity_of(const knell_event& event);

// One line for people: "postgres[8091]: SIGKILL by bash[8103], postgresql.service".
std::string summary_of(const knell_event& event);

}  // namespace knell::exporter
