// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/event_details.h"

#include <gtest/gtest.h>

#include <knell/knell.hpp>
#include <set>
#include <string>

#include "base/json_value.h"
#include "fleet/event_for_test.h"

namespace knell::fleet {
namespace {

// An exit with every field set.
knell_event full_exit() {
  static constexpr char kWords[] = "a\0b";
  knell_event event = exit_for_test(7, 9);
  event.has = ~uint64_t{0} & ~KNELL_HAS_COUNT;
  event.flags = KNELL_FLAG_ARGS_TRUNCATED | KNELL_FLAG_RECOVERED;
  event.parent_id = event.id;
  event.ppid = 1;
  const knell_string text{"text", 4};
  event.comm = event.parent_comm = event.exe = event.cwd = event.user = text;
  event.cgroup = event.unit = event.container_id = event.tty = event.cursor = text;
  event.args = {kWords, sizeof kWords};
  event.uid = event.gid = 1000;
  event.duration_ns = 5;
  event.killed_by = {.pid = 8,
                     .uid = 0,
                     .comm = text,
                     .cause = KNELL_CAUSE_OOM,
                     .parent_pid = 9,
                     .parent_comm = text,
                     .unit = text,
                     .memory_cgroup = text};
  event.last_signal = {
      .signal = 15, .pid = 8, .uid = 0, .comm = text, .parent_comm = text, .ago_ns = 1};
  return event;
}

// The fields that have a value in the JSON of `whole` and not in that of `cut`.
std::set<std::string> missing(const knell_event& whole, const knell_event& cut) {
  const auto value = parse_json_object(json(cut)).value();
  const auto all = parse_json_object(json(whole)).value();
  std::set<std::string> out;
  for (const char* name :
       {"type",        "seq",          "time", "mono_ns",     "id",          "parent_id",
        "pid",         "tid",          "ppid", "comm",        "parent_comm", "exe",
        "args",        "cwd",          "uid",  "gid",         "user",        "cgroup",
        "unit",        "container_id", "tty",  "wait_status", "signal",      "killed_by",
        "last_signal", "duration_ns",  "via",  "cursor"}) {
    const auto known = [](const JsonValue& field) {
      return field.is_string() || field.is_object() || field.real() || !field.items().empty();
    };
    EXPECT_TRUE(known(all[name])) << name;
    if (!known(value[name])) out.insert(name);
  }
  EXPECT_TRUE(value["recovered"].is_true());
  return out;
}

TEST(EventDetails, FullHasEverything) {
  const knell_event event = full_exit();
  EXPECT_EQ(json(with_details(event, KNELL_DETAILS_FULL)), json(event));
}

TEST(EventDetails, NamesHasNoArgumentsAndPaths) {
  const knell_event event = full_exit();
  const knell_event cut = with_details(event, KNELL_DETAILS_NAMES);
  EXPECT_EQ(missing(event, cut), (std::set<std::string>{"exe", "args", "cwd"}));
  EXPECT_FALSE(parse_json_object(json(cut)).value()["args_truncated"].is_true());
}

TEST(EventDetails, StatusHasPidsAndTheStatus) {
  const knell_event event = full_exit();
  EXPECT_EQ(
      missing(event, with_details(event, KNELL_DETAILS_STATUS)),
      (std::set<std::string>{"comm", "parent_comm", "exe", "args", "cwd", "uid", "gid", "user",
                             "cgroup", "unit", "container_id", "tty", "killed_by", "last_signal"}));
}

}  // namespace
}  // namespace knell::fleet
