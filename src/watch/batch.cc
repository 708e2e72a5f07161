// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/batch.h"

#include <cstring>

namespace knell::watch {

knell_string Batch::keep(std::string_view text, Ended ended) {
  const bool end = ended == Ended::kYes && !text.empty() && text.back() != '\0';
  const size_t bytes = text.size() + (end ? 1 : 0);
  KNELL_CHECK(bytes <= kChunkBytes);
  if (chunks_.empty() || text_used_ + bytes > kChunkBytes) {
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(kChunkBytes));
    text_used_ = 0;
  }
  char* copy = chunks_.back().get() + text_used_;
  if (!text.empty()) std::memcpy(copy, text.data(), text.size());
  if (end) copy[text.size()] = '\0';
  text_used_ += bytes;
  return {copy, bytes};
}

}  // namespace knell::watch
