// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace knell::exporter {

// The class of the way in which a process ended: label `ended` of the metrics, and what severities
// and message ids follow from. Hundreds of exit codes and signals would each be a series.
enum class Ending { kOk, kNonzero, kSignal, kCore, kOom, kUnknown };
constexpr std::array<std::string_view, 6> kEndings{"ok",   "nonzero", "signal",
                                                   "core", "oom",     "unknown"};

// Of an event of type exit. A core dump that followed a kill by the kernel's out-of-memory killer
// is kOom.
Ending ending_of(const knell_event& exit);

inline std::string_view name_of(Ending ending) { return kEndings[static_cast<size_t>(ending)]; }
// Whether the process failed; an unknown status counts, as in the mask KNELL_EVENT_NONZERO_EXIT.
inline bool failed(Ending ending) { return ending != Ending::kOk; }

}  // namespace knell::exporter
