// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

using namespace std::string_literals;

TEST(Text, MeasuresColumns) {
  EXPECT_EQ(display_width(""), 0u);
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("Größe"), 5u);
  EXPECT_EQ(display_width("日本"), 4u);
  EXPECT_EQ(display_width("e\u0301"), 1u);    // a combining accent
  EXPECT_EQ(display_width("a\xff\xc3"), 3u);  // not UTF-8: must not run past the end
}

TEST(Text, CutsAtColumnsAndNeverInsideACharacter) {
  EXPECT_EQ(cut("abcdef", 6), "abcdef");
  EXPECT_EQ(cut("abcdef", 5), "abcd…");
  EXPECT_EQ(cut("abcdef", 1), "…");
  EXPECT_EQ(cut("abcdef", 0), "");
  EXPECT_EQ(cut("", 0), "");
  EXPECT_EQ(cut("日本語", 6), "日本語");
  EXPECT_EQ(cut("日本語", 5), "日本…");
  EXPECT_EQ(cut("日本語", 4), "日…");
  for (size_t columns = 0; columns < 12; ++columns) {
    EXPECT_LE(display_width(cut("aß日本e\u0301語xyz", columns)), columns);
  }
}

TEST(Text, PadsByColumnsNotBytes) {
  std::string out;
  append_padded(out, "ß日", 5);
  EXPECT_EQ(out, "ß日  ");
  append_padded(out, "toolong", 3);
  EXPECT_EQ(out, "ß日  toolong");
}

TEST(Text, FormatsLocalTimeToTheMillisecond) {
  ::setenv("TZ", "UTC-2", 1);  // two hours east
  ::tzset();
  EXPECT_EQ(clock_text(1'767'312'721'412'999'999), "02:12:01.412");
  EXPECT_EQ(clock_text(1'767'312'722'000'000'000), "02:12:02.000");
  EXPECT_EQ(clock_text(-1), "01:59:59.999");
  EXPECT_EQ(rfc3339_text(1'767'226'321'412'000'001), "2026-01-01T00:12:01.412000001Z");
}

TEST(Text, QuotesJson) {
  EXPECT_EQ(json_string("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_string("\xff"), R"("\\xff")");
  EXPECT_EQ(json_string(knell_string{nullptr, 0}), "null");
  EXPECT_EQ(json_string(knell_string{"", 0}), "\"\"");
}

TEST(CommandText, JoinsWordsAndQuotesThoseWithSpaces) {
  EventForTest event;
  EXPECT_EQ(command_text(event.args("grep\0-q\0nosuch\0"s)), "grep -q nosuch");
  EXPECT_EQ(command_text(event.args("sh\0-c\0exit 7\0"s)), "sh -c 'exit 7'");
  EXPECT_EQ(command_text(event.args("echo\0it's me\0"s)), "echo 'it'\\''s me'");
  EXPECT_EQ(command_text(event.args("echo\0\0x\0"s)), "echo '' x");
}

TEST(CommandText, QuotesSoThatAShellRunsOnlyTheCommand) {
  EventForTest event;
  EXPECT_EQ(command_text(event.args("echo\0it's $(reboot) `x` \" \0"s)),
            R"(echo 'it'\''s $(reboot) `x` " ')");
  EXPECT_EQ(command_text(event.args("echo\0'\0"s)), R"(echo ''\''')");
  // Such arguments are quoted, although a single word with blanks may be a title
  EXPECT_EQ(command_text(event.args("x $(reboot)\0"s)), "'x $(reboot)'");
}

TEST(CommandText, DoesNotQuoteTitles) {
  EventForTest event;
  EXPECT_EQ(command_text(event.args("postgres: app orders UPDATE\0"s)),
            "postgres: app orders UPDATE");
  EXPECT_EQ(command_text(event.args("nginx: worker process   \0"s)), "nginx: worker process");
}

TEST(CommandText, ShowsCommInBracketsWithoutArgs) {
  EventForTest event;
  EXPECT_EQ(command_text(event.comm("kworker/0:1")), "[kworker/0:1]");
  EXPECT_EQ(command_text(EventForTest()), "-");
  knell_event lost{};
  lost.flags = KNELL_FLAG_DETAILS_LOST;
  EXPECT_EQ(command_text(lost), "- (details lost)");
}

TEST(CommandText, MakesControlBytesVisible) {
  EventForTest event;
  const std::string text = command_text(event.args("a\033[31m\0b\nc\0"s));
  EXPECT_EQ(text.find('\033'), std::string::npos);
  EXPECT_EQ(text.find('\n'), std::string::npos);
  EXPECT_EQ(text, R"($'a\x1b[31m' $'b\x0ac')");
}

TEST(CommandText, DistinguishesAControlByteFromItsEscapeTyped) {
  EventForTest event;
  EXPECT_EQ(command_text(event.args("echo\0a\033\0"s)), R"(echo $'a\x1b')");
  EXPECT_EQ(command_text(event.args("echo\0a\\x1b\0"s)), R"(echo 'a\x1b')");
  EXPECT_EQ(command_text(event.args("echo\0$'a\\x1b'\0"s)), R"(echo '$'\''a\x1b'\''')");
  EXPECT_EQ(command_text(event.args("echo\0a\033'\\\xc3\xa9\xff\0"s)), R"(echo $'a\x1b\'\\é\xff')");
  EXPECT_EQ(command_text(event.args("a title\033\0"s)), R"($'a title\x1b')");
  EXPECT_EQ(command_text(event.args("a title\\x1b\0"s)), R"(a title\x1b)");
}

TEST(NameText, DistinguishesAControlByteFromItsEscapeTyped) {
  EXPECT_EQ(name_text("a\033"), R"($'a\x1b')");
  EXPECT_EQ(name_text("a\\x1b"), R"(a\x1b)");
  EXPECT_EQ(name_text("$'a\\x1b'"), R"('$'\''a\x1b'\''')");
  EXPECT_EQ(name_text("systemd-udevd"), "systemd-udevd");
}

TEST(CommandText, ShowsEmptyArguments) {
  EventForTest event;
  EXPECT_EQ(command_text(event.args("prog\0\0\0"s)), "prog '' ''");
  EXPECT_EQ(command_text(event.args("my prog\0\0\0"s)), "'my prog' '' ''");
}

TEST(EventText, NamesEachType) {
  EventForTest event;
  EXPECT_EQ(event_text(event.exit(0x300)), "exit 3");
  EXPECT_EQ(event_text(event.exit(9)), "SIGKILL");
  EXPECT_EQ(event_text(event.exit(0x8b)), "SIGSEGV core");
  event.event.type = KNELL_EVENT_EXEC;
  EXPECT_EQ(event_text(event), "exec");
  event.event.type = KNELL_EVENT_FORK;
  event.event.child_pid = event.event.child_tid = 123;
  EXPECT_EQ(event_text(event), "fork -> 123");
  event.event.child_tid = 124;
  EXPECT_EQ(event_text(event), "fork -> 123/124");
  event.event.type = KNELL_EVENT_PTRACE;
  event.event.tracer_pid = 12;
  EXPECT_EQ(event_text(event), "ptrace by 12");
  event.event.tracer_pid = 0;
  EXPECT_EQ(event_text(event), "ptrace ended");
}

TEST(EventText, ShowsTheNewIds) {
  EventForTest event;
  event.event.type = KNELL_EVENT_UID;
  event.event.ruid = event.event.euid = 33;
  EXPECT_EQ(event_text(event), "uid 33");
  event.event.euid = 0;
  EXPECT_EQ(event_text(event), "uid 33 (effective 0)");
}

TEST(LostText, SaysHowExactTheCountIs) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EventForTest event;
  event.event.type = KNELL_EVENT_LOST;
  EXPECT_EQ(lost_text(event), "lost an unknown number of events");
  event.event.has = KNELL_HAS_COUNT;
  event.event.lost_count = 12;
  event.event.lost_types = KNELL_EVENT_EXIT;
  event.event.lost_from_time_ns = 1'767'226'321'412'000'000;
  EXPECT_EQ(lost_text(event), "lost at most 12 exits since 00:12:01.412 (buffer full)");
  event.event.flags = KNELL_FLAG_EXACT;
  event.event.lost_count = 1;
  EXPECT_EQ(lost_text(event), "lost 1 exit since 00:12:01.412 (buffer full)");
  EXPECT_EQ(lost_text(event, TimeZone::kUtc),
            "lost 1 exit since 2026-01-01T00:12:01.412000000Z (buffer full)");
}

TEST(LostText, HasNoCauseIfTheJournalReportsTheLoss) {
  EventForTest event;
  event.event.type = KNELL_EVENT_LOST;
  event.event.has = KNELL_HAS_COUNT;
  event.event.lost_count = 12;
  event.event.via = KNELL_VIA_JOURNAL;
  EXPECT_EQ(lost_text(event), "lost at most 12 events");
  event.event.via = KNELL_VIA_BPF;
  EXPECT_EQ(lost_text(event), "lost at most 12 events (buffer full)");
  event.event.cursor = {"7:9", 3};
  EXPECT_EQ(lost_text(event), "lost at most 12 events") << "of a durable listener";
}

TEST(KillerText, NamesTheSenderOrTheCause) {
  EventForTest event;
  EXPECT_EQ(killer_text(event), "");
  event.event.has = KNELL_HAS_KILLER;
  auto& killer = event.event.killed_by;
  killer.pid = 8103;
  killer.comm = {"bash", 4};
  killer.cause = KNELL_CAUSE_USER;
  EXPECT_EQ(killer_text(event), "  <- kill by 8103 bash (root)");
  killer.parent_comm = {"deploy.sh", 9};
  EXPECT_EQ(killer_text(event), "  <- kill by 8103 bash <- deploy.sh (root)");
  killer.cause = KNELL_CAUSE_KERNEL;
  EXPECT_EQ(killer_text(event), "  <- by the kernel when 8103 bash <- deploy.sh (root) exited");
  killer.pid = 0;
  EXPECT_EQ(killer_text(event), "  <- by the kernel");
  killer.cause = KNELL_CAUSE_USER;
  EXPECT_EQ(killer_text(event), "  <- kill by a process outside this pid namespace");
  killer.cause = KNELL_CAUSE_OOM;
  EXPECT_EQ(killer_text(event), "  <- out of memory");
  event.event.cgroup = killer.memory_cgroup = {"/docker/1f2e", 12};
  EXPECT_EQ(killer_text(event), "  <- out of memory") << "of its own cgroup";
  event.event.cgroup = {"/", 1};
  EXPECT_EQ(killer_text(event), "  <- out of memory in /docker/1f2e");
}

TEST(KillerText, NamesTheSenderOfTheLastSignal) {
  EventForTest event;
  event.exit(0).process(100, 1).user("postgres");
  event.event.has |= KNELL_HAS_LAST_SIGNAL | KNELL_HAS_UID;
  event.event.uid = 106;
  auto& last = event.event.last_signal;
  last.signal = SIGINT;
  last.pid = 8103;
  last.uid = 106;
  last.comm = {"bash", 4};
  last.parent_comm = {"deploy.sh", 9};
  last.ago_ns = 2'100'000'000;
  EXPECT_EQ(killer_text(event), "  <- SIGINT from 8103 bash <- deploy.sh (postgres) 2.1s before");
  last.signal = SIGTERM;
  last.uid = 107;
  EXPECT_EQ(killer_text(event), "  <- SIGTERM from 8103 bash <- deploy.sh (uid 107) 2.1s before");
  event.exit(SIGTERM);
  event.event.has |= KNELL_HAS_KILLER;
  event.event.killed_by.cause = KNELL_CAUSE_USER;
  event.event.killed_by.pid = 100;
  EXPECT_EQ(killer_text(event),
            "  <- kill by 100 (root)  <- SIGTERM from 8103 bash <- deploy.sh (uid 107) 2.1s "
            "before");
  event.event.killed_by.pid = 101;
  EXPECT_EQ(killer_text(event), "  <- kill by 101 (root)")
      << "it ended by this signal, not by the last one";
}

TEST(EventsWords, NamesTheEventsOfAMask) {
  EXPECT_EQ(events_words(0), "all events");
  EXPECT_EQ(events_words(KNELL_EVENT_ALL), "all events");
  EXPECT_EQ(events_words(KNELL_EVENT_NONZERO_EXIT), "non-zero exits");
  EXPECT_EQ(events_words(KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT), "exits");
  EXPECT_EQ(events_words(KNELL_EVENT_EXEC | KNELL_EVENT_EXIT), "execs and exits");
  EXPECT_EQ(events_words(KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_NONZERO_EXIT),
            "forks, execs and non-zero exits");
}

TEST(JsonMember, IsTheTextOfAValue) {
  constexpr std::string_view kObject =
      R"({"a":1,"b":"x\"y,\\","c":{"a":2,"d":[1,{"e":3}]},"f":null,"aa":[],"g":true})";
  EXPECT_EQ(json_member(kObject, "a"), "1");
  EXPECT_EQ(json_member(kObject, "b"), R"("x\"y,\\")");
  EXPECT_EQ(json_member(kObject, "c"), R"({"a":2,"d":[1,{"e":3}]})");
  EXPECT_EQ(json_member(kObject, "f"), "null");
  EXPECT_EQ(json_member(kObject, "aa"), "[]");
  EXPECT_EQ(json_member(kObject, "g"), "true");
  EXPECT_EQ(json_member(kObject, "d"), "");
  EXPECT_EQ(json_member("{}\n", "a"), "");
}

}  // namespace
}  // namespace knell::cli
