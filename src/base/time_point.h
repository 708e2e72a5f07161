// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace knell {

// A time as people type it, as CLOCK_REALTIME ns, in the local time zone:
//   1h, 1h30m ago, -2d    that long before `now_ns`;  +5m  after it
//   now, today, yesterday, tomorrow                   (a day begins at 00:00)
//   06:00, 06:00:30.5                                 today
//   2026-11-23, 2026-11-23 06:00, 2026-11-23T06:00:30.123456789
//   ... with " UTC", "Z" or "+02:00" behind           in that time zone
//   @1790000000, @1790000000.5                        seconds since the epoch
// Errors: EINVAL.
Result<int64_t> parse_time(std::string_view text, int64_t now_ns);

}  // namespace knell
