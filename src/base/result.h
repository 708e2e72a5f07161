// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace knell {

// A failing environment: the errno and what we were doing. Carried up with context and printed as
// one line. Bad words of a user are Errors too, with EINVAL and a whole sentence.
struct Error {
  int code = 0;           // an errno, positive
  std::string context;    // "open the process connector"
  bool sentence = false;  // context says it all; the errno's own words would only confuse

  std::string message() const;
};

template <class T>
using Result = std::expected<T, Error>;

// The current errno, with what failed. Reads errno before anything else can change it.
std::unexpected<Error> errno_error(std::string_view context);
std::unexpected<Error> make_error(int code, std::string_view context);
// An error told by a whole sentence: what was wrong and what would be right.
std::unexpected<Error> say(int code, std::string sentence);

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace knell

#define KNELL_CONCAT_(a, b) a##b
#define KNELL_CONCAT(a, b) KNELL_CONCAT_(a, b)

// Returns the error from the enclosing function, when there is one.
#define KNELL_TRY(expression)                                \
  do {                                                       \
    if (auto knell_try_ = (expression); !knell_try_)         \
      return std::unexpected(std::move(knell_try_).error()); \
  } while (false)

// KNELL_ASSIGN(auto fd, open_it());
#define KNELL_ASSIGN(declaration, expression) \
  KNELL_ASSIGN_(declaration, expression, KNELL_CONCAT(knell_assign_, __LINE__))
// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses
#define KNELL_ASSIGN_(declaration, expression, name)          \
  auto name = (expression);                                   \
  if (!name) return std::unexpected(std::move(name).error()); \
  declaration = *std::move(name)
// NOLINTEND(bugprone-macro-parentheses)

// A bug, not an environment: says where and aborts.
#define KNELL_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::knell::check_failed(#condition, __FILE__, __LINE__))
