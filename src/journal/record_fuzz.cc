// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Records of a journal that was changed on purpose, with right checksums. The first byte says how
// many bytes after it are a layout; 0: the own layout.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "event/json.h"
#include "journal/record.h"

namespace {

class OneText final : public knell::journal::Texts {
 public:
  knell::Result<std::string_view> text(uint64_t number) override {
    if (number > 1) return knell::make_error(EBADMSG, "find a text");
    return std::string_view("text");
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knell::journal;
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  const auto layout_size = static_cast<uint8_t>(bytes[0]);
  bytes.remove_prefix(1);
  std::string_view layout_bytes = bytes.substr(0, layout_size);
  bytes.remove_prefix(layout_bytes.size());
  if (layout_size == 0) layout_bytes = own_layout();
  const auto layout = Layout::parse(layout_bytes);
  if (!layout) return 0;
  OneText texts;
  for (Record record; take_record(bytes, record);) {
    knell_event event;
    if (!read_times(record, {.mono_ns = 1, .epoch_ns = 2})) continue;
    if (!decode_record(record, *layout, texts, event)) continue;
    std::string json;
    knell::event::append_json(json, event);
  }
  return 0;
}
