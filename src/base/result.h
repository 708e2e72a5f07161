// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace knell {

// A failure of the environment: the errno and the operation that failed. Callers pass it up with
// context, and main prints it as one line, "cannot OPERATION: TEXT OF THE ERRNO". Wrong input of a
// user is an Error too, with EINVAL and the whole message.
struct Error {
  int code = 0;           // an errno, positive
  std::string context;    // the operation as a verb phrase: "open the process connector"
  bool sentence = false;  // `context` is the whole message

  std::string message() const;
};

template <class T>
using Result = std::expected<T, Error>;

// An Error of the current errno, which is read first; `context` names the operation that failed.
std::unexpected<Error> errno_error(std::string_view context);
std::unexpected<Error> make_error(int code, std::string_view context);
// An Error with the whole message: what is wrong and what would be right.
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

// Checks a condition that is false only if the program has a bug; then prints the place and aborts.
#define KNELL_CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::knell::check_failed(#condition, __FILE__, __LINE__))
