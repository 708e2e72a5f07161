// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace knell::cli {

// A key of the terminal, or a character that was typed.
struct KeyPress {
  enum class Code : uint8_t {
    kText,  // `text`: one character, UTF-8
    kEnter,
    kEscape,
    kTab,
    kBackspace,
    kDelete,
    kEraseLine,  // Ctrl-U
    kUp,
    kDown,
    kLeft,
    kRight,
    kPageUp,
    kPageDown,
    kHome,
    kEnd,
    kRedraw,  // Ctrl-L
    kOther
  };
  Code code = Code::kOther;
  std::string text;

  static KeyPress of(char character) { return {Code::kText, std::string(1, character)}; }
};

}  // namespace knell::cli
