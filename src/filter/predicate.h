// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// What a listener asks of the processes it wants, as values. Text is parsed where it is typed
// (lib/predicate_parser.h has the grammar); on the wire and in the daemon there are values only.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace knell::filter {

// The numbers are sent (docs/protocol.md): new keys take new ones.
enum class Key : uint32_t {
  kPid = 1,    // number: a process
  kUnder,      // number: that process and its descendants
  kComm,       // text: a glob over the name
  kExe,        // text: a glob over the path
  kUid,        // number: a real uid
  kUnit,       // text: a glob; `.service` may be left out
  kCgroup,     // text: a path, and all below it; without slashes at its end, so the root is empty
  kContainer,  // text: an id, or how it begins
  kTty,        // text: a glob over the name without /dev/
  kEnded,      // Ended
  kLonger,     // number: lived that many nanoseconds or longer
  kShorter,    // number: lived less than that
};

// A way for a process to end. Sent as it is.
struct Ended {
  enum class Kind : uint16_t { kCodes = 1, kSignal, kAnySignal, kCore, kOom, kUnknown };
  Kind kind = Kind::kUnknown;
  uint16_t first = 0, last = 0;  // kCodes: the first and the last exit code; kSignal: its number
  uint16_t reserved = 0;
  auto operator<=>(const Ended&) const = default;
};

using Value = std::variant<int64_t, std::string, Ended>;

// One value of one key.
struct Predicate {
  Key key{};
  bool excluded = false;
  Value value;
  auto operator<=>(const Predicate&) const = default;
};

inline constexpr size_t kMaxAlternatives = 1024;          // of one key; picked, never tuned
inline constexpr size_t kMaxValueBytes = 4096;            // PATH_MAX: nothing longer can match
inline constexpr size_t kMaxCommBytes = 15;               // TASK_COMM_LEN less its NUL
inline constexpr int64_t kMaxUid = UINT32_C(0xfffffffe);  // the one above means "no user"

// "unit" for kUnit; empty for a number that is none of Key.
std::string_view name_of(Key key);
// Whether the value is of the kind that its key takes, and within bounds. Errors: EINVAL, a whole
// sentence.
Result<void> check(const Predicate& predicate);
// Sorted by key, what is wanted before what is excluded, and each once: the form in which equal
// sets are equal.
void sort_once(std::vector<Predicate>& predicates);
// "pid=7,!9 unit=cron", for people. `predicates` are sorted; ends soon after `most_bytes`.
std::string text_of(std::span<const Predicate> predicates, size_t most_bytes);

}  // namespace knell::filter
