// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <string>

namespace knell::cli {

// An event that stays valid: with copies of its strings.
class EventCopy {
 public:
  EventCopy() : event_{} {}
  explicit EventCopy(const knell_event& event) { assign(event); }
  // Replaces the copy, and reuses its memory. `event` must not be that of this copy.
  void assign(const knell_event& event) {
    event_ = event;
    bytes_.clear();
    size_t bytes = 0;
    for_each_string([&](knell_string& text) { bytes += text.size; });
    bytes_.reserve(bytes);  // so that appending does not move the bytes
    for_each_string([&](knell_string& text) {
      if (text.data == nullptr) return;
      const size_t at = bytes_.size();
      bytes_.append(text.data, text.size);
      text.data = bytes_.data() + at;
    });
  }
  EventCopy(EventCopy&& other) noexcept : event_(other.event_) { take(other); }
  EventCopy& operator=(EventCopy&& other) noexcept {
    event_ = other.event_;
    take(other);
    return *this;
  }
  EventCopy(const EventCopy& other) : EventCopy(other.event_) {}
  EventCopy& operator=(const EventCopy& other) {
    if (this != &other) assign(other.event_);
    return *this;
  }
  ~EventCopy() = default;

  const knell_event& event() const { return event_; }

 private:
  // A short std::string stores its bytes in itself, so moving it moves the bytes.
  void take(EventCopy& other) {
    const char* const before = other.bytes_.data();
    bytes_ = std::move(other.bytes_);
    for_each_string([&](knell_string& text) {
      if (text.data != nullptr) text.data = bytes_.data() + (text.data - before);
    });
  }
  template <class F>
  void for_each_string(F visit) {
    for (knell_string* text :
         {&event_.comm, &event_.parent_comm, &event_.exe, &event_.cwd, &event_.args, &event_.user,
          &event_.cgroup, &event_.unit, &event_.container_id, &event_.killed_by.comm,
          &event_.killed_by.parent_comm, &event_.killed_by.unit, &event_.killed_by.memory_cgroup,
          &event_.new_comm, &event_.last_signal.comm, &event_.last_signal.parent_comm, &event_.tty})
      visit(*text);
  }

  knell_event event_;
  std::string bytes_;
};

}  // namespace knell::cli
