// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A record is: the bytes that follow, a byte for the type, mono_ns and epoch relative to the block,
// the bits of the fields, the values of the fields whose bit is set. The type is its bit number;
// kNonzeroRecord marks an exit whose status is not 0 or unknown. A text is 2 * its length and its
// bytes, or 2 * its number + 1. An id is its kind, boot, pid and start.
#include "journal/record.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "event/fields.h"
#include "journal/varint.h"

namespace knell::journal {
namespace {

using event::Field;
using event::kFields;
using event::Member;

// The order of the bits: fields that most events have come first, since the bits are a number of
// variable length.
constexpr int rank_of(const Field& field) {
  using enum event::Section;
  switch (field.section) {
    case kEvery:
    case kEnd:
      return 0;
    case kProcess:
      return 1;
    case kExit:
      return 2;
    default:
      return 3;
  }
}

// type, mono_ns and seq have their own places; a cursor is made of seq.
constexpr bool is_stored(const Field& field) {
  return (field.is_text() || field.is_packed()) && field.name != "type" &&
         field.name != "mono_ns" && field.name != "seq" && field.name != "cursor";
}

constexpr auto kStored = [] {
  constexpr auto kSelect = [](const Field& field) { return is_stored(field); };
  auto stored = event::kSelected<kFields, kSelect>;
  auto ordered = stored;
  size_t at = 0;
  for (int rank = 0; rank < 4; ++rank)
    for (const Field& field : stored)
      if (rank_of(field) == rank) ordered[at++] = field;
  return ordered;
}();
static_assert(kStored.size() <= 64, "the bits of a record are a 64-bit number");

// How the table `layout` names a field: by its place on the wire and the types that have it. Of two
// bytes each, the lowest first, but types of four and kind of one.
struct FieldName {
  uint16_t attribute, at;
  uint32_t types;
  uint8_t kind;
  bool operator==(const FieldName&) const = default;
};
constexpr size_t kFieldNameBytes = 9;

constexpr FieldName name_of(const Field& field) {
  return {.attribute = field.wire.attribute,
          .at = field.wire.at,
          .types = types_of(field.section),
          .kind = static_cast<uint8_t>(field.member.kind)};
}

void append(std::string& out, uint64_t value, size_t bytes) {
  for (size_t i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
}
uint32_t number_at(std::string_view bytes, size_t at, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; ++i)
    value |= uint32_t{static_cast<uint8_t>(bytes[at + i])} << (8 * i);
  return value;
}

template <Member M>
bool is_set(const knell_event& event) {
  const auto& value = event::value_of<M>(event);
  if constexpr (M.kind == Member::Kind::kString)
    return value.data != nullptr;
  else if constexpr (M.kind == Member::Kind::kId)
    return value.kind != KNELL_ID_NONE;
  else
    return value != 0;
}

char* put_text(char* out, const knell_string& text, TextNumbers& texts) {
  const std::string_view view(text.data, text.size);
  if (const auto number = texts.number_of(view)) return put_varint(out, uint64_t{*number} << 1 | 1);
  out = put_varint(out, uint64_t{view.size()} << 1);
  if (!view.empty()) std::memcpy(out, view.data(), view.size());
  return out + view.size();
}

template <Member M>
char* put_value(char* out, const knell_event& event, TextNumbers& texts) {
  const auto& value = event::value_of<M>(event);
  if constexpr (M.kind == Member::Kind::kString) {
    return put_text(out, value, texts);
  } else if constexpr (M.kind == Member::Kind::kId) {
    out = put_varint(out, value.kind);
    std::memcpy(out, &value.boot, sizeof value.boot);
    if constexpr (std::endian::native == std::endian::big) std::reverse(out, out + 4);
    out = put_varint(out + sizeof value.boot, zigzag(value.pid));
    return put_varint(out, value.start);
  } else if constexpr (M.kind == Member::Kind::kSigned) {
    return put_varint(out, zigzag(value));
  } else {
    return put_varint(out, value);
  }
}

std::unexpected<Error> malformed() { return make_error(EBADMSG, "decode a record of the journal"); }

}  // namespace

size_t record_bound(const knell_event& event) {
  constexpr size_t kIdBytes = 2 * kMostVarint + 4 + kMostVarint;
  size_t bytes = 4 * kMostVarint + 1;
  event::for_each_row<kStored>([&](auto row) {
    constexpr const Field& kField = kStored[row];
    bytes += kField.is(Member::Kind::kId) ? kIdBytes : kMostVarint;
    if constexpr (kField.is(Member::Kind::kString))
      bytes += event::value_of<kField.member>(event).size;
  });
  return bytes;
}

// The length comes first and is written last. It takes a second byte from 128 on, then the record
// is moved by one.
char* encode_record(char* const begin, const knell_event& event, const TimeBase& base,
                    TextNumbers& texts) {
  const bool nonzero = event.type == KNELL_EVENT_EXIT &&
                       ((event.has & KNELL_HAS_STATUS) == 0 || event.wait_status != 0);
  const int64_t epoch = event.time_ns - static_cast<int64_t>(event.mono_ns);
  char* const body = begin + 1;
  char* out = body;
  *out++ = static_cast<char>(std::countr_zero(event.type) | (nonzero ? kNonzeroRecord : 0));
  out = put_varint(out, zigzag(static_cast<int64_t>(event.mono_ns - base.mono_ns)));
  out = put_varint(out, zigzag(epoch - base.epoch_ns));
  uint64_t fields = 0;
  event::for_each_row<kStored>(
      [&](auto row) { fields |= uint64_t{is_set<kStored[row].member>(event)} << row; });
  out = put_varint(out, fields);
  event::for_each_row<kStored>([&](auto row) {
    if ((fields >> row & 1) != 0) out = put_value<kStored[row].member>(out, event, texts);
  });
  const auto size = static_cast<size_t>(out - body);
  std::array<char, kMostVarint> length;
  const auto length_size = static_cast<size_t>(put_varint(length.data(), size) - length.data());
  if (length_size > 1) std::memmove(begin + length_size, body, size);
  std::memcpy(begin, length.data(), length_size);
  return begin + length_size + size;
}

const std::string& own_layout() {
  static const std::string all_fields = [] {
    std::string out;
    for (const Field& field : kStored) {
      const FieldName name = name_of(field);
      append(out, name.attribute, 2);
      append(out, name.at, 2);
      append(out, name.types, 4);
      append(out, name.kind, 1);
    }
    return out;
  }();
  return all_fields;
}

Result<Layout> Layout::parse(std::string_view bytes) {
  if (bytes.size() % kFieldNameBytes != 0 || bytes.size() / kFieldNameBytes > 64)
    return make_error(EBADMSG, "read a layout of the journal");
  Layout layout;
  for (size_t at = 0; at < bytes.size(); at += kFieldNameBytes) {
    const FieldName name{.attribute = static_cast<uint16_t>(number_at(bytes, at, 2)),
                         .at = static_cast<uint16_t>(number_at(bytes, at + 2, 2)),
                         .types = number_at(bytes, at + 4, 4),
                         .kind = static_cast<uint8_t>(number_at(bytes, at + 8, 1))};
    Field field{.kind = name.kind};
    for (const event::Field& known : kStored)
      if (name_of(known) == name)
        field = {.kind = name.kind,
                 .size = static_cast<uint8_t>(known.member.size),
                 .offset = known.member.offset};
    layout.fields_.push_back(field);
  }
  return layout;
}

bool read_times(Record& record, const TimeBase& base) {
  uint64_t mono = 0, epoch = 0;
  if (!take_varint(record.rest, mono) || !take_varint(record.rest, epoch)) return false;
  record.mono_ns = base.mono_ns + static_cast<uint64_t>(unzigzag(mono));
  record.time_ns = static_cast<int64_t>(record.mono_ns + static_cast<uint64_t>(base.epoch_ns) +
                                        static_cast<uint64_t>(unzigzag(epoch)));
  return true;
}

Result<void> decode_record(const Record& record, const Layout& layout, Texts& texts,
                           knell_event& event) {
  using enum Member::Kind;
  event = {};
  event.size = sizeof event;
  event.type = record.type;
  event.mono_ns = record.mono_ns;
  event.time_ns = record.time_ns;
  std::string_view rest = record.rest;
  uint64_t fields = 0;
  if (!take_varint(rest, fields)) return malformed();
  for (uint64_t left = fields; left != 0; left &= left - 1) {
    const auto bit = static_cast<size_t>(std::countr_zero(left));
    if (bit >= layout.fields_.size()) return malformed();
    const Layout::Field& field = layout.fields_[bit];
    char* const member = reinterpret_cast<char*>(&event) + field.offset;
    uint64_t value = 0;
    if (!take_varint(rest, value)) return malformed();
    switch (static_cast<Member::Kind>(field.kind)) {
      case kString: {
        knell_string text{};
        if ((value & 1) != 0) {
          if (field.size == 0) break;  // an unknown field
          KNELL_ASSIGN(const std::string_view shared, texts.text(value >> 1));
          text = {shared.data(), shared.size()};
        } else {
          if (value >> 1 > rest.size()) return malformed();
          const std::string_view own = rest.substr(0, value >> 1);
          text = {own.data(), own.size()};
          rest.remove_prefix(own.size());
        }
        if (field.size == sizeof text) std::memcpy(member, &text, sizeof text);
        break;
      }
      case kId: {
        knell_id id{};
        uint64_t pid = 0;
        id.kind = static_cast<uint32_t>(value);
        if (rest.size() < sizeof id.boot) return malformed();
        id.boot = number_at(rest, 0, sizeof id.boot);
        rest.remove_prefix(sizeof id.boot);
        if (!take_varint(rest, pid) || !take_varint(rest, id.start)) return malformed();
        id.pid = static_cast<int32_t>(unzigzag(pid));
        if (field.size == sizeof id) std::memcpy(member, &id, sizeof id);
        break;
      }
      case kSigned:
      case kUnsigned: {
        if (static_cast<Member::Kind>(field.kind) == kSigned)
          value = static_cast<uint64_t>(unzigzag(value));
        const auto narrow = static_cast<uint32_t>(value);
        if (field.size == sizeof narrow) std::memcpy(member, &narrow, sizeof narrow);
        if (field.size == sizeof value) std::memcpy(member, &value, sizeof value);
        break;
      }
      case kNone:
      case kGroup:
      default:
        return malformed();
    }
  }
  if (!rest.empty()) return malformed();
  return {};
}

}  // namespace knell::journal
