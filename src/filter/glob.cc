// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/glob.h"

#include <algorithm>
#include <utility>

#include "filter/shortest_match.h"

// A pattern is a sequence of segments separated by stars. The first segment must match at the start
// of the text, the last one at its end, and each of the others at the first place after the match
// of the segment before it. There is no backtracking to an earlier star: what follows it has
// matched as early as possible.
//
// So each byte of the text is searched for one segment only. A short segment is tried at each place
// in turn. A longer one, and one with a `?`, whose length in bytes varies, is searched for with the
// bits of machine words: bit i is set if the tokens up to i match the bytes up to here; one shift
// and one `and` advance all bits by a byte (Baeza-Yates and Gonnet's Shift-And). A search is
// therefore linear in the text, for any pattern and any text.
namespace knell::filter {
namespace {

constexpr size_t kNone = std::string_view::npos;
constexpr size_t kShort = 4;  // tokens that are tried at each place; chosen, not measured
constexpr size_t kBytes = 256;
constexpr size_t kWordBits = 64;

bool continues(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// The position of the `]` of the bracket whose members begin at `first`; kNone: there is none.
size_t end_of_bracket(std::string_view pattern, size_t first) {
  for (size_t i = first; i < pattern.size(); i++) {
    if (pattern[i] == ']' && i > first) return i;  // as the first member it is a plain byte
    if (pattern[i] == '\\') i++;
  }
  return kNone;
}

// Returns the member at `i` and advances `i`.
uint8_t take_member(std::string_view pattern, size_t& i, size_t end) {
  if (pattern[i] == '\\' && i + 1 < end) i++;
  return static_cast<uint8_t>(pattern[i++]);
}

std::bitset<kBytes> members(std::string_view pattern, size_t first, size_t end) {
  std::bitset<kBytes> set;
  for (size_t i = first; i < end;) {
    const size_t low = take_member(pattern, i, end);
    size_t high = low;
    if (i + 1 < end && pattern[i] == '-') {
      i++;
      high = take_member(pattern, i, end);
    }
    for (size_t byte = low; byte <= high; byte++) set.set(byte);
  }
  return set;
}

}  // namespace

Glob::Glob(std::string_view pattern) : pattern_(pattern) {
  parse(pattern);
  // No search, so no masks: the first segment is matched at the start of the text, and the last
  // one, if its length is fixed, at the end.
  for (size_t i = 1; i < segments_.size(); i++) {
    Segment& segment = segments_[i];
    const bool last = i + 1 == segments_.size();
    if (segment.any || (!last && segment.size() > kShort)) add_masks(segment);
  }
}

void Glob::parse(std::string_view pattern) {
  Segment segment;
  const auto add = [&](Token token) {
    tokens_.push_back(token);
    bytes_.push_back(static_cast<char>(token.byte));
    segment.plain &= token.kind == Token::Kind::kByte;
    segment.any |= token.kind == Token::Kind::kAny;
  };
  const auto end_segment = [&](bool keep_empty) {
    segment.end = tokens_.size();
    if (keep_empty || segment.size() > 0) segments_.push_back(segment);
    segment = {.first = tokens_.size()};
  };
  bool brackets = true;  // false after a `[` without `]`: then no later `[` has one either
  for (size_t p = 0; p < pattern.size();) {
    const char c = pattern[p++];
    if (c == '*') {
      end_segment(segments_.empty());
    } else if (c == '?') {
      add({.kind = Token::Kind::kAny});
    } else if (const size_t next = c == '[' && brackets ? parse_set(pattern, p) : 0; next != 0) {
      add({.kind = Token::Kind::kSet, .set = static_cast<uint32_t>(sets_.size() - 1)});
      p = next;
    } else {
      brackets &= c != '[';
      const bool escaped = c == '\\' && p < pattern.size();
      add({.byte = static_cast<uint8_t>(escaped ? pattern[p++] : c)});
    }
  }
  end_segment(true);
}

// Parses the set whose members begin at `at`. Returns the position after its `]`; 0: it has no `]`.
size_t Glob::parse_set(std::string_view pattern, size_t at) {
  const bool negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
  const size_t first = at + (negated ? 1 : 0);
  const size_t end = end_of_bracket(pattern, first);
  if (end == kNone) return 0;
  const Set set = members(pattern, first, end);
  sets_.push_back(negated ? ~set : set);
  return end + 1;
}

bool Glob::takes(const Token& token, uint8_t byte) const {
  switch (token.kind) {
    case Token::Kind::kByte:
      return token.byte == byte;
    case Token::Kind::kAny:
      return true;
    case Token::Kind::kSet:
      return sets_[token.set][byte];
  }
  return false;
}

// Bytes that no token distinguishes share a class, and so a mask. In a segment with sets each byte
// has a class of its own.
void Glob::add_masks(Segment& segment) {
  segment.masked = true;
  segment.words = (segment.size() + kWordBits - 1) / kWordBits;
  segment.classes = classes_.size();
  segment.masks = masks_.size();
  const auto begin = tokens_.begin() + static_cast<std::ptrdiff_t>(segment.first);
  const auto end = tokens_.begin() + static_cast<std::ptrdiff_t>(segment.end);
  const bool sets =
      std::any_of(begin, end, [](const Token& token) { return token.kind == Token::Kind::kSet; });
  classes_.resize(segment.classes + kBytes);
  uint8_t* const classes = &classes_[segment.classes];
  size_t count = 1;  // class 0: bytes that no token names
  if (sets) {
    for (size_t byte = 0; byte < kBytes; byte++) classes[byte] = static_cast<uint8_t>(byte);
    count = kBytes;
  } else {
    // If all 256 bytes are named by tokens, the last one uses class 0.
    for (auto token = begin; token != end; ++token)
      if (token->kind == Token::Kind::kByte && classes[token->byte] == 0 && count < kBytes)
        classes[token->byte] = static_cast<uint8_t>(count++);
  }
  masks_.resize(segment.masks + (count + 1) * segment.words);
  const auto set_bit = [&](size_t mask, size_t i) {
    masks_[segment.masks + mask * segment.words + i / kWordBits] |= uint64_t{1} << i % kWordBits;
  };
  for (size_t i = 0; i < segment.size(); i++) {
    const Token& token = tokens_[segment.first + i];
    if (token.kind == Token::Kind::kByte) {
      set_bit(1 + classes[token.byte], i);
      continue;
    }
    const bool any = token.kind == Token::Kind::kAny;
    if (any) set_bit(0, i);
    for (size_t one = 0; one < count; one++)
      if (any || sets_[token.set][one]) set_bit(1 + one, i);
  }
}

// Matches the segment at `at`; returns the position after the match, kNone: no match.
template <class Count>
size_t Glob::match_here(const Segment& segment, std::string_view text, size_t at,
                        Count count) const {
  if (segment.plain) {
    count();
    const std::string_view bytes(bytes_.data() + segment.first, segment.size());
    return text.substr(at).starts_with(bytes) ? at + bytes.size() : kNone;
  }
  for (size_t i = segment.first; i < segment.end; i++) {
    count();
    if (at == text.size() || !takes(tokens_[i], static_cast<uint8_t>(text[at]))) return kNone;
    at++;
    if (tokens_[i].kind != Token::Kind::kAny) continue;
    for (; at < text.size() && continues(text[at]); at++) count();
  }
  return at;
}

// Returns the position after the first match at `at` or later; kNone: no match.
template <class Count>
size_t Glob::search(const Segment& segment, std::string_view text, size_t at, Count count) const {
  for (; text.size() - at >= segment.size(); at++)
    if (const size_t end = match_here(segment, text, at, count); end != kNone) return end;
  return kNone;
}

// As search(), for a segment with masks. `to_end`: the match must end at the end of the text.
template <class Count>
size_t Glob::search_masked(const Segment& segment, std::string_view text, size_t at, bool to_end,
                           Count count) const {
  constexpr size_t kUsual = 64;  // words: enough for any value of a predicate (kMaxValueBytes)
  const size_t words = segment.words;
  uint64_t usual[kUsual];
  std::vector<uint64_t> large(words > kUsual ? words : 0);
  uint64_t* const state = words > kUsual ? large.data() : usual;
  std::fill_n(state, words, uint64_t{0});
  const uint8_t* const classes = &classes_[segment.classes];
  const uint64_t* const any = &masks_[segment.masks];
  const size_t last = segment.size() - 1;
  for (; at < text.size(); at++) {
    const uint64_t* const mask =
        any + (1 + size_t{classes[static_cast<uint8_t>(text[at])]}) * words;
    // The `?` that matched the first byte of a character matches its other bytes too.
    const uint64_t stays = continues(text[at]) ? ~uint64_t{0} : 0;
    uint64_t carry = 1;  // a match may begin at each byte
    for (size_t w = 0; w < words; w++) {
      count();
      const uint64_t held = state[w] & any[w] & stays, moves = state[w] & ~held;
      state[w] = (((moves << 1) | carry) & mask[w]) | held;
      carry = moves >> (kWordBits - 1);
    }
    const bool found = (state[last / kWordBits] >> last % kWordBits & 1) != 0;
    if (!found || (to_end && at + 1 < text.size())) continue;
    at++;
    if (tokens_[segment.end - 1].kind == Token::Kind::kAny)
      for (; at < text.size() && continues(text[at]); at++) count();
    return at;
  }
  return kNone;
}

template <class Count>
bool Glob::run(std::string_view text, Count count) const {
  if (text.size() < tokens_.size()) return false;  // each token matches at least one byte
  size_t at = match_here(segments_.front(), text, 0, count);
  if (segments_.size() == 1 || at == kNone) return at == text.size();
  for (size_t i = 1; i + 1 < segments_.size(); i++) {
    const Segment& segment = segments_[i];
    at = segment.masked ? search_masked(segment, text, at, false, count)
                        : search(segment, text, at, count);
    if (at == kNone) return false;
  }
  const Segment& last = segments_.back();
  if (last.masked) return search_masked(last, text, at, true, count) != kNone;
  return text.size() - at >= last.size() &&
         match_here(last, text, text.size() - last.size(), count) != kNone;
}

bool Glob::matches(std::string_view text) const {
  return run(text, [] {});
}

size_t Glob::steps_for_testing(std::string_view text) const {
  size_t steps = 0;
  run(text, [&steps] { steps++; });
  return steps;
}

size_t Glob::most_steps(size_t text_bytes) const {
  size_t a_byte = 0;  // steps for each byte of the text, in the most expensive segment
  for (size_t i = 1; i < segments_.size(); i++) {
    const Segment& segment = segments_[i];
    if (segment.masked)
      a_byte = std::max(a_byte, segment.words);
    else if (i + 1 < segments_.size())
      a_byte = std::max(a_byte, segment.plain ? 1 : segment.size());
  }
  // Adds the steps for the first and the last segment, and for the further bytes of characters that
  // `?` matches.
  const size_t fixed = std::min(text_bytes, tokens_.size()) + 2;
  const bool any = std::ranges::any_of(segments_, &Segment::any);
  return fixed + (any ? text_bytes : 0) + a_byte * text_bytes;
}

size_t Glob::bytes() const {
  return sizeof *this + pattern_.capacity() + bytes_.capacity() +
         tokens_.capacity() * sizeof(Token) + sets_.capacity() * sizeof(Set) +
         segments_.capacity() * sizeof(Segment) + classes_.capacity() +
         masks_.capacity() * sizeof(uint64_t);
}

size_t shortest_match(std::string_view pattern) {
  size_t bytes = 0;
  for (size_t at = 0; at < pattern.size();) {
    const char c = pattern[at++];
    if (c == '*') continue;
    ++bytes;
    if (c == '\\' && at < pattern.size()) ++at;
    if (c != '[') continue;
    const bool negated = at < pattern.size() && (pattern[at] == '!' || pattern[at] == '^');
    const size_t end = end_of_bracket(pattern, at + (negated ? 1 : 0));
    if (end != kNone) at = end + 1;
  }
  return bytes;
}

bool is_glob(std::string_view pattern) {
  return pattern.find_first_of("*?[\\") != std::string_view::npos;
}

}  // namespace knell::filter
