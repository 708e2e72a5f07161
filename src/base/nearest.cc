// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace knell {
namespace {

constexpr size_t kLongest = 31;  // longer words are not compared

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// The optimal string alignment distance: counts insertions, deletions, substitutions, and swaps of
// neighbours. Three rows of the matrix are enough.
size_t distance(std::string_view a, std::string_view b) {
  using Row = std::array<size_t, kLongest + 1>;
  Row before{}, above{}, row{};
  for (size_t j = 0; j <= b.size(); j++) above[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); j++) {
      const bool same = lower(a[i - 1]) == lower(b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && lower(a[i - 1]) == lower(b[j - 2]) &&
                           lower(a[i - 2]) == lower(b[j - 1]);
      if (swapped) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = above;
    above = row;
  }
  return above[b.size()];
}

}  // namespace

std::string_view nearest(std::string_view typed, std::span<const std::string_view> words) {
  if (typed.empty() || typed.size() > kLongest) return {};
  std::string_view best;
  size_t best_distance = kLongest;
  for (const std::string_view word : words) {
    if (word.size() > kLongest) continue;
    size_t d = distance(typed, word);
    // "exi" or "non": a prefix of three letters or more matches, however much is missing.
    const bool front = typed.size() >= 3 && word.size() > typed.size() &&
                       distance(typed, word.substr(0, typed.size())) == 0;
    if (front) d = 1;
    if (d < best_distance) {
      best = word;
      best_distance = d;
    }
  }
  // One letter may be wrong, or up to a third of them.
  return best_distance <= std::max<size_t>(1, (typed.size() + 1) / 3) ? best : std::string_view();
}

}  // namespace knell
