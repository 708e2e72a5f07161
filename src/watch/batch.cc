// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/batch.h"

#include <cstring>
#include <memory>
#include <new>

namespace knell::watch {

knell_string Batch::copy(std::string_view text, Ended ended) {
  const bool end = ended == Ended::kYes && !text.empty() && text.back() != '\0';
  const size_t bytes = text.size() + (end ? 1 : 0);
  char* place = take(bytes);
  if (!text.empty()) std::memcpy(place, text.data(), text.size());
  if (end) place[text.size()] = '\0';
  return {place, bytes};
}

std::span<const event::NamespacePids> Batch::copy(std::span<const event::NamespacePids> levels) {
  if (levels.empty()) return {};
  constexpr size_t kAlign = alignof(event::NamespacePids);
  text_used_ = (text_used_ + kAlign - 1) / kAlign * kAlign;
  char* place = take(levels.size_bytes());
  std::uninitialized_copy(levels.begin(), levels.end(),
                          reinterpret_cast<event::NamespacePids*>(place));
  return {std::launder(reinterpret_cast<const event::NamespacePids*>(place)), levels.size()};
}

char* Batch::take(size_t bytes) {
  KNELL_CHECK(bytes <= kChunkBytes);
  if (chunks_.empty() || text_used_ + bytes > kChunkBytes) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes));
    text_used_ = 0;
  }
  char* room = chunks_.back().get() + text_used_;
  text_used_ += bytes;
  return room;
}

}  // namespace knell::watch
