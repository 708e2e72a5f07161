// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "event/fields.h"
#include "event/json.h"
#include "event/json_reading.h"

namespace {

// Makes numbers and strings from any bytes. After the last byte it returns zeros and nulls.
class Bytes {
 public:
  Bytes(const uint8_t* data, size_t size) : data_(data), size_(size) {}

  template <class T>
  T number() {
    T value{};
    const size_t size = std::min(sizeof value, size_);
    std::memcpy(&value, data_, size);
    take(size);
    return value;
  }
  // In memory of its own of exactly its length, so that reading beyond the end is detected.
  knell_string string() {
    const auto length = number<uint8_t>();
    if (length == 0) return {nullptr, 0};
    const size_t size = std::min<size_t>(length - 1, size_);
    auto& kept = kept_.emplace_back(std::make_unique<char[]>(size));
    std::copy_n(data_, size, kept.get());
    take(size);
    return {kept.get(), size};
  }
  knell_id id() {
    return {number<uint32_t>(), number<int32_t>(), number<uint64_t>(), number<uint8_t>() % 4U};
  }

 private:
  void take(size_t size) {
    data_ += size;
    size_ -= size;
  }
  const uint8_t* data_;
  size_t size_;
  std::list<std::unique_ptr<char[]>> kept_;
};

uint32_t some_type(uint8_t number) {
  const uint32_t bit = uint32_t{1} << number % 32;
  return number >= 128 ? uint32_t{KNELL_EVENT_LOST} : bit;
}

knell_event some_event(Bytes& bytes) {
  knell_event e{};
  e.type = some_type(bytes.number<uint8_t>());
  e.via = bytes.number<uint8_t>() % 8;
  e.killed_by.cause = bytes.number<uint8_t>() % 8;
  knell::event::for_each_row<knell::event::kFields>([&](auto row) {
    constexpr auto& kField = knell::event::kFields[row];
    using enum knell::event::Member::Kind;
    auto& value = knell::event::value_of<kField.member>(e);
    if constexpr (kField.is(kString))
      value = bytes.string();
    else if constexpr (kField.is(kId))
      value = bytes.id();
    else if constexpr (!kField.is(kGroup) && kField.flag == 0)
      if (value == 0) value = bytes.number<std::remove_reference_t<decltype(value)>>();
  });
  return e;
}

}  // namespace

// The line of any event is JSON with exactly the event's values, is safe to show, and is within its
// bound.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knell::event;
  Bytes bytes(data, size);
  const knell_event event = some_event(bytes);
  const std::unique_ptr<char[]> room(new char[json_bound(event)]);
  const std::string line(room.get(), write_json(room.get(), event));
  KNELL_CHECK(line.size() <= json_bound(event));
  KNELL_CHECK(JsonReading::read(line) == JsonExpected::of(event));
  KNELL_CHECK(printable(line) == line);
  return 0;
}
