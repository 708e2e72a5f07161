// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "cli/top/key_press.h"

namespace knell::cli {

// A line of UTF-8 that is typed: the cursor is always at a character's boundary.
class LineEditor {
 public:
  explicit LineEditor(std::string text = {}) : text_(std::move(text)), cursor_(text_.size()) {}

  const std::string& text() const { return text_; }
  std::string_view before_cursor() const { return std::string_view(text_).substr(0, cursor_); }

  void press(const KeyPress& key) {
    switch (key.code) {
      case KeyPress::Code::kText:
        if (text_.size() + key.text.size() > kMostBytes) return;
        text_.insert(cursor_, key.text);
        cursor_ += key.text.size();
        return;
      case KeyPress::Code::kBackspace:
        if (cursor_ != 0) erase(before(cursor_), cursor_);
        return;
      case KeyPress::Code::kDelete:
        if (cursor_ != text_.size()) erase(cursor_, after(cursor_));
        return;
      case KeyPress::Code::kEraseLine:
        return erase(0, text_.size());
      case KeyPress::Code::kLeft:
        if (cursor_ != 0) cursor_ = before(cursor_);
        return;
      case KeyPress::Code::kRight:
        if (cursor_ != text_.size()) cursor_ = after(cursor_);
        return;
      case KeyPress::Code::kHome:
        cursor_ = 0;
        return;
      case KeyPress::Code::kEnd:
        cursor_ = text_.size();
        return;
      default:
        return;
    }
  }

 private:
  static constexpr size_t kMostBytes = 1024;  // chosen: more than a person types

  bool continues(size_t at) const { return (static_cast<unsigned char>(text_[at]) & 0xc0) == 0x80; }
  size_t before(size_t at) const {
    do --at;
    while (at != 0 && continues(at));
    return at;
  }
  size_t after(size_t at) const {
    do ++at;
    while (at < text_.size() && continues(at));
    return at;
  }
  void erase(size_t from, size_t to) {
    text_.erase(from, to - from);
    cursor_ = from;
  }

  std::string text_;
  size_t cursor_;
};

}  // namespace knell::cli
