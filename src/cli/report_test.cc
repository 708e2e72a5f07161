// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/report.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <csignal>

#include "cli/event_for_test.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using namespace std::string_literals;
using namespace std::chrono_literals;

bool nobody(pid_t, uint64_t) { return false; }

class ReportTest : public testing::Test {
 protected:
  ReportTest() {
    EventForTest make;
    make.process(100, 1).comm("make");
    make.event.type = KNELL_EVENT_EXEC;
    tree_.add(make, nobody);
    tree_.add(EventForTest().fork(100, 4412), nobody);
    cc1_.exit(0x100).process(4412, 100).comm("cc1").lasted(310'000'000).args("cc1\0-quiet\0"s);
  }
  std::string line(const Report& report) {
    std::string out;
    report.add(cc1_, tree_, out);
    return out;
  }
  Tree tree_{100};
  EventForTest cc1_;
};

TEST_F(ReportTest, ShowsTheFailureWithItsAncestry) {
  EXPECT_EQ(line(Report(false, {})),
            "knell: exit 1   0.31s  pid 4412  cc1 <- make          cc1 -quiet\n");
}

TEST_F(ReportTest, FitsTheWindow) {
  for (size_t columns = 20; columns < 100; ++columns) {
    EXPECT_LE(display_width(line(Report(false, {true, false, columns, 24}))) - 1, columns);
  }
}

TEST_F(ReportTest, PutsTheCauseBeforeTheCommandAndNeverCutsIt) {
  cc1_.exit(SIGKILL).killed_by(8103, 0, "bash");
  EXPECT_EQ(line(Report(false, {})),
            "knell: SIGKILL  0.31s  pid 4412  cc1 <- make          <- kill by 8103 bash (root)  "
            "cc1 -quiet\n");
  for (size_t columns = 30; columns < 100; ++columns) {
    const std::string shown = line(Report(false, {true, false, columns, 24}));
    EXPECT_NE(shown.find("SIGKILL"), std::string::npos) << shown;
    EXPECT_NE(shown.find("<- kill by 8103 bash (root)"), std::string::npos) << shown;
  }
}

TEST_F(ReportTest, JsonHasTheAncestry) {
  const std::string out = line(Report(true, {}));
  EXPECT_TRUE(out.ends_with(",\"ancestry\":\"cc1 <- make\"}\n")) << out;
}

RunResult a_result() {
  RunResult result;
  result.name = "make";
  result.wait_status = 0x200;
  result.exit = describe_exit(exit_with(0x200));
  result.took = 12480ms;
  result.processes = 3412;
  result.failed = 2;
  return result;
}

std::string close(const RunResult& result, bool json = false) {
  std::string out;
  Report(json, {}).close(result, out);
  return out;
}

TEST(ReportClose, HasStatusDurationAndCounts) {
  RunResult result = a_result();
  EXPECT_EQ(close(result),
            "knell: make: exit 2 after 12.4s; 3412 processes, 2 failed under it, 0 lost\n");
  result.still_running = 2;
  EXPECT_EQ(close(result),
            "knell: make: exit 2 after 12.4s; 3412 processes, 2 failed under it, 0 lost; 2 still "
            "running\n");
  EXPECT_EQ(
      close(result, true),
      R"({"type":"summary","command":"make","wait_status":512,"exit_code":2,"signal":null,)"
      R"("core_dumped":false,"killed_by":null,"last_signal":null,"duration_ns":12480000000,"scope":"all",)"
      R"("scope_uid":null,"processes":3412,"failed":2,"still_running":2,"lost":0,)"
      "\"lost_exact\":true,\"via\":null,\"privileges_withheld\":null,\"not_followed\":null}\n");
}

TEST(ReportClose, HasTheCauseOfTheExit) {
  EventForTest exit;
  exit.exit(SIGKILL).event.has |= KNELL_HAS_KILLER | KNELL_HAS_KILLER_PID;
  exit.event.killed_by.pid = 8103;
  exit.event.killed_by.comm = {"bash", 4};
  exit.event.killed_by.cause = KNELL_CAUSE_USER;
  RunResult result = a_result();
  result.wait_status = SIGKILL;
  result.exit = describe_exit(exit);
  EXPECT_TRUE(close(result).starts_with(
      "knell: make: SIGKILL after 12.4s <- kill by 8103 bash (root); 3412 processes, "))
      << close(result);
  EXPECT_NE(
      close(result, true)
          .find(R"("signal":"SIGKILL","core_dumped":false,"killed_by":{"pid":8103,"comm":"bash",)"),
      std::string::npos)
      << close(result, true);
  exit.event.killed_by.cause = KNELL_CAUSE_OOM;
  result.exit = describe_exit(exit);
  EXPECT_TRUE(close(result).starts_with("knell: make: SIGKILL oom after 12.4s <- out of memory; "))
      << close(result);
}

TEST(ReportClose, NoFailuresIsUnknownWhenProcessesAreHidden) {
  RunResult result = a_result();
  result.scope = KNELL_SCOPE_USER;
  result.scope_uid = 1000;
  result.failed = 0;
  EXPECT_EQ(close(result),
            "knell: make: exit 2 after 12.4s; 3412 processes of uid 1000 seen, 0 of them failed, 0 "
            "lost; other users' processes are hidden\n");
  EXPECT_NE(close(result, true)
                .find(R"("scope":"user","scope_uid":1000,"processes":3412,"failed":null,)"),
            std::string::npos);
  result.failed = 1;
  EXPECT_NE(close(result, true).find("\"failed\":1,"), std::string::npos);
}

RunResult a_traced_result() {
  RunResult result = a_result();
  result.via = KNELL_VIA_PTRACE;
  result.traced_because = "the kernel has none";
  result.privileges_withheld = 3;
  result.not_followed = 1;
  return result;
}

TEST(ReportBegin, SaysThatCmdIsTracedAndWhy) {
  std::string text, json, other;
  Report(false, {}).begin(a_traced_result(), text);
  EXPECT_EQ(text,
            "knell: make is traced (ptrace), which slows it down: no other source works here: the "
            "kernel has none\n");
  Report(true, {}).begin(a_traced_result(), json);
  EXPECT_EQ(json,
            R"({"type":"traced","command":"make","via":"ptrace","reason":"the kernel has none"})"
            "\n");
  Report(false, {}).begin(a_result(), other);
  EXPECT_EQ(other, "");
}

TEST(ReportClose, CountsTheProgramsThatTracingChanged) {
  const std::string json = close(a_traced_result(), true);
  EXPECT_TRUE(json.ends_with(R"("via":"ptrace","privileges_withheld":3,"not_followed":1})"
                             "\n"))
      << json;
}

TEST_F(ReportTest, SaysWhatTracingChangesForAProgram) {
  cc1_.event.type = KNELL_EVENT_EXEC;
  cc1_.event.via = KNELL_VIA_PTRACE;
  cc1_.event.flags = KNELL_FLAG_PRIVILEGES_WITHHELD;
  EXPECT_TRUE(line(Report(false, {})).starts_with("knell: exec without its privileges (traced)  "))
      << line(Report(false, {}));
  EXPECT_TRUE(line(Report(true, {}))
                  .ends_with(R"("ancestry":"cc1 <- make","privileges_withheld":true,)"
                             "\"not_followed\":false}\n"))
      << line(Report(true, {}));
  cc1_.event.flags = KNELL_FLAG_NOT_FOLLOWED;
  EXPECT_TRUE(line(Report(false, {})).starts_with("knell: exec, not followed (it traces)  "));
  cc1_.event.via = KNELL_VIA_BPF;
  EXPECT_EQ(line(Report(true, {})).find("not_followed"), std::string::npos);
}

TEST(ReportClose, NoFailuresIsUnknownAfterAnUncountedLoss) {
  RunResult result = a_result();
  result.failed = 0;
  result.losses.add({});
  EXPECT_EQ(close(result),
            "knell: make: exit 2 after 12.4s; 3412 processes seen, 0 of them failed, an unknown "
            "number lost\n");
  EXPECT_NE(close(result, true).find("\"failed\":null,"), std::string::npos);
}

TEST(ShellStatus, IsTheCodeOr128PlusTheSignal) {
  EXPECT_EQ(shell_status(0), 0);
  EXPECT_EQ(shell_status(0x700), 7);
  EXPECT_EQ(shell_status(9), 137);
  EXPECT_EQ(shell_status(0x8b), 139);
}

}  // namespace
}  // namespace knell::cli
