// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fmt/format.h>

#include <expected>
#include <string>
#include <utility>

namespace knell::exporter {

// The exit statuses of knell-export, those of knell.
constexpr int kDone = 0;
constexpr int kFailed = 1;
constexpr int kUsage = 2;
constexpr int kNothingHere = 3;  // knelld or the destination is not there

// Why the program ends early: its status, and the one line for standard error.
struct Failure {
  int status = kFailed;
  std::string line;
};

template <class T>
using Outcome = std::expected<T, Failure>;

template <class... Args>
std::unexpected<Failure> fail(int status, fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Failure{status, fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace knell::exporter
