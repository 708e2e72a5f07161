// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/shared_bytes.h"

#include <cstdlib>
#include <cstring>

#include "base/result.h"

namespace knell::hub {

ByteStore::~ByteStore() { KNELL_CHECK(bytes_ == 0); }

SharedBytes ByteStore::copy(std::string_view bytes) {
  const size_t size = sizeof(SharedBytes::Head) + bytes.size();
  auto* head = static_cast<SharedBytes::Head*>(std::malloc(size));
  KNELL_CHECK(head != nullptr);
  *head = {.store = this, .holders = 1, .size = static_cast<uint32_t>(bytes.size()), .mark = 0};
  if (!bytes.empty()) std::memcpy(head + 1, bytes.data(), bytes.size());
  bytes_ += size;
  return SharedBytes(head);
}

void SharedBytes::release() {
  head_->store->bytes_ -= sizeof(Head) + head_->size;
  std::free(head_);
}

}  // namespace knell::hub
