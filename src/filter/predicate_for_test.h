// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <concepts>
#include <string>
#include <utility>

#include "filter/predicate.h"

namespace knell::filter {

inline Predicate wants(Key key, std::integral auto number) {
  return {.key = key, .excluded = false, .value = static_cast<int64_t>(number)};
}
inline Predicate wants(Key key, std::string text) {
  return {.key = key, .excluded = false, .value = std::move(text)};
}
inline Predicate wants(const Ended& ended) {
  return {.key = Key::kEnded, .excluded = false, .value = ended};
}
inline Ended codes(uint16_t first, uint16_t last) {
  return {.kind = Ended::Kind::kCodes, .first = first, .last = last};
}
inline Ended any_signal() { return {.kind = Ended::Kind::kAnySignal}; }

inline Predicate excludes(Predicate predicate) {
  predicate.excluded = true;
  return predicate;
}

}  // namespace knell::filter
