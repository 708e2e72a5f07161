// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/json.h"

#include <sys/wait.h>

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "base/signal_names.h"
#include "event/digits.h"
#include "event/fields.h"
#include "event/id.h"
#include "event/json_text.h"
#include "event/mask.h"

// The table of fields has the keys and their order; this file has the form of each kind of value.
//
// Used for every event that is shown, so it is written for speed. json_bound() computes once how
// much memory is enough; after that no function checks for the end of the memory. Each function
// takes the place to write to and returns the end of what it wrote. Keys include the punctuation
// around them, as constants that the compiler copies in whole registers. Code that many fields
// share is called, not inlined: after a listener has slept its code is no longer in the caches, so
// less code is faster.
namespace knell::event {
namespace {

template <size_t N>
[[gnu::always_inline]] inline char* constant(char* out, const char (&text)[N]) {
  std::memcpy(out, text, N - 1);
  return out + N - 1;
}
// For text that needs no escapes.
[[gnu::noinline]] char* plain(char* out, std::string_view text) {
  *out++ = '"';
  out += text.copy(out, text.size());
  *out++ = '"';
  return out;
}
char* null(char* out) { return constant(out, "null"); }

[[gnu::noinline]] char* string(char* out, const knell_string& text) {
  if (text.data == nullptr) return null(out);
  *out++ = '"';
  out = write_json_text(out, {text.data, text.size});
  *out++ = '"';
  return out;
}
char* boolean(char* out, bool value) {
  return value ? constant(out, "true") : constant(out, "false");
}
[[gnu::noinline]] char* id(char* out, const knell_id& id) {
  *out = '"';
  char* const end = write_id(out + 1, id);
  if (end == out + 1) return null(out);
  *end = '"';
  return end + 1;
}

// "2026-11-23T03:12:01.412000123Z". Converts days to a date by counting from 1 March 0000, so that
// the leap day is the last day of a year: 400 years have 146097 days, and the months from March on
// have (153 m + 2) / 5 days before them.
[[gnu::noinline]] char* time(char* out, int64_t ns) {
  constexpr int64_t kSecond = 1'000'000'000, kDay = 86'400;
  int64_t seconds = ns / kSecond, fraction = ns % kSecond;
  if (fraction < 0) fraction += kSecond, seconds--;
  int64_t days = seconds / kDay, second = seconds % kDay;
  if (second < 0) second += kDay, days--;
  const auto since_march_0 = static_cast<uint32_t>(days + 719'468);  // years 1677 to 2262: positive
  const uint32_t era = since_march_0 / 146'097, day_of_era = since_march_0 % 146'097;
  const uint32_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const uint32_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint32_t month = (5 * day_of_year + 2) / 153;  // 0 is March
  const uint32_t day = day_of_year - (153 * month + 2) / 5 + 1;
  const auto clock = static_cast<uint32_t>(second), nanos = static_cast<uint32_t>(fraction);

  *out++ = '"';
  out = write_4_digits(out, era * 400 + year_of_era + (month >= 10 ? 1 : 0));
  *out++ = '-';
  out = write_2_digits(out, month < 10 ? month + 3 : month - 9);
  *out++ = '-';
  out = write_2_digits(out, day);
  *out++ = 'T';
  out = write_2_digits(out, clock / 3'600);
  *out++ = ':';
  out = write_2_digits(out, clock / 60 % 60);
  *out++ = ':';
  out = write_2_digits(out, clock % 60);
  *out++ = '.';
  out = write_1_digit(out, nanos / 100'000'000);
  out = write_8_digits(out, nanos % 100'000'000);
  return constant(out, "Z\"");
}

// The quoted names of an enumeration, indexed by its values; copied with a constant size.
struct Name {
  constexpr explicit Name(std::string_view name)
      : size(static_cast<uint8_t>(name.copy(text, sizeof text))) {}
  char text[15]{};
  uint8_t size;
};
constexpr Name kNull("null");
constexpr Name kVias[] = {kNull,
                          Name(R"("connector")"),
                          Name(R"("bpf")"),
                          Name(R"("pidfd")"),
                          Name(R"("proc")"),
                          Name(R"("recording")"),
                          kNull,
                          Name(R"("ptrace")")};
constexpr Name kCauses[] = {kNull, Name(R"("user")"), Name(R"("kernel")"), Name(R"("oom")")};
template <size_t N>
char* named(char* out, const Name (&names)[N], uint32_t number) {
  const Name& name = names[number < N ? number : 0];
  std::memcpy(out, name.text, sizeof name.text);
  return out + name.size;
}

// The wait status, and the keys derived from it.
char* status(char* out, const knell_event& e) {
  const int status = e.wait_status;
  if ((e.has & KNELL_HAS_STATUS) == 0) {
    return constant(out, R"(null,"exit_code":null,"signal":null,"core_dumped":null)");
  }
  out = write_signed(out, status);
  out = constant(out, R"(,"exit_code":)");
  out = WIFEXITED(status) ? write_signed(out, WEXITSTATUS(status)) : null(out);
  if (!WIFSIGNALED(status)) return constant(out, R"(,"signal":null,"core_dumped":false)");
  out = plain(constant(out, R"(,"signal":)"), signal_name(WTERMSIG(status)));
  return boolean(constant(out, R"(,"core_dumped":)"), WCOREDUMP(status));
}

char* type(char* out, uint32_t type) {
  switch (type) {
    case KNELL_EVENT_EXIT:
      return constant(out, R"("exit")");
    case KNELL_EVENT_FORK:
      return constant(out, R"("fork")");
    case KNELL_EVENT_EXEC:
      return constant(out, R"("exec")");
    default:
      return plain(out, type_name(type));
  }
}

char* types(char* out, uint32_t mask) {
  *out++ = '[';
  for (uint32_t rest = mask & KNELL_EVENT_ALL; rest != 0;) {
    const uint32_t one = rest & (~rest + 1);
    out = plain(out, type_name(one));
    rest -= one;
    if (rest != 0) *out++ = ',';
  }
  *out++ = ']';
  return out;
}

char* signal(char* out, int32_t number) {
  const char* const name = signal_name(number);
  return name != nullptr ? plain(out, name) : null(out);
}

char* args(char* out, const knell_string& args) {
  if (args.data == nullptr) return null(out);
  std::string_view words(args.data, args.size);
  if (words.empty()) return constant(out, "[]");
  if (words.back() == '\0') words.remove_suffix(1);
  out = write_json_words(constant(out, R"([")"), words);
  return constant(out, R"("])");
}

// ----------------------------------------------------------------------------------------------------
// rows of the table

// The key of a row with the punctuation before and after it, copied in whole words.
template <size_t Row>
[[gnu::always_inline]] inline char* key(char* out) {
  constexpr const Field& kField = kFields[Row];
  constexpr bool kFirst = kField.section == Section::kEvery || kField.in_group()
                              ? Row == 0 || kFields[Row - 1].section != kField.section
                              : false;
  constexpr size_t kSize = kField.name.size() + 4, kRest = kSize % 16;
  constexpr auto kText = [] {
    std::array<char, kSize - kRest + std::bit_ceil(kRest)> text{kFirst ? '{' : ',', '"'};
    size_t at = 2;
    for (const char c : kField.name) text[at++] = c;
    text[at++] = '"';
    text[at] = ':';
    return text;
  }();
  std::memcpy(out, kText.data(), kText.size());
  return out + kSize;
}

template <Section S>
char* rows(char* out, const knell_event& e);

template <Section S>
[[gnu::noinline]] char* object(char* out, const knell_event& e) {
  out = rows<S>(out, e);
  *out++ = '}';
  return out;
}

template <size_t Row>
[[gnu::always_inline]] inline char* value(char* out, const knell_event& e) {
  constexpr const Field& kField = kFields[Row];
  using enum Format;
  const auto& value = value_of<kField.member>(e);
  if constexpr (kField.format == kStatus) {
    return status(out, e);
  } else {
    if (!is_known<kField.known>(e)) return null(out);
    if constexpr (kField.format == kType)
      return type(out, value);
    else if constexpr (kField.format == kTime)
      return time(out, value);
    else if constexpr (kField.format == kVia)
      return named(out, kVias, value);
    else if constexpr (kField.format == kCause)
      return named(out, kCauses, value);
    else if constexpr (kField.format == kSignal)
      return signal(out, value);
    else if constexpr (kField.format == kArgs)
      return args(out, value);
    else if constexpr (kField.format == kFlag)
      return boolean(out, (value & kField.flag) != 0);
    else if constexpr (kField.format == kTypes)
      return types(out, value);
    else if constexpr (kField.is(Member::Kind::kGroup))
      return object<kField.members>(out, e);
    else if constexpr (kField.is(Member::Kind::kString))
      return string(out, value);
    else if constexpr (kField.is(Member::Kind::kId))
      return id(out, value);
    else if constexpr (kField.is(Member::Kind::kSigned))
      return write_signed(out, value);
    else
      return write_number(out, value);
  }
}

template <Section S>
[[gnu::always_inline]] inline char* rows(char* out, const knell_event& e) {
  for_each_row<kFields>([&](auto row) {
    if constexpr (kFields[row].section == S && !kFields[row].name.empty())
      out = value<row>(key<row>(out), e);
  });
  return out;
}

// The rows of the one section of `Sections` that events of this type have.
template <Section... Sections>
[[gnu::always_inline]] inline char* rows_of_type(char* out, const knell_event& e) {
  if ((e.type & (types_of(Sections) | ...)) == 0) return out;
  (void)((e.type == types_of(Sections) && (out = rows<Sections>(out, e), true)) || ...);
  return out;
}

// An upper bound of the bytes of keys and values, without the text of strings.
consteval size_t fixed_bytes() {
  size_t bytes = 2;
  for (const Field& field : kFields) {
    constexpr size_t kNumber = 20, kTime = 32, kTypes = 160, kStatus = 100;
    size_t value = kNumber;
    if (field.is(Member::Kind::kId)) value = KNELL_ID_TEXT_BYTES + 2;
    if (field.format == Format::kTime) value = kTime;
    if (field.format == Format::kTypes) value = kTypes;
    if (field.format == Format::kStatus) value = kStatus;
    bytes += field.name.size() + 4 + value;
  }
  return bytes + 16;  // whole words are stored, see key()
}

}  // namespace

size_t json_bound(const knell_event& event) {
  // An argument takes 3 bytes for its NUL, less than kMostEscape.
  size_t bytes = kSpareText;
  for_each_row<kFields>([&](auto row) {
    constexpr const Field& kField = kFields[row];
    if constexpr (kField.is(Member::Kind::kString)) {
      const knell_string& text = value_of<kField.member>(event);
      if (text.data != nullptr) bytes += text.size;
    }
  });
  return fixed_bytes() + kMostEscape * bytes;
}

char* write_json(char* out, const knell_event& event) {
  out = rows<Section::kEvery>(out, event);
  if (event.type == KNELL_EVENT_LOST) {
    out = rows<Section::kLost>(out, event);
  } else {
    out = rows<Section::kProcess>(out, event);
    using enum Section;
    out = rows_of_type<kExit, kFork, kUid, kGid, kPtrace, kComm>(out, event);
    out = rows<Section::kEnd>(out, event);
  }
  *out++ = '}';
  return out;
}

void append_json(std::string& out, const knell_event& event) {
  const size_t before = out.size();
  out.resize_and_overwrite(before + json_bound(event), [&](char* data, size_t) {
    return static_cast<size_t>(write_json(data + before, event) - data);
  });
}

}  // namespace knell::event
