// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Conditions on processes, as typed values. Text is parsed in the program where it was typed
// (lib/predicate_parser.h has the grammar); on the wire and in the daemon there are only values.
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

// The numbers are part of the protocol (docs/protocol.md): a new key gets a new number.
enum class Key : uint32_t {
  kPid = 1,    // number: a process
  kUnder,      // number: that process and its descendants
  kComm,       // text: a glob over the name
  kExe,        // text: a glob over the path
  kUid,        // number: a real uid
  kUnit,       // text: a glob; `.service` may be left out
  kCgroup,     // text: a path, and all below it; no slash at its end, so the root is empty
  kContainer,  // text: an id, or a prefix of one
  kTty,        // text: a glob over the name without /dev/
  kEnded,      // Ended
  kLonger,     // number: lived that many nanoseconds or longer
  kShorter,    // number: lived less than that
};

// A way for a process to end. Part of the protocol: sent as these bytes.
struct Ended {
  enum class Kind : uint16_t { kCodes = 1, kSignal, kAnySignal, kCore, kOom, kUnknown };
  Kind kind = Kind::kUnknown;
  uint16_t first = 0, last = 0;  // kCodes: a range of exit codes; kSignal: its number, in both
  uint16_t reserved = 0;
  auto operator<=>(const Ended&) const = default;
};

using Value = std::variant<int64_t, std::string, Ended>;

// One value of one key.
struct Predicate {
  Key key{};
  bool excluded = false;
  Value value;
  uint64_t start = 0;  // kUnder: Root::start; not sent to knelld, which reads it itself
  auto operator<=>(const Predicate&) const = default;
};

inline constexpr size_t kMaxAlternatives = 1024;  // of one key; chosen, not measured
inline constexpr size_t kMaxValueBytes = 4096;    // PATH_MAX: nothing longer can match
inline constexpr size_t kMaxCommBytes = 15;       // TASK_COMM_LEN less its NUL
// the largest uid; (uid_t)-1 means "no user"
inline constexpr int64_t kMaxUid = UINT32_C(0xfffffffe);

// "unit" for kUnit; empty for a number that is no Key.
std::string_view name_of(Key key);
// Checks the value's kind, which its key determines, and its bounds. Errors: EINVAL.
Result<void> check(const Predicate& predicate);
// Sorts by key, wanted before excluded values, and removes duplicates: so equal sets compare equal.
void sort_once(std::vector<Predicate>& predicates);
// For display: "pid=7,!9 unit=cron". `predicates` must be sorted. Stops after the value with which
// the text exceeds `most_bytes`.
std::string text_of(std::span<const Predicate> predicates, size_t most_bytes);

}  // namespace knell::filter
