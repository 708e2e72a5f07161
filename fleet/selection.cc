// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/selection.h"

#include <fmt/format.h>

#include <knell/knell.hpp>

#include "fleet/subject.h"

namespace knell::fleet {
namespace {

struct Flag {
  const char* names;
  const char* key;
  const char* type;
  const char* help;
};
constexpr Flag kFlags[] = {
    {"-C,--comm", "comm", "GLOB", "the name of the process (comm, 15 bytes)"},
    {"--exe", "exe", "GLOB", "the path of its program"},
    {"--uid", "uid", "UID", "its real user id"},
    {"-u,--unit", "unit", "GLOB", "its systemd unit, with or without .service"},
    {"--cgroup", "cgroup", "PATH", "its cgroup, and those below"},
    {"--container", "container", "ID", "its container's id, or the beginning of that id"},
    {"--tty", "tty", "GLOB", "its controlling terminal: pts/3, ttyS*"},
    {"--ended", "ended", "WHAT", "how it ended: 2-255, 0, SIGKILL, signal, core, oom, unknown"},
    {"--longer", "longer", "TIME", "it ran longer than this"},
    {"--shorter", "shorter", "TIME", "it ran shorter than this"},
};

}  // namespace

void Selection::add_options(CommandLine& line, const std::string& unless_given) {
  static_assert(std::size(kFlags) == kFlagCount);
  unless_given_ = unless_given;
  line.add_value("-e,--events", events_, "EVENTS",
                 fmt::format("events, as in knell watch; default {}", unless_given));
  line.add_value("-H,--host", hosts_, "GLOB", "these hosts only; default all");
  for (size_t i = 0; i < kFlagCount; ++i)
    line.add_values(kFlags[i].names, values_[i], kFlags[i].type, kFlags[i].help,
                    "Predicates (commas and repeats: any value must match; !VALUE: must not match; "
                    "different flags: all must match)");
}

Result<Selector> Selection::selector() const {
  Selector selector;
  std::error_code error;
  selector.events = events_parse(events_.empty() ? unless_given_ : events_, error);
  if (error) return say(EINVAL, fmt::format("-e: {}", explain()));
  if (hosts_.size() > kMostHostBytes)
    return say(EINVAL, fmt::format("-H takes up to {} bytes", kMostHostBytes));
  selector.hosts = hosts_;
  for (size_t i = 0; i < kFlagCount; ++i)
    for (const std::string& value : values_[i]) {
      if (const auto checked = check_predicate(kFlags[i].key, value); !checked)
        return say(EINVAL, checked.error().message());
      selector.predicates[kFlags[i].key].push_back(value);
    }
  // Each key is the name of its option.
  if (const auto checked = check_limits(selector); !checked)
    return say(EINVAL, "--" + checked.error().message());
  return selector;
}

Result<bool> is_json(const std::string& output) {
  if (!output.empty() && output != "table" && output != "json")
    return say(EINVAL, fmt::format("-o takes table or json, not '{}'", printable(output)));
  return output == "json";
}

}  // namespace knell::fleet
