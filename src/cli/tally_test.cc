// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/tally.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Keys, AreReadFromLists) {
  EXPECT_EQ(*parse_keys({"comm,ended", "uid"}),
            (std::vector<Key>{Key::kComm, Key::kEnded, Key::kUid}));
  EXPECT_THAT(parse_keys({"com"}).error().line, HasSubstr("did you mean comm?"));
  EXPECT_THAT(parse_keys({"comm", "comm"}).error().line, HasSubstr("twice"));
  for (const char* bad : {"", ",", "comm,", "Comm x"}) EXPECT_FALSE(parse_keys({bad})) << bad;
}

class TallyTest : public testing::Test {
 protected:
  TallyTest() {
    failed_.exit(0x100).process(10, 1).comm("grep");
    failed_.event.has |= KNELL_HAS_UID;
    killed_.exit(9).process(11, 1).comm("java");
  }
  std::string nothing_;
  EventForTest failed_, killed_;
};

TEST_F(TallyTest, CountsTotalsAndWhatIsNew) {
  Tally tally({Key::kComm, Key::kEnded}, false, {});
  for (int i = 0; i < 3; ++i) tally.add(failed_, nothing_);
  tally.add(killed_, nothing_);
  EXPECT_EQ(nothing_, "");
  std::string out;
  tally.tick(out);
  EXPECT_EQ(out,
            "   COUNT      NEW  COMM  ENDED\n"
            "       3        3  grep  exit 1\n"
            "       1        1  java  SIGKILL\n");
  tally.add(killed_, nothing_);
  out.clear();
  tally.finish(out);
  EXPECT_EQ(out,
            "\n"
            "   COUNT      NEW  COMM  ENDED\n"
            "       3        0  grep  exit 1\n"
            "       2        1  java  SIGKILL\n");
}

TEST_F(TallyTest, BoundsItsRows) {
  Tally tally({Key::kPid}, false, {}, 10);
  for (int pid = 1; pid <= 100; ++pid) tally.add(failed_.process(pid, 1), nothing_);
  std::string out;
  tally.finish(out);
  EXPECT_THAT(out, HasSubstr("      90       90  (other)\n"));
}

TEST_F(TallyTest, WritesJson) {
  Tally tally({Key::kComm, Key::kUid, Key::kUnit}, true, {});
  tally.add(failed_.comm("a\"b"), nothing_);
  std::string out;
  tally.tick(out);
  EXPECT_THAT(
      out,
      HasSubstr(R"("final":false,"by":{"comm":"a\"b","uid":0,"unit":null},"count":1,"new":1})"));
  out.clear();
  tally.tick(out);
  EXPECT_EQ(out, "");  // nothing new
  tally.finish(out);
  EXPECT_THAT(out, HasSubstr(R"("final":true)"));
  EXPECT_THAT(out, Not(HasSubstr("lost")));
}

TEST_F(TallyTest, ShrinksLongValuesButNeverEnded) {
  Tally tally({Key::kExe, Key::kComm, Key::kEnded}, false, Screen{true, false, 40, 10});
  const std::string exe = "/usr/lib/jvm/java-17/bin/java";
  killed_.event.exe = {exe.data(), exe.size()};
  tally.add(killed_, nothing_);
  std::string out;
  tally.tick(out);
  EXPECT_THAT(out, HasSubstr("       1        1  /usr/…  java  SIGKILL\n"));
}

TEST_F(TallyTest, FitsTheWindow) {
  Screen screen{true, false, 20, 10};
  Tally tally({Key::kComm, Key::kPid}, false, screen);
  for (int pid = 1; pid <= 100; ++pid) tally.add(failed_.process(pid, 1), nothing_);
  std::string out;
  tally.tick(out);
  EXPECT_LT(std::count(out.begin(), out.end(), '\n'), 10);
  EXPECT_THAT(out, HasSubstr("more below"));
  const auto lines = std::count(out.begin(), out.end(), '\n');
  out.clear();
  tally.tick(out);
  EXPECT_TRUE(out.starts_with("\033[" + std::to_string(lines) + "A\033[J")) << out;
}

}  // namespace
}  // namespace knell::cli
