// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/json.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "event/json_reading.h"
#include "event/printable.h"

namespace knell::event {
namespace {

using std::string_view;

knell_string bytes(string_view text) { return {text.data(), text.size()}; }

std::string json(knell_event event) {
  note_presence<kFields>(event);
  std::string out;
  append_json(out, event);
  // An independent parser checks every object of every test.
  EXPECT_EQ(JsonReading::read(out), JsonExpected::of(event)) << out;
  EXPECT_TRUE(out.starts_with('{') && out.find('\n') == std::string::npos) << out;
  return out;
}

// A string of the event, as RapidJSON reads it.
std::string parsed(const knell_event& event, const std::string& key) {
  Values values = JsonReading::read(json(event));
  return values[key].substr(1);
}

knell_event bare(uint32_t type) {
  knell_event event{};
  event.size = sizeof event;
  event.type = type;
  event.via = KNELL_VIA_CONNECTOR;
  event.seq = 1;
  event.mono_ns = 5'000'000'001;
  event.time_ns = 1'795'402'321'412'000'123;
  event.pid = event.tid = 7889;
  return event;
}

constexpr string_view kArgs("grep\0-q\0\0/etc/passwd\0", 21);

knell_event full(uint32_t type) {
  knell_event event = bare(type);
  event.has = KNELL_HAS_UID | KNELL_HAS_GID;
  event.flags = KNELL_FLAG_ARGS_TRUNCATED | KNELL_FLAG_RECOVERED;
  event.id = {0x00c0ffee, 7889, 4711, KNELL_ID_START};
  event.parent_id = {0x00c0ffee, 788, 99, KNELL_ID_STAMP};
  event.ppid = 788;
  event.comm = bytes("grep");
  event.parent_comm = bytes("bash");
  event.exe = bytes("/usr/bin/grep");
  event.cwd = bytes("/root");
  event.args = bytes(kArgs);
  event.uid = 33;
  event.gid = 34;
  event.user = bytes("www-data");
  event.cgroup = bytes("/system.slice/cron.service");
  event.unit = bytes("cron.service");
  event.container_id = bytes("0123456789ab");
  event.tty = bytes("pts/3");
  return event;
}

const std::string kBareFront =
    R"("seq":1,"time":"2026-11-23T02:52:01.412000123Z","mono_ns":5000000001,)"
    R"("id":null,"parent_id":null,"pid":7889,"tid":7889,"ppid":null,"comm":null,"parent_comm":null,)"
    R"("exe":null,"args":null,"args_truncated":null,"cwd":null,"uid":null,"gid":null,"user":null,)"
    R"("cgroup":null,"unit":null,"container_id":null,"tty":null,)";

const std::string kFullFront =
    R"("seq":1,"time":"2026-11-23T02:52:01.412000123Z","mono_ns":5000000001,)"
    R"("id":"00c0ffee-7889-4711","parent_id":"00c0ffee-788-x99","pid":7889,"tid":7889,"ppid":788,)"
    R"("comm":"grep","parent_comm":"bash","exe":"/usr/bin/grep",)"
    R"("args":["grep","-q","","/etc/passwd"],"args_truncated":true,"cwd":"/root",)"
    R"("uid":33,"gid":34,"user":"www-data","cgroup":"/system.slice/cron.service",)"
    R"("unit":"cron.service","container_id":"0123456789ab","tty":"pts/3",)";

TEST(Json, UnknownIsNull) {
  EXPECT_EQ(json(bare(KNELL_EVENT_EXIT)),
            R"({"type":"exit",)" + kBareFront +
                R"("wait_status":null,"exit_code":null,"signal":null,"core_dumped":null,)"
                R"("killed_by":null,"last_signal":null,"duration_ns":null,"details_lost":false,)"
                R"("recovered":false,)"
                R"("via":"connector","cursor":null,"redelivered":false})");
  EXPECT_EQ(json(bare(KNELL_EVENT_EXEC)),
            R"({"type":"exec",)" + kBareFront +
                R"("recovered":false,"via":"connector","cursor":null,"redelivered":false})");
}

TEST(Json, IdsAreNullWithoutTheBootId) {
  knell_event event = full(KNELL_EVENT_EXEC);
  event.id.boot = event.parent_id.boot = 0;
  EXPECT_NE(json(event).find(R"("id":null,"parent_id":null,"pid":7889)"), std::string::npos);
}

TEST(Json, ExitWithAllFields) {
  knell_event event = full(KNELL_EVENT_EXIT);
  event.has |= KNELL_HAS_STATUS | KNELL_HAS_DURATION | KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;
  event.wait_status = 0x8b;
  event.duration_ns = 1'234'567;
  event.killed_by.pid = 8103;
  event.killed_by.uid = 0;
  event.killed_by.comm = bytes("bash");
  event.killed_by.cause = KNELL_CAUSE_USER;
  event.killed_by.parent_pid = 8100;
  event.killed_by.parent_comm = bytes("deploy.sh");
  event.killed_by.unit = bytes("deploy.service");
  event.killed_by.memory_cgroup = bytes("/limited");
  event.last_signal = {.signal = 2,
                       .pid = 8104,
                       .uid = 1000,
                       .comm = bytes("kill"),
                       .parent_comm = bytes("cron"),
                       .ago_ns = 2'100'000'000};
  event.flags |= KNELL_FLAG_DETAILS_LOST;
  event.via = KNELL_VIA_BPF;
  EXPECT_EQ(json(event),
            R"({"type":"exit",)" + kFullFront +
                R"("wait_status":139,"exit_code":null,"signal":"SIGSEGV","core_dumped":true,)"
                R"("killed_by":{"pid":8103,"comm":"bash","uid":0,"cause":"user",)"
                R"("parent_pid":8100,"parent_comm":"deploy.sh","unit":"deploy.service",)"
                R"("memory_cgroup":"/limited"},"last_signal":{"signal":"SIGINT","pid":8104,)"
                R"("comm":"kill","uid":1000,"parent_comm":"cron","ago_ns":2100000000},)"
                R"("duration_ns":1234567,"details_lost":true,"recovered":true,"via":"bpf",)"
                R"("cursor":null,"redelivered":false})");
}

TEST(Json, ASenderThatIsNoProcessHasNullIds) {
  knell_event event = bare(KNELL_EVENT_EXIT);
  event.has |= KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;
  event.killed_by.cause = KNELL_CAUSE_USER;
  event.last_signal.signal = 15;
  const std::string line = json(event);
  EXPECT_NE(line.find(R"("killed_by":{"pid":null,"comm":null,"uid":null,"cause":"user",)"
                      R"("parent_pid":null,"parent_comm":null,"unit":null,"memory_cgroup":null})"),
            std::string::npos)
      << line;
  EXPECT_NE(line.find(R"("last_signal":{"signal":"SIGTERM","pid":null,"comm":null,"uid":null,)"
                      R"("parent_comm":null,"ago_ns":0})"),
            std::string::npos)
      << line;
  event.last_signal.signal = 1000;
  EXPECT_NE(json(event).find(R"("last_signal":{"signal":null,)"), std::string::npos);
}

TEST(Json, FieldsOfOneType) {
  const std::string back =
      R"("recovered":true,"via":"connector","cursor":null,"redelivered":false})";
  const auto expect = [&](const knell_event& event, const std::string& type,
                          const std::string& fields) {
    EXPECT_EQ(json(event), R"({"type":")" + type + R"(",)" + kFullFront + fields + back);
  };
  knell_event event = full(KNELL_EVENT_FORK);
  event.child_id = {0x00c0ffee, 7900, 5000, KNELL_ID_START};
  event.child_pid = 7900;
  event.child_tid = 7901;
  expect(event, "fork", R"("child_id":"00c0ffee-7900-5000","child_pid":7900,"child_tid":7901,)");

  event = full(KNELL_EVENT_UID);
  event.ruid = 1000;
  event.euid = 4294967294;
  event.rgid = 1001;
  event.egid = 1002;
  expect(event, "uid", R"("ruid":1000,"euid":4294967294,)");
  event.type = KNELL_EVENT_GID;
  expect(event, "gid", R"("rgid":1001,"egid":1002,)");

  event = full(KNELL_EVENT_PTRACE);
  event.tracer_pid = 12;
  expect(event, "ptrace", R"("tracer_pid":12,)");
  event = full(KNELL_EVENT_COMM);
  event.new_comm = bytes("worker");
  expect(event, "comm", R"("new_comm":"worker",)");
  for (const auto& [type, name] :
       std::vector<std::pair<uint32_t, std::string>>{{KNELL_EVENT_EXEC, "exec"},
                                                     {KNELL_EVENT_SID, "sid"},
                                                     {KNELL_EVENT_COREDUMP, "coredump"}}) {
    expect(full(type), name, "");
  }
}

TEST(Json, HowItEnded) {
  struct Case {
    int status;
    const char* fields;
  };
  for (const auto& [status, fields] : std::vector<Case>{
           {0, R"("wait_status":0,"exit_code":0,"signal":null,"core_dumped":false,)"},
           {0x700, R"("wait_status":1792,"exit_code":7,"signal":null,"core_dumped":false,)"},
           {0xff00, R"("wait_status":65280,"exit_code":255,"signal":null,"core_dumped":false,)"},
           {9, R"("wait_status":9,"exit_code":null,"signal":"SIGKILL","core_dumped":false,)"},
           {37, R"("wait_status":37,"exit_code":null,"signal":"SIGRTMIN+3","core_dumped":false,)"},
       }) {
    knell_event event = bare(KNELL_EVENT_EXIT);
    event.has = KNELL_HAS_STATUS;
    event.wait_status = status;
    EXPECT_NE(json(event).find(fields), std::string::npos) << json(event);
  }
}

TEST(Json, Lost) {
  knell_event event = bare(KNELL_EVENT_LOST);
  event.has = KNELL_HAS_COUNT;
  event.flags = KNELL_FLAG_EXACT;
  event.lost_count = 12;
  event.lost_types = KNELL_EVENT_EXIT | KNELL_EVENT_EXEC;
  event.lost_from_time_ns = 951'782'400'000'000'000;  // a leap day
  event.lost_until_time_ns = 951'868'799'999'999'999;
  EXPECT_EQ(json(event), R"({"type":"lost","seq":1,"time":"2026-11-23T02:52:01.412000123Z",)"
                         R"("mono_ns":5000000001,"via":"connector","count":12,"exact":true,)"
                         R"("types":["exec","exit"],"from":"2000-02-29T00:00:00.000000000Z",)"
                         R"("until":"2000-02-29T23:59:59.999999999Z","cursor":null,)"
                         R"("redelivered":false})");
  event.has = 0;
  event.flags = 0;
  EXPECT_NE(json(event).find(R"("count":null,"exact":false,)"), std::string::npos);
}

TEST(Json, Times) {
  struct Case {
    int64_t ns;
    const char* text;
  };
  for (const auto& [ns, text] : std::vector<Case>{
           {0, "1970-01-01T00:00:00.000000000Z"},
           {-1, "1969-12-31T23:59:59.999999999Z"},
           {1'709'164'800'000'000'000, "2024-02-29T00:00:00.000000000Z"},
           {1'735'689'599'999'999'999, "2024-12-31T23:59:59.999999999Z"},
           {4'107'542'400'000'000'000, "2100-03-01T00:00:00.000000000Z"},
           {INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
           {INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
       }) {
    knell_event event = bare(KNELL_EVENT_EXEC);
    event.time_ns = ns;
    EXPECT_EQ(parsed(event, "time"), text);
  }
}

TEST(Json, ViaNames) {
  for (const auto& [via, name] :
       std::vector<std::pair<uint32_t, string_view>>{{KNELL_VIA_CONNECTOR, "connector"},
                                                     {KNELL_VIA_BPF, "bpf"},
                                                     {KNELL_VIA_PIDFD, "pidfd"},
                                                     {KNELL_VIA_PROC, "proc"},
                                                     {KNELL_VIA_RECORDING, "recording"}}) {
    knell_event event = bare(KNELL_EVENT_EXEC);
    event.via = via;
    EXPECT_EQ(parsed(event, "via"), name);
  }
}

// Well-formed text is unchanged after parsing; other bytes become visible.
TEST(Json, EscapesAnyBytesInStrings) {
  const std::vector<std::pair<string_view, string_view>> cases{
      {"", ""},
      {"a \"b\" \\c", "a \"b\" \\c"},
      {"line\nline\ttab\x1b[0m\x7f", "line\nline\ttab\x1b[0m\x7f"},
      {"\xc2\x9b\xe2\x80\xae\xd8\x9c", "\xc2\x9b\xe2\x80\xae\xd8\x9c"},
      {"caf\xc3\xa9 \xf0\x9f\x90\xa7", "caf\xc3\xa9 \xf0\x9f\x90\xa7"},
      {"caf\xe9", "caf\\xe9"},
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},
      {"\xff\xfe", "\\xff\\xfe"},
  };
  for (const auto& [in, out] : cases) {
    knell_event event = bare(KNELL_EVENT_EXEC);
    event.exe = bytes(in);
    EXPECT_EQ(parsed(event, "exe"), out);
    EXPECT_EQ(printable(json(event)), json(event)) << "would control a terminal";
  }
}

TEST(Json, ArgsWithoutAFinalNulAndEmptyArgs) {
  knell_event event = bare(KNELL_EVENT_EXEC);
  event.args = bytes(string_view("a\0b", 3));
  EXPECT_NE(json(event).find(R"("args":["a","b"],"args_truncated":false)"), std::string::npos);
  event.args = bytes("");  // known, and empty
  EXPECT_NE(json(event).find(R"("args":[],"args_truncated":false)"), std::string::npos);
}

// Strings are copied eight bytes at a time: each length, and each place in it.
TEST(Json, EscapesAnyByteAtAnyPlaceInStrings) {
  for (const size_t size : std::vector<size_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 17}) {
    for (size_t at = 0; at < size; at++) {
      for (unsigned byte = 0; byte < 256; byte++) {
        // Memory of exactly this size, so that a sanitizer detects reads past the end
        const std::unique_ptr<char[]> text(new char[size]);
        std::fill_n(text.get(), size, 'a');
        text[at] = static_cast<char>(byte);
        knell_event event = bare(KNELL_EVENT_EXEC);
        event.comm = event.args = {text.get(), size};
        std::string line;
        append_json(line, event);
        ASSERT_EQ(JsonReading::read(line), JsonExpected::of(event)) << line;
        ASSERT_EQ(printable(line), line) << "would control a terminal";
      }
    }
  }
}

TEST(Json, Numbers) {
  uint64_t power = 1;
  for (int digits = 1; digits <= 20; digits++, power *= 10) {
    for (const uint64_t number : {power - 1, power, power + 1, UINT64_MAX}) {
      knell_event event = bare(KNELL_EVENT_EXIT);
      event.seq = number;
      event.pid = static_cast<int32_t>(number);
      event.ppid = -static_cast<int32_t>(number % INT32_MAX);
      event.id = {static_cast<uint32_t>(number) | 1, event.pid, number, KNELL_ID_START};
      (void)json(event);
    }
  }
}

TEST(Json, StaysWithinItsBound) {
  knell_event event = full(KNELL_EVENT_EXIT);
  const std::string wild(1000, '\x01'), empty_words(1000, '\0');
  event.has = UINT64_MAX;
  event.seq = event.mono_ns = event.duration_ns = UINT64_MAX;
  event.pid = event.tid = event.ppid = event.killed_by.pid = INT32_MIN;
  event.killed_by.parent_pid = event.last_signal.pid = INT32_MIN;
  event.uid = event.gid = event.killed_by.uid = event.last_signal.uid = UINT32_MAX;
  event.last_signal.signal = 37;
  event.last_signal.ago_ns = UINT64_MAX;
  event.id = event.parent_id = {UINT32_MAX, INT32_MIN, UINT64_MAX, KNELL_ID_STAMP};
  event.wait_status = 0x80 | 37;
  event.killed_by.cause = KNELL_CAUSE_KERNEL;
  for (const auto& text : {std::string(), wild, empty_words}) {
    for_each_row<kFields>([&](auto row) {
      constexpr const Field& kField = kFields[row];
      if constexpr (kField.is(Member::Kind::kString)) value_of<kField.member>(event) = bytes(text);
    });
    EXPECT_LE(json(event).size(), json_bound(event));
  }
}

TEST(Json, AppendsAndSurvivesHugeEvents) {
  std::string huge(3 << 20, '\x01');
  knell_event event = bare(KNELL_EVENT_EXEC);
  event.exe = bytes(huge);
  EXPECT_GT(json(event).size(), huge.size() * 6);
  std::string out = "before\n";
  append_json(out, bare(KNELL_EVENT_EXEC));
  EXPECT_TRUE(out.starts_with("before\n{\"type\":\"exec\""));
}

}  // namespace
}  // namespace knell::event
