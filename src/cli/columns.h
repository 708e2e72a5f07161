// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/failure.h"

namespace knell::cli {

// What a column of a table, or of csv, shows of an event.
enum class Field : uint8_t {
  kTime,
  kType,
  kPid,
  kTid,
  kPpid,
  kParent,
  kUser,
  kUid,
  kUnit,
  kCgroup,
  kContainer,
  kTty,
  kAge,
  kEnded,
  kExitCode,
  kSignal,
  kKiller,
  kComm,
  kExe,
  kCwd,
  kCommand,
  kId,
  kVia
};

// Parses "time,pid,ended". Unknown and repeated names are refused.
Outcome<std::vector<Field>> parse_columns(std::string_view list);

std::string_view column_name(Field field);   // "exit_code"
std::string_view column_title(Field field);  // "CODE"
size_t column_width(Field field);            // of usual values, in a table

// The value for people: local time, units without .service; "" where it is unknown. Safe to print.
std::string table_value(Field field, const knell_event& event);
// The value for programs: times in UTC, ages in seconds; "" where it is unknown. Valid UTF-8.
std::string csv_value(Field field, const knell_event& event);

}  // namespace knell::cli
