// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/structure_size.h"

#include "event/fields.h"

namespace knell::lib {
namespace {

constexpr size_t kMostBytes = 4096;  // a page, as in the kernel

// The bits of `has` for members within the first `size` bytes.
uint64_t bits_within(size_t size) {
  uint64_t bits = 0;
  for (const event::Field& field : event::kFields)
    if (size_t{field.member.offset} + field.member.size <= size) bits |= field.known.has;
  return bits;
}

constexpr uint32_t kKnownFlags = [] {
  uint32_t flags = 0;
  for (const event::Field& field : event::kFields) flags |= field.flag;
  return flags;
}();

}  // namespace

Result<void> check_size(std::string_view structure, size_t size, size_t first) {
  if (size >= first) return {};
  const std::string name(structure);
  return say(EINVAL, name + ".size is " + std::to_string(size) + ": set it to sizeof(struct " +
                         name + ") before the call");
}

Result<void> check_tail(std::string_view structure, const char* given, size_t size, size_t known) {
  const std::string name(structure);
  if (size > kMostBytes)
    return say(E2BIG, name + ".size is " + std::to_string(size) + ": set it to sizeof(struct " +
                          name + ") before the call");
  if (size <= known || std::all_of(given + known, given + size, [](char c) { return c == 0; }))
    return {};
  return say(E2BIG, "this program sets a member of " + name +
                        " that libknell " KNELL_VERSION " does not know: " + name + " has " +
                        std::to_string(known) + " bytes there, and " + std::to_string(size) +
                        " in the program");
}

Result<void> copy_event(const knell_event* given, knell_event& today) {
  KNELL_ASSIGN(const size_t given_size, size_of(given));
  const size_t size = std::min(given_size, sizeof today);
  today = {};
  std::memcpy(&today, static_cast<const void*>(given), size);
  today.size = sizeof today;
  today.has &= bits_within(size);
  today.flags &= kKnownFlags;
  return {};
}

Result<CallerEvents> CallerEvents::create(std::span<const knell_event* const> events) {
  CallerEvents given;
  given.events_ = events;
  const auto of_today = [](const knell_event* event) { return event->size == sizeof *event; };
  if (std::ranges::all_of(events, of_today)) return given;
  given.copies_.resize(events.size());
  for (size_t i = 0; i < events.size(); ++i) {
    KNELL_TRY(copy_event(events[i], given.copies_[i]));
    given.pointers_.push_back(&given.copies_[i]);
  }
  given.events_ = given.pointers_;
  return given;
}

}  // namespace knell::lib
