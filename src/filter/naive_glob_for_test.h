// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// A simple and slow glob, which filter/glob.h must agree with.
namespace knell::filter::naive {

// The members of the bracket at pattern[at], as [first, end); `end` is the position of its `]`, 0:
// no bracket.
struct Bracket {
  size_t first = 0, end = 0;
  bool negated = false;
};

inline Bracket bracket_at(std::string_view pattern, size_t at) {
  Bracket b;
  b.first = at + 1;
  if (b.first < pattern.size() && (pattern[b.first] == '!' || pattern[b.first] == '^')) {
    b.negated = true;
    b.first++;
  }
  // A `]` as the first member is a plain byte.
  for (size_t i = b.first; i < pattern.size(); i++) {
    if (pattern[i] == ']' && i > b.first) {
      b.end = i;
      break;
    }
    if (pattern[i] == '\\') i++;
  }
  return b;
}

// Returns the member at `i` and advances `i`.
inline uint8_t take_member(std::string_view pattern, size_t& i, size_t end) {
  if (pattern[i] == '\\' && i + 1 < end) i++;
  return static_cast<uint8_t>(pattern[i++]);
}

inline bool bracket_has(std::string_view pattern, const Bracket& b, uint8_t c) {
  bool found = false;
  for (size_t i = b.first; i < b.end;) {
    const uint8_t low = take_member(pattern, i, b.end);
    uint8_t high = low;
    if (i + 1 < b.end && pattern[i] == '-') {
      i++;
      high = take_member(pattern, i, b.end);
    }
    found = found || (low <= c && c <= high);
  }
  return found != b.negated;
}

// Matches one element of the pattern, not `*`, and advances `p` and `t`. False: no match.
inline bool match_element(std::string_view pattern, size_t& p, std::string_view text, size_t& t) {
  switch (pattern[p]) {
    case '?':
      p++;
      t++;
      while (t < text.size() && (static_cast<uint8_t>(text[t]) & 0xc0) == 0x80) t++;
      return true;
    case '[':
      if (const Bracket b = bracket_at(pattern, p); b.end != 0) {
        p = b.end + 1;
        return bracket_has(pattern, b, static_cast<uint8_t>(text[t++]));
      }
      break;
    case '\\':
      if (p + 1 < pattern.size()) p++;
      break;
    default:
      break;
  }
  return pattern[p++] == text[t++];
}

inline bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  // The last `*` in the pattern, and the end of the text that it matches so far
  size_t star = std::string_view::npos, taken = 0;
  while (true) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      taken = t;
      continue;
    }
    if (t == text.size() && p == pattern.size()) return true;
    if (t < text.size() && p < pattern.size() && match_element(pattern, p, text, t)) continue;
    if (star == std::string_view::npos || taken >= text.size()) return false;
    p = star + 1;
    t = ++taken;
  }
}

}  // namespace knell::filter::naive
