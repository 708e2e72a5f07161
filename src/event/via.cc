// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/via.h"

#include <knell/knell.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/nearest.h"
#include "event/printable.h"

namespace knell::event {
namespace {

// Indexed by enum knell_via.
constexpr std::array<std::string_view, 9> kNames{
    "auto", "connector", "bpf", "pidfd", "proc", "recording", "daemon", "ptrace", "journal"};

}  // namespace

const char* via_name(uint32_t via) { return via < kNames.size() ? kNames[via].data() : "unknown"; }

Result<uint32_t> parse_via(std::string_view text) {
  const auto found = std::ranges::find(kNames, text);
  if (found != kNames.end()) return static_cast<uint32_t>(found - kNames.begin());
  const std::string_view near = nearest(text, kNames);
  return say(EINVAL,
             "unknown source '" + printable(text) + "'; " +
                 (near.empty() ? "the sources are auto, daemon, bpf, connector, pidfd and ptrace"
                               : "did you mean " + std::string(near) + "?"));
}

}  // namespace knell::event
