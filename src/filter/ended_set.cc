// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/ended_set.h"

#include <sys/wait.h>

#include <array>
#include <charconv>
#include <optional>
#include <string>

#include "base/nearest.h"
#include "event/signal_names.h"

namespace knell::filter {
namespace {

constexpr std::array<std::string_view, 4> kWords{"signal", "core", "oom", "unknown"};
constexpr size_t kCodes = 256;

bool all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

// nullopt: above 255.
std::optional<size_t> code_of(std::string_view digits) {
  size_t code = kCodes;
  std::from_chars(digits.data(), digits.data() + digits.size(), code);
  return code < kCodes ? std::optional(code) : std::nullopt;
}

Result<void> add_range(std::bitset<kCodes>& codes, std::string_view low, std::string_view high) {
  const auto first = code_of(low), last = code_of(high);
  if (!first || !last) return say(EINVAL, "ended: exit codes are 0 to 255");
  if (*first > *last) {
    return say(EINVAL, "ended: in '" + std::string(low) + "-" + std::string(high) +
                           "' the first code is the larger");
  }
  const auto all = std::bitset<kCodes>().set();
  codes |= (all << *first) & (all >> (kCodes - 1 - *last));
  return {};
}

std::unexpected<Error> unknown_value(std::string_view value) {
  std::string sentence = "ended: '" + std::string(value) + "' is no way to end";
  // Signals have a nearest of their own, in the sentence that refuses them.
  if (const auto near = nearest(value, kWords); !near.empty()) {
    sentence += "; did you mean '" + std::string(near) + "'?";
  } else if (const auto signal = event::parse_signal(value); !signal) {
    const std::string& words = signal.error().context;
    if (const size_t at = words.find("; did you mean"); at != std::string::npos) {
      sentence += words.substr(at);
    }
  }
  return say(EINVAL, sentence + " (an exit code, 2-255, SIGKILL, signal, core, oom, unknown)");
}

}  // namespace

Result<void> EndedSet::add(std::string_view value, Number number) {
  const size_t dash = value.find('-');
  if (all_digits(value) && number == Number::kCode) {
    KNELL_TRY(add_range(codes_, value, value));
  } else if (dash != std::string_view::npos && all_digits(value.substr(0, dash)) &&
             all_digits(value.substr(dash + 1))) {
    KNELL_TRY(add_range(codes_, value.substr(0, dash), value.substr(dash + 1)));
  } else if (value == "signal") {
    signals_.set();
  } else if (value == "core") {
    core_ = true;
  } else if (value == "oom") {
    oom_ = true;
  } else if (value == "unknown") {
    unknown_ = true;
  } else if (all_digits(value) || event::looks_like_signal(value)) {
    KNELL_ASSIGN(const int signal, event::parse_signal(value));
    signals_.set(static_cast<size_t>(signal));
  } else {
    return unknown_value(value);
  }
  values_++;
  return {};
}

bool EndedSet::matches(const knell_event& event) const {
  if ((event.has & KNELL_HAS_STATUS) == 0) return unknown_;
  const int status = event.wait_status;
  if (WIFEXITED(status)) return codes_[static_cast<size_t>(WEXITSTATUS(status))];
  if (!WIFSIGNALED(status)) return unknown_;
  const bool oom = (event.has & KNELL_HAS_KILLER) != 0 && event.killed_by.cause == KNELL_CAUSE_OOM;
  return signals_[static_cast<size_t>(WTERMSIG(status))] || (core_ && WCOREDUMP(status)) ||
         (oom_ && oom);
}

}  // namespace knell::filter
