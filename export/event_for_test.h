// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <csignal>
#include <string>

namespace knell::exporter {

// What the unit tests share.

// `of` must outlive the event.
inline knell_string text(const std::string& of) { return {of.data(), of.size()}; }

constexpr int exit_status(int code) { return code << 8; }
constexpr int kCoreStatus = SIGSEGV | 0x80;

// An exit in `in_unit` (empty: in none), which must outlive it.
struct Exit : knell_event {
  explicit Exit(const std::string& in_unit, int status) : knell_event{} {
    size = sizeof(knell_event);
    type = KNELL_EVENT_EXIT;
    has = KNELL_HAS_STATUS;
    wait_status = status;
    if (!in_unit.empty()) unit = text(in_unit);
  }
  Exit& killed(uint32_t cause) {
    has |= KNELL_HAS_KILLER;
    killed_by.cause = cause;
    return *this;
  }
};

struct Lost : knell_event {
  explicit Lost(uint64_t count) : knell_event{} {
    size = sizeof(knell_event);
    type = KNELL_EVENT_LOST;
    has = KNELL_HAS_COUNT;
    flags = KNELL_FLAG_EXACT;
    lost_count = count;
    lost_types = KNELL_EVENT_EXIT;
  }
};

}  // namespace knell::exporter
