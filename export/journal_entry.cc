// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/journal_entry.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <syslog.h>

#include <type_traits>
#include <variant>

#include "export/ending.h"
#include "export/fields.h"

namespace knell::exporter {
namespace {

enum Kind {
  kOomEntry,
  kCoreEntry,
  kSignalEntry,
  kFailureEntry,
  kLostEntry,
  kExitEntry,
  kOtherEntry
};

Kind kind_number(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return kLostEntry;
  if (event.type != KNELL_EVENT_EXIT) return kOtherEntry;
  switch (ending_of(event)) {
    case Ending::kOom:
      return kOomEntry;
    case Ending::kCore:
      return kCoreEntry;
    case Ending::kSignal:
      return kSignalEntry;
    case Ending::kNonzero:
      return kFailureEntry;
    case Ending::kOk:
    case Ending::kUnknown:
      break;
  }
  return kExitEntry;
}

int priority(Severity severity) {
  switch (severity) {
    case Severity::kError:
      return LOG_ERR;
    case Severity::kWarning:
      return LOG_WARNING;
    case Severity::kInfo:
      break;
  }
  return LOG_INFO;
}

struct ToText {
  std::string operator()(std::monostate) const { return ""; }
  std::string operator()(int64_t number) const { return fmt::format("{}", number); }
  std::string operator()(bool flag) const { return flag ? "1" : "0"; }
  std::string operator()(const std::string& text) const { return text; }
  // The journal does not keep the order of several fields of one name, so the words are one text.
  std::string operator()(const std::vector<std::string>& words) const {
    return fmt::format("{}", fmt::join(words, " "));
  }
};

}  // namespace

const EntryKind& kind_of(const knell_event& event) { return kEntryKinds[kind_number(event)]; }

std::vector<std::string> entry_of(const knell_event& event) {
  std::vector<std::string> out;
  out.push_back("MESSAGE=" + summary_of(event));
  out.push_back(fmt::format("MESSAGE_ID={}", kind_of(event).message_id));
  out.push_back(fmt::format("PRIORITY={}", priority(severity_of(event))));
  out.emplace_back("SYSLOG_IDENTIFIER=knell");
  for (const Field& field : fields()) {
    if (field.journal.empty()) continue;
    const Value value = field.of(event);
    if (std::holds_alternative<std::monostate>(value)) continue;
    out.push_back(fmt::format("{}={}", field.journal, std::visit(ToText(), value)));
  }
  return out;
}

}  // namespace knell::exporter
