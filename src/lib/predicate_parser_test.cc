// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/predicate_parser.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "filter/predicates.h"

namespace knell::lib {
namespace {

using filter::Ancestry;
using filter::kMaxAlternatives;
using filter::kMaxValueBytes;
using filter::Predicates;
using std::string_view;

// Like knell_match().
Result<void> add(Predicates& predicates, string_view key, string_view values) {
  KNELL_ASSIGN(const auto more, parse_predicate(key, values));
  return predicates.add(more);
}

knell_string bytes(string_view text) { return {text.data(), text.size()}; }

class FakeAncestry : public Ancestry {
 public:
  std::set<std::pair<int32_t, int32_t>> pairs;  // root, pid
  bool is_under(const filter::Root& root, const knell_event& event) const override {
    return pairs.contains({root.pid, event.pid});
  }
};

// The exit of a grep that failed in cron.service.
knell_event grep() {
  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.has = KNELL_HAS_UID | KNELL_HAS_STATUS | KNELL_HAS_DURATION;
  event.pid = event.tid = 100;
  event.uid = 33;
  event.comm = bytes("grep");
  event.exe = bytes("/usr/bin/grep");
  event.unit = bytes("cron.service");
  event.cgroup = bytes("/system.slice/cron.service");
  event.container_id = bytes("3f2a9c0123456789");
  event.tty = bytes("pts/3");
  event.wait_status = 0x100;
  event.duration_ns = 5'000'000'000;
  return event;
}

// An exit of another process, of which only the pid is known.
knell_event stranger() {
  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.pid = event.tid = 100;
  return event;
}

using Flags = std::vector<std::pair<string_view, string_view>>;

bool matches(const Flags& flags, const knell_event& event) {
  Predicates predicates;
  for (const auto& [key, value] : flags) {
    const auto added = add(predicates, key, value);
    EXPECT_TRUE(added) << added.error().context;
  }
  FakeAncestry ancestry;
  ancestry.pairs = {{1, 100}, {50, 100}};
  return predicates.matches(event, ancestry);
}

knell_event named(string_view comm) {
  knell_event event = grep();
  event.comm = bytes(comm);
  return event;
}

TEST(Predicates, APatternForALongNameIsCutToWhatTheKernelStores) {
  const knell_event event = named("systemd-network");
  for (const string_view pattern : {"systemd-networkd", "systemd-networkd*", "systemd-network?*",
                                    "systemd\\-networkd*", "systemd-network*", "systemd-netwo*"}) {
    EXPECT_TRUE(matches({{"comm", pattern}}, event)) << pattern;
    EXPECT_FALSE(matches({{"comm", "!" + std::string(pattern)}}, event)) << pattern;
  }
  EXPECT_FALSE(matches({{"comm", "systemd-networkd*"}}, named("systemd-networ")));
  EXPECT_TRUE(matches({{"comm", "!systemd-networkd*"}}, named("systemd-resolve")));
}

TEST(Predicates, APatternThatNoNameCanMatchIsRefused) {
  Predicates predicates;
  for (const string_view pattern :
       {"*-networkd-service", "!s?stemd-networkd", "systemd-netwo[r]kd"}) {
    const auto added = add(predicates, "comm", pattern);
    ASSERT_FALSE(added) << pattern;
    EXPECT_NE(added.error().context.find("15 bytes"), std::string::npos) << added.error().context;
  }
  EXPECT_TRUE(add(predicates, "comm", "*-networkd-serv"));
}

TEST(Predicates, WithoutAnyEverythingMatches) {
  EXPECT_TRUE(Predicates().empty());
  EXPECT_TRUE(matches({}, stranger()));
}

// A predicate, and whether it matches grep() and stranger().
struct Case {
  string_view key, value;
  bool known, unknown;
};

void check(const std::vector<Case>& cases) {
  for (const auto& [key, value, known, unknown] : cases) {
    EXPECT_EQ(matches({{key, value}}, grep()), known) << key << " " << value;
    EXPECT_EQ(matches({{key, value}}, stranger()), unknown) << key << " " << value << " (unknown)";
  }
}

// Parses a predicate and converts the values back to text; empty: refused.
std::string shown(string_view key, string_view values) {
  auto parsed = parse_predicate(key, values);
  if (!parsed) return {};
  filter::sort_once(*parsed);
  for (const filter::Predicate& one : *parsed) EXPECT_TRUE(filter::check(one)) << values;
  return filter::text_of(*parsed, 1000);
}

TEST(Predicates, AreParsedToValues) {
  EXPECT_EQ(shown("pid", "9, !7 ,9"), "pid=9,!7");
  EXPECT_EQ(shown("user", " root , ! root,7"), "uid=0,7,!0");
  EXPECT_EQ(shown("uid", "4294967294"), "uid=4294967294");
  EXPECT_EQ(shown("user", "33"), "uid=33");  // no user has this name
  EXPECT_EQ(shown("comm", "systemd-journald,php*"), "comm=php*,systemd-journal");
  EXPECT_EQ(shown("cgroup", "/,/a/b//"), "cgroup=/,/a/b");
  EXPECT_EQ(shown("tty", "/dev/pts/3"), "tty=pts/3");
  EXPECT_EQ(shown("ended", "2-9,segv,core,!7"), "ended=2-9,SIGSEGV,core,!7");
  EXPECT_EQ(shown("signal", "9,oom"), "ended=SIGKILL,oom");
  EXPECT_EQ(shown("exit-code", "9"), "ended=9");
  EXPECT_EQ(shown("longer", "1h30m"), "longer=90m");
  EXPECT_EQ(shown("shorter", "1500ms,0,2d"), "shorter=0s,1500ms,2d");
  EXPECT_EQ(shown("uid", "root,,!"), "");
}

TEST(Predicates, Numbers) {
  check({
      {"pid", "100", true, true},
      {"pid", "7,100,9", true, true},
      {"pid", "101", false, false},
      {"pid", "!100", false, false},
      {"pid", "!101", true, true},
      {"uid", "33", true, false},
      {"uid", "0,33", true, false},
      {"uid", "34", false, false},
      {"uid", "!33", false, true},
      {"uid", "!0", true, true},
      {"user", "33", true, false},
      {"under", "1", true, true},
      {"under", "2", false, false},
      {"under", "2,50", true, true},
      {"under", "!50", false, false},
      {"under", "!2", true, true},
      {"under", "1,!50", false, false},
  });
}

TEST(Predicates, Strings) {
  check({
      {"comm", "grep", true, false},
      {"comm", "gre?", true, false},
      {"comm", "rep", false, false},
      {"comm", "sed,grep", true, false},
      {"comm", " sed , grep ", true, false},
      {"comm", "!grep", false, true},
      {"comm", "!sed", true, true},
      {"comm", "g*,!*p", false, false},
      {"comm", "\\!grep", false, false},
      {"exe", "/usr/*", true, false},
      {"exe", "grep", false, false},
      {"unit", "cron.service", true, false},
      {"unit", "cron", true, false},
      {"unit", "cro?", true, false},
      {"unit", "cr*", true, false},
      {"unit", "cron.timer", false, false},
      {"unit", "ron", false, false},
      {"unit", "!cron", false, true},
      {"cgroup", "/system.slice", true, false},
      {"cgroup", "/system.slice/", true, false},
      {"cgroup", "/system.slice/cron.service", true, false},
      {"cgroup", "/", true, false},
      {"cgroup", "/system.sl", false, false},
      {"cgroup", "/system.slice/cron.service/x", false, false},
      {"cgroup", "!/system.slice", false, true},
      {"container", "3f2a9c", true, false},
      {"container", "3f2a9c0123456789", true, false},
      {"container", "2a9c", false, false},
      {"container", "!3f", false, true},
      {"tty", "pts/3", true, false},
      {"tty", "/dev/pts/3", true, false},
      {"tty", "pts/*", true, false},
      {"tty", "ttyS*", false, false},
      {"tty", "!pts/3", false, true},
  });
}

TEST(Predicates, LongNamesAreCutAsTheKernelCutsThem) {
  knell_event event = grep();
  event.comm = bytes("systemd-journal");
  EXPECT_TRUE(matches({{"comm", "systemd-journald"}}, event));
  EXPECT_FALSE(matches({{"comm", "systemd-network"}}, event));
}

TEST(Predicates, Durations) {
  check({
      {"longer", "5s", true, false},
      {"longer", "5001ms", false, false},
      {"longer", "10s,1s", true, false},
      {"longer", "!1s", false, true},
      {"longer", "!10s", true, true},
      {"shorter", "5s", false, false},
      {"shorter", "5001ms", true, false},
      {"shorter", "1s,10s", true, false},
      {"shorter", "!10s", false, true},
  });
}

TEST(Predicates, Ended) {
  struct EndedCase {
    string_view value;
    int status;
    bool passes;
  };
  for (const auto& [value, status, passes] : std::vector<EndedCase>{
           {"1", 0x100, true},
           {"2-255", 0x100, false},
           {"2-255", 0x200, true},
           {"2-255", 0xff00, true},
           {"0", 0, true},
           {"0", 0x100, false},
           {"0", 9, false},
           {"1", 1, false},
           {"SIGKILL", 9, true},
           {"kill", 9, true},
           {"SIGKILL", 15, false},
           {"9", 9, false},
           {"9", 0x900, true},
           {"signal", 9, true},
           {"signal", 0x8b, true},
           {"signal", 0x100, false},
           {"core", 0x8b, true},
           {"core", 11, false},
           {"core", 0x100, false},
           {"segv", 0x8b, true},
           {"oom", 9, false},
           {"unknown", 0, false},
           {"7,signal", 15, true},
           {"7,signal", 0x700, true},
           {"7,signal", 0x600, false},
           {"!0", 0, false},
           {"!0", 0x100, true},
           {"!0,!1", 0x100, false},
           {"0-255,!1", 0x100, false},
           {"signal,!core", 0x8b, false},
           {"signal,!core", 11, true},
           {"RTMIN+3", 37, true},
       }) {
    knell_event event = grep();
    event.wait_status = status;
    EXPECT_EQ(matches({{"ended", value}}, event), passes) << value << " " << status;
  }
}

TEST(Predicates, EndedByOom) {
  knell_event event = grep();
  event.wait_status = 9;
  event.has |= KNELL_HAS_KILLER;
  event.killed_by.cause = KNELL_CAUSE_OOM;
  EXPECT_TRUE(matches({{"ended", "oom"}}, event));
  event.killed_by.cause = KNELL_CAUSE_USER;
  EXPECT_FALSE(matches({{"ended", "oom"}}, event));
}

TEST(Predicates, EndedUnknown) {
  EXPECT_TRUE(matches({{"ended", "unknown"}}, stranger()));
  EXPECT_TRUE(matches({{"ended", "7,unknown"}}, stranger()));
  EXPECT_TRUE(matches({{"ended", "!0"}}, stranger()));
  EXPECT_FALSE(matches({{"ended", "!unknown"}}, stranger()));
  EXPECT_FALSE(matches({{"ended", "0-255,signal"}}, stranger()));
}

// An exit with only the pid, the parent and the status, since its details were lost.
knell_event without_details(int status) {
  knell_event event = stranger();
  event.flags = KNELL_FLAG_DETAILS_LOST;
  event.has = KNELL_HAS_STATUS;
  event.wait_status = status;
  return event;
}

TEST(Predicates, LostDetailsMatchWantedAndExcludedValues) {
  const knell_event lost = without_details(0x100);
  for (const auto& [key, value] : Flags{{"comm", "grep"},
                                        {"comm", "g*"},
                                        {"comm", "!grep"},
                                        {"comm", "a,!b"},
                                        {"exe", "/bin/*"},
                                        {"exe", "!/bin/sh"},
                                        {"uid", "33"},
                                        {"uid", "!33"},
                                        {"unit", "cron"},
                                        {"unit", "!cron"},
                                        {"cgroup", "/a"},
                                        {"cgroup", "!/a"},
                                        {"container", "3f2a"},
                                        {"container", "!3f2a"},
                                        {"tty", "pts/*"},
                                        {"tty", "!pts/3"},
                                        {"longer", "1s"},
                                        {"shorter", "1s"},
                                        {"longer", "!1s"}})
    EXPECT_TRUE(matches({{key, value}}, lost)) << key << " " << value;
  EXPECT_TRUE(matches({{"comm", "grep"}, {"uid", "7"}, {"unit", "a"}, {"longer", "1s"}}, lost));
}

TEST(Predicates, LostDetailsDoNotChangeWhatIsKnown) {
  const knell_event lost = without_details(0x100);
  for (const auto& [key, value] : Flags{{"pid", "7"},
                                        {"pid", "!100"},
                                        {"under", "7"},
                                        {"under", "!1"},
                                        {"ended", "2"},
                                        {"ended", "!1"},
                                        {"ended", "oom"},
                                        {"ended", "unknown"}})
    EXPECT_FALSE(matches({{key, value}}, lost)) << key << " " << value;
  EXPECT_TRUE(matches({{"pid", "100"}, {"under", "1"}, {"ended", "1"}}, lost));
  knell_event known = grep();
  known.flags = KNELL_FLAG_DETAILS_LOST;
  for (const auto& [key, value] : Flags{{"comm", "sh"},
                                        {"comm", "!grep"},
                                        {"exe", "/bin/sh"},
                                        {"uid", "7"},
                                        {"unit", "ssh"},
                                        {"cgroup", "/a"},
                                        {"container", "7"},
                                        {"tty", "!pts/3"},
                                        {"longer", "1h"}})
    EXPECT_FALSE(matches({{key, value}}, known)) << key << " " << value;
}

// A cgroup without a unit or container: there is none, so it was not lost.
TEST(Predicates, LostDetailsWithAKnownCgroup) {
  knell_event lost = without_details(0x100);
  lost.cgroup = bytes("/user.slice");
  EXPECT_FALSE(matches({{"unit", "cron"}}, lost));
  EXPECT_FALSE(matches({{"container", "3f2a"}}, lost));
  EXPECT_TRUE(matches({{"unit", "!cron"}}, lost));
  EXPECT_TRUE(matches({{"comm", "cron"}}, lost));
}

TEST(Predicates, LostDetailsOfSigkillMayBeOom) {
  EXPECT_TRUE(matches({{"ended", "oom"}}, without_details(9)));
  EXPECT_TRUE(matches({{"ended", "!oom"}}, without_details(9)));
  EXPECT_TRUE(matches({{"ended", "SIGKILL,!oom"}}, without_details(9)));
  EXPECT_FALSE(matches({{"ended", "oom"}}, without_details(15)));
  EXPECT_FALSE(matches({{"ended", "oom"}}, without_details(0x900)));
  EXPECT_FALSE(matches({{"ended", "core"}}, without_details(9)));
  knell_event killed = without_details(9);
  killed.has |= KNELL_HAS_KILLER;
  killed.killed_by.cause = KNELL_CAUSE_USER;
  EXPECT_FALSE(matches({{"ended", "oom"}}, killed)) << "the cause is known";
}

TEST(Predicates, OtherSpellingsOfEnded) {
  knell_event event = grep();
  event.wait_status = 9;
  EXPECT_TRUE(matches({{"signal", "9"}}, event));
  EXPECT_TRUE(matches({{"signal", "KILL"}}, event));
  EXPECT_FALSE(matches({{"exit-code", "9"}}, event));
  EXPECT_TRUE(matches({{"exit-code", "9"}, {"signal", "9"}}, event));  // one key: alternatives
}

TEST(Predicates, EndedMatchesExitsOnly) {
  knell_event event = grep();
  event.type = KNELL_EVENT_EXEC;
  for (const auto& [key, value] :
       Flags{{"ended", "1"}, {"ended", "!0"}, {"longer", "1s"}, {"shorter", "!1ms"}}) {
    EXPECT_FALSE(matches({{key, value}}, event)) << key;
  }
  EXPECT_TRUE(matches({{"comm", "grep"}}, event));
}

TEST(Predicates, ValuesAreAlternativesAndAllKeysMustMatch) {
  EXPECT_TRUE(matches({{"comm", "sed"}, {"comm", "grep"}}, grep()));
  EXPECT_TRUE(matches({{"comm", "grep"}, {"uid", "33"}, {"ended", "1"}}, grep()));
  EXPECT_FALSE(matches({{"comm", "grep"}, {"uid", "34"}}, grep()));
  EXPECT_TRUE(matches({{"uid", "33"}, {"user", "44"}}, grep()));  // one key too
  EXPECT_FALSE(matches({{"comm", "!grep"}, {"comm", "*"}}, grep()));
}

TEST(Predicates, LostEventsAlwaysMatch) {
  knell_event event{};
  event.type = KNELL_EVENT_LOST;
  EXPECT_TRUE(matches({{"comm", "grep"}, {"pid", "7"}, {"ended", "1"}, {"under", "2"}}, event));
}

TEST(Predicates, Errors) {
  const std::vector<std::pair<std::pair<string_view, string_view>, string_view>> cases{
      {{"unti", "x"},
       "'unti' is not a predicate; did you mean 'unit'? (pid, under, comm, exe, uid, "
       "user, unit, cgroup, container, tty, ended, exit-code, signal, longer, shorter)"},
      {{"", "x"}, "'' is not a predicate (pid,"},
      {{"comm", ""}, "comm: a value is missing in ''"},
      {{"comm", "a,,b"}, "comm: a value is missing in 'a,,b'"},
      {{"comm", "a,"}, "comm: a value is missing in 'a,'"},
      {{"comm", "!"}, "comm: a value is missing in '!'"},
      {{"pid", "0"}, "pid: '0' is not a process id (a number from 1 on)"},
      {{"pid", "-1"}, "pid: '-1' is not a process id"},
      {{"pid", "12x"}, "pid: '12x' is not a process id"},
      {{"under", "99999999999"}, "under: '99999999999' is not a process id"},
      {{"uid", "4294967295"}, "uid: '4294967295' is not a user id (a number from 0 to 4294967294)"},
      {{"user", "no such user"}, "user: 'no such user' is not a user of this machine (a name"},
      {{"cgroup", "system.slice"},
       "cgroup: 'system.slice' is not a cgroup path, which must begin with a slash"},
      {{"ended", "256"}, "ended: an exit code must be from 0 to 255"},
      {{"ended", "9-2"}, "ended: in '9-2' the first exit code must not be the larger"},
      {{"ended", "SIGSEVG"}, "'SIGSEVG' is not a signal; did you mean 'SIGSEGV'?"},
      {{"ended", "segvv"}, "ended: 'segvv' is not a way to end; did you mean 'SIGSEGV'?"},
      {{"ended", "cord"}, "ended: 'cord' is not a way to end; did you mean 'core'?"},
      {{"signal", "200"}, "'200' is not a signal"},
      {{"signal", "1-9"}, "'1-9' is not a signal"},
      {{"longer", "5x"}, "longer: '5x' is not a duration"},
  };
  for (const auto& [flag, sentence] : cases) {
    Predicates predicates;
    const auto added = add(predicates, flag.first, flag.second);
    ASSERT_FALSE(added) << flag.first << " " << flag.second;
    EXPECT_EQ(added.error().code, EINVAL);
    EXPECT_TRUE(added.error().sentence);
    EXPECT_TRUE(added.error().context.starts_with(sentence)) << added.error().context;
  }
}

TEST(Predicates, AWrongValueChangesNothing) {
  Predicates predicates;
  EXPECT_FALSE(add(predicates, "pid", "7,x"));
  EXPECT_TRUE(predicates.empty());
  EXPECT_TRUE(predicates.matches(grep(), FakeAncestry()));
}

TEST(Predicates, Bounds) {
  Predicates predicates;
  std::string pids = "1";
  for (size_t i = 2; i <= kMaxAlternatives; i++) pids += "," + std::to_string(i);
  EXPECT_TRUE(add(predicates, "pid", pids));
  EXPECT_FALSE(add(predicates, "pid", "5000"));
  EXPECT_TRUE(add(predicates, "pid", "5"));  // was added before
  EXPECT_TRUE(predicates.matches(grep(), FakeAncestry()));
  EXPECT_FALSE(add(predicates, "exe", std::string(kMaxValueBytes + 1, 'a')));
  EXPECT_TRUE(add(predicates, "exe", std::string(kMaxValueBytes, '*')));
}

TEST(Predicates, AddingAllAtOnceEqualsOneByOne) {
  std::vector<std::pair<string_view, string_view>> all;
  for (const char* value : {"grep", "!sed", "g*", "gr?p", "[a-g]rep"})
    all.emplace_back("comm", value);
  for (const char* value : {"/a", "/a/b", "/system.slice", "/system.slice-x", "!/b"})
    all.emplace_back("cgroup", value);
  all.emplace_back("uid", "33,0,33");
  std::vector<filter::Predicate> values;
  Predicates one_by_one;
  for (const auto& [key, text] : all) {
    ASSERT_TRUE(add(one_by_one, key, text));
    const auto parsed = parse_predicate(key, text);
    values.insert(values.begin(), parsed->begin(), parsed->end());
  }
  const auto at_once = Predicates::create(values);
  ASSERT_TRUE(at_once);
  EXPECT_EQ(at_once->values(), one_by_one.values());
  EXPECT_EQ(at_once->needs(), one_by_one.needs());
  EXPECT_EQ(at_once->most_steps(), one_by_one.most_steps());
  EXPECT_TRUE(at_once->matches(grep(), FakeAncestry()));
}

// Values that another value includes are dropped. A path includes the paths below it, not every
// path that begins with the same characters.
TEST(Predicates, ManyPathsAndIds) {
  const auto in = [](string_view key, string_view values, string_view text) {
    knell_event event = grep();
    event.cgroup = event.container_id = bytes(text);
    return matches({{key, values}}, event);
  };
  constexpr string_view kPaths = "/a/b/c,/a-x,/a,/a.b,/b/c,/a/b,/z,/k,/l,/m,/n,/o/p,/o-,/o.,/o/p/q";
  for (const string_view path : {"/a", "/a/b", "/a/q", "/a-x", "/a-x/y", "/a.b", "/b/c", "/b/c/d"})
    EXPECT_TRUE(in("cgroup", kPaths, path)) << path;
  for (const string_view path : {"/", "/b", "/a-", "/a-xy", "/a.bc", "/b/cd", "/y", "/zz"})
    EXPECT_FALSE(in("cgroup", kPaths, path)) << path;
  for (const string_view path : {"/a-x", "/", "/q/r"}) EXPECT_TRUE(in("cgroup", "/,/a", path));
  constexpr string_view kIds = "3f2a9c,3f,40,4a1,ff,c0,c1,c2,c3,c45,c456,d,e";
  for (const string_view id : {"3f", "3f2", "3fff", "40", "400", "4a1b", "ff0"})
    EXPECT_TRUE(in("container", kIds, id)) << id;
  for (const string_view id : {"3", "3e", "4", "41", "4a", "4a2", "fe", "5"})
    EXPECT_FALSE(in("container", kIds, id)) << id;
}

// The cost of matching grows with the globs, and hardly with plain values.
TEST(Predicates, Steps) {
  const auto steps = [](string_view key, const std::string& values) {
    Predicates predicates;
    EXPECT_TRUE(add(predicates, key, values));
    return predicates.most_steps();
  };
  std::string plain = "a0", globs = "a*0*";
  for (int i = 1; i < 500; i++) {
    plain += ",a" + std::to_string(i);
    globs += ",a*" + std::to_string(i) + "*";
  }
  EXPECT_LT(steps("comm", plain), 50u);
  EXPECT_LT(steps("exe", "/usr/bin/*"), 50u);
  EXPECT_GT(steps("exe", "*/bin/*"), 4096u);
  EXPECT_GT(steps("exe", globs), 500 * 4096u);
  EXPECT_GT(steps("unit", "*a*"), steps("comm", "*a*"));
}

TEST(Predicates, Needs) {
  const auto needs = [](const Flags& flags) {
    Predicates predicates;
    for (const auto& [key, value] : flags) EXPECT_TRUE(add(predicates, key, value));
    return predicates.needs();
  };
  EXPECT_EQ(needs({}).details, uint32_t{KNELL_DETAILS_STATUS});
  EXPECT_EQ(needs({}).possible, KNELL_EVENT_ALL);
  EXPECT_EQ(needs({{"pid", "1"}}).details, uint32_t{KNELL_DETAILS_STATUS});
  EXPECT_EQ(needs({{"ended", "1"}}).details, uint32_t{KNELL_DETAILS_STATUS});
  for (const auto& [key, value] : Flags{{"comm", "a"},
                                        {"uid", "0"},
                                        {"unit", "a"},
                                        {"cgroup", "/"},
                                        {"container", "a"},
                                        {"tty", "pts/3"},
                                        {"longer", "1s"}}) {
    EXPECT_EQ(needs({{key, value}}).details, uint32_t{KNELL_DETAILS_NAMES}) << key;
  }
  EXPECT_EQ(needs({{"exe", "a"}, {"comm", "b"}}).details, uint32_t{KNELL_DETAILS_FULL});

  const filter::Interest under = needs({{"under", "5,!6,!5"}, {"pid", "9,8,!7"}});
  EXPECT_EQ(under.roots, (std::vector<filter::Root>{{5}, {6}}));
  EXPECT_EQ(under.pids, (std::vector<int32_t>{8, 9}));

  const uint32_t nonzero = KNELL_EVENT_NONZERO_EXIT, exits = nonzero | KNELL_EVENT_EXIT;
  EXPECT_EQ(needs({{"ended", "1"}}).possible, nonzero);
  EXPECT_EQ(needs({{"ended", "!0"}}).possible, nonzero);
  EXPECT_EQ(needs({{"ended", "0-255,!0"}}).possible, nonzero);
  EXPECT_EQ(needs({{"ended", "0-3"}}).possible, exits);
  EXPECT_EQ(needs({{"ended", "!1"}}).possible, exits);
  EXPECT_EQ(needs({{"ended", "unknown,!0"}}).possible, exits);
  EXPECT_EQ(needs({{"longer", "1s"}}).possible, exits);
}

}  // namespace
}  // namespace knell::lib
