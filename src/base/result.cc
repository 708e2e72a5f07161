// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/result.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace knell {

std::string Error::message() const {
  if (sentence || code == 0) return context;
  char words[128];
  return "cannot " + context + ": " + strerror_r(code, words, sizeof words);
}

std::unexpected<Error> errno_error(std::string_view context) {
  const int code = errno;
  return make_error(code, context);
}

std::unexpected<Error> make_error(int code, std::string_view context) {
  return std::unexpected(Error{code, std::string(context), false});
}

std::unexpected<Error> say(int code, std::string sentence) {
  return std::unexpected(Error{code, std::move(sentence), true});
}

void check_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "knell: bug: %s does not hold at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace knell
