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
#include "event/json.h"
#include "event/json_reading.h"

namespace {

// Numbers and strings out of any bytes. When they are used up there are zeros and nulls.
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
  // In memory of its own, exactly as long: whoever reads on is found out.
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
  return number >= 128 ? KNELL_EVENT_LOST : bit;
}

knell_event some_event(Bytes& bytes) {
  knell_event e{};
  e.type = some_type(bytes.number<uint8_t>());
  e.has = bytes.number<uint8_t>();
  e.flags = bytes.number<uint8_t>();
  e.via = bytes.number<uint8_t>() % 8;
  e.killed_by.cause = bytes.number<uint8_t>() % 8;
  for (knell_string* text :
       {&e.comm, &e.parent_comm, &e.exe, &e.cwd, &e.args, &e.user, &e.cgroup, &e.unit,
        &e.container_id, &e.killed_by.comm, &e.killed_by.parent_comm, &e.killed_by.unit,
        &e.killed_by.memory_cgroup, &e.last_signal.comm, &e.last_signal.parent_comm, &e.new_comm})
    *text = bytes.string();
  for (knell_id* id : {&e.id, &e.parent_id, &e.child_id}) *id = bytes.id();
  for (uint64_t* number :
       {&e.seq, &e.mono_ns, &e.duration_ns, &e.lost_count, &e.last_signal.ago_ns})
    *number = bytes.number<uint64_t>();
  for (int64_t* time : {&e.time_ns, &e.lost_from_time_ns, &e.lost_until_time_ns})
    *time = bytes.number<int64_t>();
  for (int32_t* number :
       {&e.pid, &e.tid, &e.ppid, &e.wait_status, &e.killed_by.pid, &e.child_pid, &e.child_tid,
        &e.tracer_pid, &e.killed_by.parent_pid, &e.last_signal.signal, &e.last_signal.pid})
    *number = bytes.number<int32_t>();
  for (uint32_t* number :
       {&e.uid, &e.gid, &e.ruid, &e.euid, &e.killed_by.uid, &e.lost_types, &e.last_signal.uid})
    *number = bytes.number<uint32_t>();
  return e;
}

}  // namespace

// Whatever is in an event, its line is JSON that says just that, safe to show, and within its
// bound.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knell::event;
  Bytes bytes(data, size);
  const knell_event event = some_event(bytes);
  const std::unique_ptr<char[]> room(new char[json_most(event)]);
  const std::string line(room.get(), write_json(room.get(), event));
  KNELL_CHECK(line.size() <= json_most(event));
  KNELL_CHECK(JsonReading::read(line) == JsonExpected::of(event));
  KNELL_CHECK(printable(line) == line);
  return 0;
}
