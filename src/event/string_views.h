// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

#include "event/batch.h"

namespace knell::event {

// The number of bytes before the first NUL. Not strnlen(): its wide load of bytes that were just
// stored one by one has to wait for the stores.
inline size_t size_of(const Comm& comm) {
  constexpr uint64_t kOnes = 0x0101010101010101;
  for (size_t i = 0; i < comm.size(); i += sizeof(uint64_t)) {
    uint64_t word;
    std::memcpy(&word, comm.data() + i, sizeof word);
    if constexpr (std::endian::native == std::endian::big) word = std::byteswap(word);
    const uint64_t nul = (word - kOnes) & ~word & kOnes * 0x80;  // exact up to the first NUL
    if (nul != 0) return i + static_cast<size_t>(std::countr_zero(nul)) / 8;
  }
  return comm.size();
}

// An event's string for a known name; it may be empty.
inline knell_string known_view_of(const Comm& comm) { return {comm.data(), size_of(comm)}; }
// An event's string for a text that the event does not own; empty text: unknown.
inline knell_string view_of(const Comm& comm) {
  const size_t size = size_of(comm);
  return size == 0 ? knell_string{nullptr, 0} : knell_string{comm.data(), size};
}
inline knell_string view_of(const std::string& text) {
  return text.empty() ? knell_string{nullptr, 0} : knell_string{text.data(), text.size()};
}

}  // namespace knell::event
