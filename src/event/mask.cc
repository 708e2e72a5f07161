// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/mask.h"

#include <knell/cn_proc.h>

#include <algorithm>
#include <array>

#include "base/nearest.h"

namespace knell::event {
namespace {

struct Name {
  std::string_view name;
  uint32_t bits;
};

// The names that are shown, in the kernel's order, then aliases.
constexpr size_t kProper = 10;
constexpr std::array<Name, 14> kNames{{
    {"fork", KNELL_EVENT_FORK},
    {"exec", KNELL_EVENT_EXEC},
    {"uid", KNELL_EVENT_UID},
    {"gid", KNELL_EVENT_GID},
    {"sid", KNELL_EVENT_SID},
    {"ptrace", KNELL_EVENT_PTRACE},
    {"comm", KNELL_EVENT_COMM},
    {"nonzero-exit", KNELL_EVENT_NONZERO_EXIT},
    {"coredump", KNELL_EVENT_COREDUMP},
    {"exit", KNELL_EVENT_EXIT},
    {"all", KNELL_EVENT_ALL},
    {"nonzero", KNELL_EVENT_NONZERO_EXIT},
    {"exitnonzero", KNELL_EVENT_NONZERO_EXIT},
    {"core", KNELL_EVENT_COREDUMP},
}};
constexpr std::string_view kList =
    "fork, exec, uid, gid, sid, ptrace, comm, nonzero-exit, coredump, exit, all";

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

bool same(std::string_view typed, std::string_view name) {
  if (typed.size() != name.size()) return false;
  for (size_t i = 0; i < name.size(); i++) {
    const char c = typed[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != name[i]) return false;
  }
  return true;
}

std::unexpected<Error> unknown_name(std::string_view word) {
  std::array<std::string_view, kNames.size()> names;
  for (size_t i = 0; i < names.size(); i++) names[i] = kNames[i].name;
  std::string sentence = "'" + std::string(word) + "' is not an event";
  if (const auto near = nearest(word, names); !near.empty()) {
    sentence += "; did you mean '" + std::string(near) + "'?";
  }
  return say(EINVAL, sentence + " (" + std::string(kList) + ")");
}

Result<uint32_t> bits_of(std::string_view word) {
  for (const Name& name : kNames) {
    if (same(word, name.name)) return name.bits;
  }
  return unknown_name(word);
}

}  // namespace

Result<uint32_t> parse_mask(std::string_view text) {
  uint32_t mask = trimmed(text).starts_with('-') ? KNELL_EVENT_ALL : 0;
  for (size_t at = 0; at <= text.size();) {
    const size_t comma = std::min(text.find(',', at), text.size());
    std::string_view word = trimmed(text.substr(at, comma - at));
    at = comma + 1;
    const bool remove = word.starts_with('-');
    if (remove) word = trimmed(word.substr(1));
    if (word.empty()) {
      return say(EINVAL, "an event's name is missing in '" + std::string(text) + "' (" +
                             std::string(kList) + ")");
    }
    KNELL_ASSIGN(uint32_t bits, bits_of(word));
    // Without exits there are no non-zero exits either.
    if (remove && (bits & KNELL_EVENT_EXIT) != 0) bits |= KNELL_EVENT_NONZERO_EXIT;
    mask = remove ? mask & ~bits : mask | bits;
  }
  // The kernel takes 0 as all events, the opposite of the request.
  if (mask == 0) return say(EINVAL, "'" + std::string(text) + "' removes all events");
  return mask;
}

std::string mask_text(uint32_t mask) {
  mask &= KNELL_EVENT_ALL | KNELL_EVENT_LOST;
  if ((mask & KNELL_EVENT_ALL) == KNELL_EVENT_ALL) return "all";
  std::string out;
  for (; mask != 0; mask &= mask - 1) {
    if (!out.empty()) out += ',';
    out += type_name(mask & (~mask + 1));
  }
  return out.empty() ? "none" : out;
}

const char* type_name(uint32_t type) {
  if (type == KNELL_EVENT_LOST) return "lost";
  for (size_t i = 0; i < kProper; i++) {
    if (kNames[i].bits == type) return kNames[i].name.data();
  }
  return "unknown";
}

}  // namespace knell::event
