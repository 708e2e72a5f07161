// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "hub/bytes.h"

#include <cstdlib>
#include <cstring>

#include "base/result.h"

namespace knell::hub {

Store::~Store() { KNELL_CHECK(bytes_ == 0); }

Bytes Store::copy(std::string_view bytes) {
  const size_t size = sizeof(Bytes::Head) + bytes.size();
  auto* head = static_cast<Bytes::Head*>(std::malloc(size));
  KNELL_CHECK(head != nullptr);
  *head = {.store = this, .holders = 1, .size = static_cast<uint32_t>(bytes.size())};
  if (!bytes.empty()) std::memcpy(head + 1, bytes.data(), bytes.size());
  bytes_ += size;
  return Bytes(head);
}

void Bytes::release() {
  head_->store->bytes_ -= sizeof(Head) + head_->size;
  std::free(head_);
}

}  // namespace knell::hub
