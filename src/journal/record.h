// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// An event as the bytes of a record. docs/design/journal.md describes the format.
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "journal/varint.h"

namespace knell::journal {

// The texts that are stored once for many records, while records are written.
class TextNumbers {
 public:
  virtual ~TextNumbers() = default;
  // The number of the text; nullopt: store the text in the record.
  virtual std::optional<uint32_t> number_of(std::string_view text) = 0;
};

// The same while they are read.
class Texts {
 public:
  virtual ~Texts() = default;
  // Errors: EBADMSG there is no such text, or it is damaged.
  virtual Result<std::string_view> text(uint64_t number) = 0;
};

// The clocks that the times of the records of a block are relative to.
struct TimeBase {
  uint64_t mono_ns = 0;
  int64_t epoch_ns = 0;  // CLOCK_REALTIME less CLOCK_MONOTONIC
};

// In the first byte of a record, beside the number of the type's bit.
inline constexpr uint8_t kNonzeroRecord = 0x80;

// The most bytes that encode_record() writes.
size_t record_bound(const knell_event& event);
// Writes the record of the event, without seq and cookie, with the layout own_layout(). Returns the
// end.
char* encode_record(char* out, const knell_event& event, const TimeBase& base, TextNumbers& texts);

// The fields that records of this version have, as stored in the table `layout`.
const std::string& own_layout();

// What the bits of a record mean. Fields that this version does not know are skipped.
class Layout {
 public:
  // Errors: EBADMSG.
  static Result<Layout> parse(std::string_view bytes);

 private:
  friend Result<void> decode_record(const struct Record& record, const Layout& layout, Texts& texts,
                                    knell_event& event);
  struct Field {
    uint8_t kind = 0;  // event::Member::Kind
    uint8_t size = 0;  // of the member; 0: unknown to this version
    uint16_t offset = 0;
  };
  std::vector<Field> fields_;
};

// A record that is read in steps, so that unwanted ones cost little.
struct Record {
  // After take_record().
  uint32_t type = 0;     // one KNELL_EVENT_*
  bool nonzero = false;  // an exit that passes KNELL_EVENT_NONZERO_EXIT
  std::string_view rest;
  // After read_times().
  uint64_t mono_ns = 0;
  int64_t time_ns = 0;
};

// Removes a record from the front of `bytes`. False: it is malformed.
inline bool take_record(std::string_view& bytes, Record& record) {
  constexpr uint8_t kTypeBits = 0x1f;
  uint64_t size = 0;
  if (!take_varint(bytes, size) || size == 0 || size > bytes.size()) return false;
  const auto head = static_cast<uint8_t>(bytes[0]);
  record.type = uint32_t{1} << (head & kTypeBits);
  record.nonzero = (head & kNonzeroRecord) != 0;
  record.rest = bytes.substr(1, size - 1);
  bytes.remove_prefix(size);
  return true;
}
bool read_times(Record& record, const TimeBase& base);
// Fills the event, except seq and cookie. Its texts point into the record and into `texts`. Errors:
// EBADMSG.
Result<void> decode_record(const Record& record, const Layout& layout, Texts& texts,
                           knell_event& event);

}  // namespace knell::journal
