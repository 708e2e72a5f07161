// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

#include "base/result.h"

namespace knell::bench {

// What knell-bench ends with; an interrupted run ends as a shell would tell it.
constexpr int kDone = 0;
constexpr int kFailed = 1;  // something broke, or a check of a case (soak) failed
constexpr int kUsage = 2;
constexpr int kCannotMeasure = 3;  // no permission, too few cores, no source: not here
constexpr int kInterrupted = 130;  // 128 + SIGINT

// Why it ends early: its status, and the one line for standard error. An Error of base becomes one
// by itself, so that KNELL_TRY and KNELL_ASSIGN work in functions that return an Outcome.
struct Failure {
  int status = kFailed;
  std::string line;

  Failure(int its_status, std::string its_line) : status(its_status), line(std::move(its_line)) {}
  Failure(const Error& error) : line(error.message()) {}  // NOLINT: on purpose implicit
};

template <class T>
using Outcome = std::expected<T, Failure>;

template <class... Args>
std::unexpected<Failure> fail(int status, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Failure(status, fmt::format(format, std::forward<Args>(args)...)));
}

}  // namespace knell::bench
