// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "filter/glob.h"
#include "filter/naive_glob_for_test.h"

// The input is a pattern, a newline and a text. The match must agree with the naive one, and take
// no more steps than most_steps().
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t end = all.find('\n');
  if (end == std::string_view::npos) return 0;
  const std::string_view pattern = all.substr(0, end), text = all.substr(end + 1);
  const knell::filter::Glob glob(pattern);
  KNELL_CHECK(glob.matches(text) == knell::filter::naive::glob_matches(pattern, text));
  KNELL_CHECK(glob.steps_for_testing(text) <= glob.most_steps(text.size()));
  return 0;
}
