// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/event.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "event/fields.h"

namespace knell::wire {
namespace {

using event::Field;
using event::for_each_row;
using event::kFields;
using event::Member;
using event::value_of;

// A knell_id on the wire.
struct Id {
  uint64_t start;
  uint32_t boot;
  int32_t pid;
  uint32_t kind;
  uint32_t reserved;
};
static_assert(sizeof(Id) == 24);

constexpr size_t wire_bytes(const Field& field) {
  return field.is(Member::Kind::kId) ? sizeof(Id) : field.member.size;
}

// The size of a packed attribute, which holds several fields: in its first version, or now. It is
// padded as a C structure is.
enum class Version : uint8_t { kFirst, kNow };
constexpr size_t packed_bytes(uint16_t attribute, Version version) {
  size_t end = 0, unit = 4;
  for (const Field& field : kFields) {
    if (!field.is_packed() || field.wire.attribute != attribute) continue;
    if (field.wire.later && version == Version::kFirst) continue;
    end = std::max(end, field.wire.at + wire_bytes(field));
    if (wire_bytes(field) > 4) unit = 8;
  }
  return (end + unit - 1) / unit * unit;
}

// A packed attribute, and which events have it: by their type, and by a bit of `has`.
struct Packed {
  uint16_t attribute = 0;
  uint32_t types = 0;
  uint64_t group = 0;
};
constexpr uint64_t bit_of_group(event::Section members) {
  for (const Field& field : kFields)
    if (field.is(Member::Kind::kGroup) && field.members == members) return field.known.has;
  return 0;
}
constexpr auto kPacked = [] {
  std::array<Packed, 16> all{};
  for (const Field& field : kFields) {
    if (!field.is_packed()) continue;
    size_t at = 0;
    while (all.at(at).attribute != 0 && all[at].attribute != field.wire.attribute) at++;
    all[at].attribute = field.wire.attribute;
    all[at].types |= types_of(field.section);
    all[at].group |= bit_of_group(field.section);
  }
  return all;
}();
constexpr Packed kCore = kPacked[0];
static_assert(kCore.attribute == 40 && kCore.types == UINT32_MAX);

// Calls `visit` with the index of each packed attribute for which `Select` returns true.
template <auto Select, class Visit>
[[gnu::always_inline]] constexpr void for_each_packed(Visit visit) {
  for_each_row<kPacked>([&](auto index) {
    if constexpr (kPacked[index].attribute != 0 && Select(kPacked[index])) visit(index);
  });
}
constexpr auto kIsOfGroup = [](const Packed& packed) { return packed.group != 0; };
constexpr auto kIsOfType = [](const Packed& packed) {
  return packed.group == 0 && packed.attribute != kCore.attribute;
};

constexpr uint64_t kGroups = [] {
  uint64_t bits = 0;
  for (const Packed& packed : kPacked) bits |= packed.group;
  return bits;
}();

// For each attribute from kCore on, the offset of its text member in knell_event; 0: not a text.
constexpr auto kTextOffsets = [] {
  std::array<uint16_t, 32> offsets{};
  for (const Field& field : kFields)
    if (field.is_text()) offsets.at(field.wire.attribute - kCore.attribute) = field.member.offset;
  return offsets;
}();

constexpr size_t kFixedBytes = [] {
  size_t bytes = attribute_bytes(sizeof(int64_t)) + sizeof(nlattr);
  for (const Packed& one : kPacked)
    if (one.attribute != 0) bytes += attribute_bytes(packed_bytes(one.attribute, Version::kNow));
  return bytes;
}();

Id as_wire(const knell_id& id) {
  return {.start = id.start, .boot = id.boot, .pid = id.pid, .kind = id.kind, .reserved = 0};
}

knell_id as_event(const Id& id) {
  if (id.kind != KNELL_ID_START && id.kind != KNELL_ID_STAMP) return {};
  return {.boot = id.boot, .pid = id.pid, .start = id.start, .kind = id.kind};
}

// Writes attributes to memory that the caller has made large enough.
class UncheckedWriter {
 public:
  explicit UncheckedWriter(char* at) : at_(at) {}
  char* at() const { return at_; }
  void text(uint16_t type, const char* data, size_t size) {
    put(nlattr{.nla_len = static_cast<uint16_t>(sizeof(nlattr) + size), .nla_type = type});
    // Clears the padding; memcpy() then overwrites the rest of this word
    std::memset(at_ + (size & ~size_t{3}), 0, 4);
    if (size != 0) std::memcpy(at_, data, size);
    at_ += padded(size);
  }
  // Writes the header of an attribute of `Bytes`, clears its last word (there may be padding in
  // it), and returns where its bytes go.
  template <size_t Bytes>
  char* packed(uint16_t type) {
    static_assert(Bytes % 4 == 0);
    put(nlattr{.nla_len = sizeof(nlattr) + Bytes, .nla_type = type});
    at_ += Bytes;
    std::memset(at_ - 4, 0, 4);
    return at_ - Bytes;
  }
  template <class T>
  void put(const T& value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }

 private:
  char* at_;
};

// Whether the event has the field. Some attributes belong to several types of events, with fields
// of different types at the same offset.
template <const Field& F, size_t Index>
[[gnu::always_inline]] inline bool is_there(const knell_event& event) {
  constexpr Packed kAttribute = kPacked[Index];
  if constexpr (types_of(F.section) == kAttribute.types || kAttribute.group != 0 || Index == 0)
    return true;
  else
    return (event.type & types_of(F.section)) != 0;
}

template <size_t Index>
[[gnu::always_inline]] inline void put_packed(UncheckedWriter& writer, const knell_event& event) {
  constexpr uint16_t kAttribute = kPacked[Index].attribute;
  char* const out = writer.packed<packed_bytes(kAttribute, Version::kNow)>(kAttribute);
  for_each_row<kFields>([&](auto row) {
    constexpr const Field& kField = kFields[row];
    if constexpr (kField.is_packed() && kField.wire.attribute == kAttribute) {
      if (!is_there<kField, Index>(event)) return;
      const auto& value = value_of<kField.member>(event);
      if constexpr (kField.is(Member::Kind::kId)) {
        const Id id = as_wire(value);
        std::memcpy(out + kField.wire.at, &id, sizeof id);
      } else {
        std::memcpy(out + kField.wire.at, &value, sizeof value);
      }
    }
  });
}

template <bool OfGroups, class Visit>
[[gnu::always_inline]] inline void for_each_text(const knell_event& event, Visit visit) {
  for_each_row<kFields>([&](auto row) {
    constexpr const Field& kField = kFields[row];
    if constexpr (kField.is_text() && kField.in_group() == OfGroups)
      visit(kField.wire.attribute, value_of<kField.member>(event));
  });
}

template <bool OfGroups>
[[gnu::always_inline]] inline void put_texts(UncheckedWriter& writer, const knell_event& event) {
  for_each_text<OfGroups>(event, [&](uint16_t attribute, const knell_string& text) {
    if (text.data != nullptr) writer.text(attribute, text.data, text.size);
  });
}

// The writer is passed by value so that it stays in a register.
[[gnu::noinline]] UncheckedWriter put_groups(UncheckedWriter writer, const knell_event& event) {
  for_each_packed<kIsOfGroup>([&](auto index) {
    if ((event.has & kPacked[index].group) != 0) put_packed<index>(writer, event);
  });
  put_texts<true>(writer, event);
  return writer;
}

[[gnu::noinline]] UncheckedWriter put_of_type(UncheckedWriter writer, const knell_event& event) {
  for_each_packed<kIsOfType>([&](auto index) {
    if ((event.type & kPacked[index].types) != 0) put_packed<index>(writer, event);
  });
  return writer;
}
constexpr uint32_t kTypesWithMore = [] {
  uint32_t types = 0;
  for_each_packed<kIsOfType>([&](auto index) { types |= kPacked[index].types; });
  return types;
}();

template <bool OfGroups>
[[gnu::always_inline]] inline size_t text_bytes(const knell_event& event) {
  size_t bytes = 0;
  for_each_text<OfGroups>(
      event, [&](uint16_t, const knell_string& text) { bytes += attribute_bytes(text.size); });
  return bytes;
}

}  // namespace

size_t event_bytes(const knell_event& event) {
  size_t bytes = kFixedBytes + text_bytes<false>(event);
  if ((event.has & kGroups) != 0) bytes += text_bytes<true>(event);
  return bytes;
}

int64_t epoch_of(const knell_event& event) {
  // Unsigned, which may wrap: the numbers may be those of a damaged recording.
  return static_cast<int64_t>(static_cast<uint64_t>(event.time_ns) - event.mono_ns);
}

namespace {

// Appends the event's kEvent attribute to `out`.
void append_event(std::string& out, const knell_event& event) {
  const size_t start = out.size();
  constexpr size_t kSlack = 4;  // UncheckedWriter::text() may clear one word past the end
  out.resize_and_overwrite(start + event_bytes(event) + kSlack, [&](char* data, size_t) {
    UncheckedWriter writer(data + start);
    char* const nest = writer.at();
    writer.put(nlattr{});
    put_packed<0>(writer, event);
    put_texts<false>(writer, event);
    if ((event.has & kGroups) != 0) writer = put_groups(writer, event);
    if ((event.type & kTypesWithMore) != 0) writer = put_of_type(writer, event);
    const nlattr header{.nla_len = static_cast<uint16_t>(writer.at() - nest), .nla_type = kEvent};
    std::memcpy(nest, &header, sizeof header);
    return static_cast<size_t>(writer.at() - data);
  });
}

}  // namespace

std::string_view encode_event(std::string& buffer, const knell_event& event) {
  KNELL_CHECK(event_bytes(event) <= kMostEvent);
  buffer.clear();
  append_event(buffer, event);
  return buffer;
}

void EventFrame::set_epoch(int64_t epoch_ns) {
  if (epoch_ns_ != epoch_ns) frame_.attribute(kEpoch, epoch_ns);
  epoch_ns_ = epoch_ns;
}

bool EventFrame::add(const knell_event& event) {
  if (event_bytes(event) > frame_.room()) return false;  // includes kEpoch
  set_epoch(epoch_of(event));
  append_event(frame_.out(), event);
  return true;
}

bool EventFrame::add(int64_t epoch_ns, std::string_view event) {
  const size_t epoch_bytes = epoch_ns_ == epoch_ns ? 0 : attribute_bytes(sizeof epoch_ns);
  if (epoch_bytes + event.size() > frame_.room()) return false;
  set_epoch(epoch_ns);
  frame_.out().append(event);
  return true;
}

namespace {

// False: malformed.
template <size_t Index>
[[gnu::always_inline]] inline bool get_packed(std::string_view bytes, knell_event& event) {
  constexpr uint16_t kAttribute = kPacked[Index].attribute;
  constexpr size_t kLeast = packed_bytes(kAttribute, Version::kFirst),
                   kMost = packed_bytes(kAttribute, Version::kNow);
  std::array<char, kMost> whole{};
  if constexpr (kLeast < kMost) {
    if (!load(bytes, whole, kLeast)) return false;
    bytes = {whole.data(), whole.size()};
  }
  if (bytes.size() < kMost) return false;
  for_each_row<kFields>([&](auto row) {
    constexpr const Field& kField = kFields[row];
    if constexpr (kField.is_packed() && kField.wire.attribute == kAttribute) {
      if (!is_there<kField, Index>(event)) return;
      auto& value = value_of<kField.member>(event);
      const char* const at = bytes.data() + kField.wire.at;
      if constexpr (kField.is(Member::Kind::kId)) {
        Id id;
        std::memcpy(&id, at, sizeof id);
        value = as_event(id);
      } else {
        std::memcpy(&value, at, sizeof value);
      }
      if constexpr (kField.format == event::Format::kTypes) value &= KNELL_EVENT_ALL;
    }
  });
  return true;
}

// False: malformed.
bool set(const AttributeView& attribute, knell_event& event) {
  if (attribute.type == kCore.attribute) return get_packed<0>(attribute.bytes, event);
  const size_t text = size_t{attribute.type} - kCore.attribute;
  if (text < kTextOffsets.size() && kTextOffsets[text] != 0) {
    const knell_string value{attribute.bytes.data(), attribute.bytes.size()};
    std::memcpy(reinterpret_cast<char*>(&event) + kTextOffsets[text], &value, sizeof value);
    return true;
  }
  bool good = !attribute.mandatory;
  constexpr auto kIsMore = [](const Packed& packed) { return packed.attribute != kCore.attribute; };
  for_each_packed<kIsMore>([&](auto index) {
    if (attribute.type == kPacked[index].attribute)
      good = get_packed<index>(attribute.bytes, event);
  });
  return good;
}

}  // namespace

bool EventReader::read(std::string_view bytes, knell_event& event) {
  event = {};
  event.size = sizeof event;
  AttributeReader attributes(bytes);
  while (const auto attribute = attributes.next())
    if (!set(*attribute, event)) return false;
  event.time_ns = static_cast<int64_t>(event.mono_ns + static_cast<uint64_t>(epoch_ns_));
  return (event.type == KNELL_EVENT_NONE) == snapshot_ && !attributes.malformed();
}

bool EventReader::next(knell_event& event) {
  while (!malformed_) {
    const auto attribute = attributes_.next();
    if (!attribute) return false;
    if (attribute->type == kEvent) {
      malformed_ = !read(attribute->bytes, event);
      return !malformed_;
    }
    if (attribute->type == kEpoch)
      malformed_ = !load(attribute->bytes, epoch_ns_);
    else
      malformed_ = attribute->mandatory;
  }
  return false;
}

}  // namespace knell::wire
