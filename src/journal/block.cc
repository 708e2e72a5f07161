// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The bytes of a block are the base of its times (mono_ns and the epoch) and the records.
#include "journal/block.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <array>
#include <bit>

#include "journal/varint.h"

namespace knell::journal {

void BlockWriter::begin(int64_t first_seq, int64_t text_base, int64_t layout) {
  head_ = {.first_seq = first_seq, .text_base = text_base, .layout = layout};
  open_ = true;
  used_ = 0;
}

bool BlockWriter::add(const knell_event& event, TextNumbers& texts) {
  const bool first = head_.count == 0;
  if (!first && (event.time_ns < head_.first_ns || event.time_ns - head_.first_ns > kMostNs))
    return false;
  const size_t need = used_ + 2 * kMostVarint + record_bound(event);
  if (bytes_.size() < need) bytes_.resize(need);
  if (first) {
    base_ = {.mono_ns = event.mono_ns,
             .epoch_ns = event.time_ns - static_cast<int64_t>(event.mono_ns)};
    head_.first_ns = event.time_ns;
    char* out = put_varint(bytes_.data(), base_.mono_ns);
    out = put_varint(out, zigzag(base_.epoch_ns));
    used_ = static_cast<size_t>(out - bytes_.data());
  }
  const char* const end = encode_record(bytes_.data() + used_, event, base_, texts);
  const auto used = static_cast<size_t>(end - bytes_.data());
  if (!first && used > kMostBytes) return false;
  used_ = used;
  ++head_.count;
  return true;
}

uint64_t checksum_of(const BlockHead& head, std::string_view bytes) {
  std::array<int64_t, 5> columns{head.first_seq, head.count, head.first_ns, head.text_base,
                                 head.layout};
  if constexpr (std::endian::native == std::endian::big)
    for (int64_t& one : columns) one = std::byteswap(one);
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(),
                              XXH3_64bits(columns.data(), sizeof columns));
}

uint32_t checksum_of_text(int64_t id, std::string_view text) {
  return static_cast<uint32_t>(
      XXH3_64bits_withSeed(text.data(), text.size(), static_cast<uint64_t>(id)));
}

bool BlockReader::open(const BlockHead& head, std::string_view bytes, uint64_t checksum) {
  uint64_t mono = 0, epoch = 0;
  rest_ = {};
  if (checksum_of(head, bytes) != checksum) return false;
  if (!take_varint(bytes, mono) || !take_varint(bytes, epoch)) return false;
  head_ = head;
  base_ = {.mono_ns = mono, .epoch_ns = unzigzag(epoch)};
  rest_ = bytes;
  seq_ = head.first_seq - 1;
  return true;
}

}  // namespace knell::journal
