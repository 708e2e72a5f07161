// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace knell::journal {

// What a check of every page, block, record and text of a journal found.
struct Verification {
  std::string id;
  int64_t events = 0;  // that can be read
  int64_t oldest_seq = 0, newest_seq = 0;
  int64_t blocks = 0;
  int64_t texts = 0;
  std::vector<std::string> problems;  // one line each, at most kMostProblems
  static constexpr size_t kMostProblems = 100;
};

// Reads the whole file, in one transaction. Errors: as Reader::open().
Result<Verification> verify(const std::string& path);

}  // namespace knell::journal
