// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

#include "base/result.h"

namespace knell::cli {

// Exit statuses. `run` and `wait` return the status of a process, so there a failure of knell
// itself is 124 or above, as with env and timeout.
constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNothingHere = 3;  // nothing can be observed here
constexpr int kTimedOut = 124;
constexpr int kKnellFailed = 125;
constexpr int kCannotRun = 126;
constexpr int kNotFound = 127;

// Why a command ends early: its status, and the one line for standard error.
struct Failure {
  int status = kFailed;
  std::string line;
};

template <class T>
using Outcome = std::expected<T, Failure>;

inline std::unexpected<Failure> fail(int status, std::string line) {
  return std::unexpected(Failure{status, std::move(line)});
}

// Wrong usage: says what is wrong on the command line and what would be right.
template <class... Args>
std::unexpected<Failure> usage(fmt::format_string<Args...> format, Args&&... args) {
  return fail(kUsage, fmt::format(format, std::forward<Args>(args)...));
}

// A failure of the environment.
template <class... Args>
std::unexpected<Failure> failed(fmt::format_string<Args...> format, Args&&... args) {
  return fail(kFailed, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace knell::cli
