// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bitset>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace knell::filter {

// A shell glob over bytes, compiled once: `*` (matches slashes and leading dots too), `?` (one
// UTF-8 character), `[a-z]`, `[!a-z]`; `\` makes the next byte plain; a `[` without `]` is a plain
// byte. fnmatch(3) would need a NUL at the end, depends on the program's locale, may allocate, and
// searches for the end of a bracket each time. Immutable; matches() is thread-safe.
//
// The time of matches() is linear in the length of the text, times the number of 64-token words of
// the longest segment between two stars; see glob.cc.
class Glob {
 public:
  explicit Glob(std::string_view pattern);

  bool matches(std::string_view text) const;
  // The most that matches() can cost for a text of up to `text_bytes`, in steps of a few
  // instructions each.
  size_t most_steps(size_t text_bytes) const;
  size_t steps_for_testing(std::string_view text) const;
  size_t bytes() const;  // memory, this object included
  const std::string& pattern() const { return pattern_; }

  bool operator==(const Glob& other) const { return pattern_ == other.pattern_; }
  auto operator<=>(const Glob& other) const { return pattern_ <=> other.pattern_; }

 private:
  struct Token {
    enum class Kind : uint8_t { kByte, kAny, kSet };
    Kind kind = Kind::kByte;
    uint8_t byte = 0;  // kByte
    uint32_t set = 0;  // kSet: in sets_
  };
  // The tokens between two stars, or between a star and an end of the pattern.
  struct Segment {
    size_t first = 0, end = 0;      // in tokens_
    bool plain = true;              // bytes only
    bool any = false;               // has a `?`: the number of bytes it matches varies
    bool masked = false;            // searched for with masks
    size_t words = 0;               // of a mask
    size_t classes = 0, masks = 0;  // index of this segment's first entry in classes_ and masks_
    size_t size() const { return end - first; }
  };
  using Set = std::bitset<256>;

  void parse(std::string_view pattern);
  size_t parse_set(std::string_view pattern, size_t at);
  void add_masks(Segment& segment);
  bool takes(const Token& token, uint8_t byte) const;
  template <class Count>
  size_t match_here(const Segment& segment, std::string_view text, size_t at, Count count) const;
  template <class Count>
  size_t search(const Segment& segment, std::string_view text, size_t at, Count count) const;
  template <class Count>
  size_t search_masked(const Segment& segment, std::string_view text, size_t at, bool to_end,
                       Count count) const;
  template <class Count>
  bool run(std::string_view text, Count count) const;

  std::string pattern_;
  std::vector<Token> tokens_;
  std::string bytes_;  // the byte of each token (Token::byte); 0 for kAny and kSet
  std::vector<Set> sets_;
  std::vector<Segment>
      segments_;  // in order; the first and the last may be empty; a pattern without a star has one
  std::vector<uint8_t> classes_;  // 256 for each masked segment: the class of each byte
  std::vector<uint64_t> masks_;   // for each masked segment: one for `?`, then one for each class
};

// Whether the pattern has a special character: `*`, `?`, `[` or `\`.
bool is_glob(std::string_view pattern);

}  // namespace knell::filter
