// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/via.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <knell/knell.h>

#include "event/json.h"

namespace knell::event {
namespace {

using testing::HasSubstr;

TEST(Via, ParsesEachName) {
  for (uint32_t via = KNELL_VIA_AUTO; via <= KNELL_VIA_JOURNAL; via++)
    EXPECT_EQ(*parse_via(via_name(via)), via);
  EXPECT_STREQ(via_name(KNELL_VIA_JOURNAL + 1), "unknown");
}

TEST(Via, JsonHasTheSameNames) {
  for (uint32_t via = KNELL_VIA_CONNECTOR; via <= KNELL_VIA_PTRACE; via++) {
    if (via == KNELL_VIA_DAEMON)
      continue;  // no event has this value: it has the source of the daemon
    knell_event event{};
    event.type = KNELL_EVENT_EXIT;
    event.via = via;
    std::string json;
    append_json(json, event);
    EXPECT_THAT(json, HasSubstr("\"via\":\"" + std::string(via_name(via)) + "\""));
  }
}

TEST(Via, RefusesWithTheNearestNameOrAll) {
  EXPECT_EQ(parse_via("conector").error().message(),
            "unknown source 'conector'; did you mean connector?");
  EXPECT_THAT(parse_via("audit").error().message(), HasSubstr("the sources are auto, daemon, bpf"));
}

}  // namespace
}  // namespace knell::event
