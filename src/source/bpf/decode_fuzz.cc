// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "source/bpf/decode.h"

// Checks that decoding never reads outside the record, whatever its bytes are.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::vector<uint64_t> storage((size + 7) / 8);
  if (size > 0) std::memcpy(storage.data(), data, size);
  const auto decoded = knell::source::decode({reinterpret_cast<const char*>(storage.data()), size});
  if (!decoded) return 0;
  knell::source::RecordDecoder decoder;
  if (decoded->process != nullptr) {
    const knell::event::Full& full = decoder.event_of(*decoded);
    size_t sum = full.exe.size() + full.cwd.size();
    for (const knell::event::NamespacePids& level : full.levels)
      sum += static_cast<uint32_t>(level.pid);
    for (const char byte : full.args) sum += static_cast<unsigned char>(byte);
    if (sum > SIZE_MAX / 2) return 1;
    knell_mark mark{};
    decoder.event_of_exit(&*decoded, mark);
  } else if (decoded->mark != nullptr) {
    decoder.event_of_exit(nullptr, *decoded->mark);
  }
  return 0;
}
