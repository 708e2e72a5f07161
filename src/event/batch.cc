// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/batch.h"

#include <cstring>
#include <memory>
#include <new>

namespace knell::event {

knell_string Batch::copy(std::string_view text, Ended ended) {
  const bool end = ended == Ended::kYes && !text.empty() && text.back() != '\0';
  const size_t bytes = text.size() + (end ? 1 : 0);
  char* place = allocate(bytes);
  if (!text.empty()) std::memcpy(place, text.data(), text.size());
  if (end) place[text.size()] = '\0';
  return {place, bytes};
}

std::span<const NamespacePids> Batch::copy(std::span<const NamespacePids> levels) {
  if (levels.empty()) return {};
  constexpr size_t kAlign = alignof(NamespacePids);
  text_used_ = (text_used_ + kAlign - 1) / kAlign * kAlign;
  char* place = allocate(levels.size_bytes());
  std::uninitialized_copy(levels.begin(), levels.end(), reinterpret_cast<NamespacePids*>(place));
  return {std::launder(reinterpret_cast<const NamespacePids*>(place)), levels.size()};
}

char* Batch::allocate(size_t bytes) {
  KNELL_CHECK(bytes <= kChunkBytes);
  if (chunks_.empty() || text_used_ + bytes > kChunkBytes) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes));
    text_used_ = 0;
  }
  char* room = chunks_.back().get() + text_used_;
  text_used_ += bytes;
  return room;
}

}  // namespace knell::event
