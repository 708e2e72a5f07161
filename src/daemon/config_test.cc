// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <sstream>

namespace knell::daemon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string error_of(std::string_view text) {
  const auto read = parse_config(text, "f.toml");
  return read ? "no error" : read.error().message();
}

Config config_of(std::string_view text) {
  const auto read = parse_config(text, "f.toml");
  EXPECT_TRUE(read) << read.error().message();
  return read ? read->config : Config();
}

std::string packaged_file() {
  std::ifstream file(KNELL_SOURCE_DIR "/packaging/knelld.toml");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(Config, AnEmptyFileGivesTheDefaults) { EXPECT_EQ(config_of(""), default_config()); }

TEST(Config, ThePackagedFileChangesNothing) {
  ASSERT_FALSE(packaged_file().empty());
  EXPECT_EQ(config_of(packaged_file()), default_config());
}

TEST(Config, ThePackagedFileListsAllDefaults) {
  const std::string shown =
      std::regex_replace(packaged_file(), std::regex("(^|\n)#(?=[a-z\\[])"), "$1");
  EXPECT_EQ(config_of(shown), default_config());
  for (const char* key : {"source",
                          "buffer",
                          "reserve",
                          "count",
                          "log_level",
                          "path",
                          "mode",
                          "group",
                          "clients",
                          "clients_per_user",
                          "queue",
                          "memory",
                          "memory_per_user",
                          "filters_per_user",
                          "filter_steps_per_user",
                          "requests_per_second",
                          "durable_per_user",
                          "events",
                          "details",
                          "sync",
                          "size",
                          "age",
                          "see_all_users",
                          "see_all_groups",
                          "enabled",
                          "flags",
                          "except"})
    EXPECT_THAT(shown, HasSubstr(std::string("\n") + key + " = "));
}

TEST(Config, EveryKeyIsRead) {
  const Config config = config_of(R"(
    source = "connector"
    buffer = "64K"
    reserve = 4096
    count = "exit,exec"
    log_level = "debug"
    [socket]
    path = "/tmp/k.sock"
    mode = "0660"
    group = "adm"
    [limits]
    clients = 10
    clients_per_user = 9
    queue = "1M"
    memory = "16M"
    memory_per_user = 2097152
    filters_per_user = 7
    filter_steps_per_user = 8
    requests_per_second = 6
    durable_per_user = 5
    [visibility]
    see_all_users = ["root", 4711]
    see_all_groups = []
    [redact]
    enabled = false
    flags = ["--a", "-b"]
    except = ["--password"]
  )");
  EXPECT_EQ(config.source, SourceChoice::kConnector);
  EXPECT_EQ(config.buffer_bytes, 64U << 10);
  EXPECT_EQ(config.reserve_bytes, 4096U);
  EXPECT_EQ(config.count_mask, KNELL_EVENT_EXIT | KNELL_EVENT_EXEC);
  EXPECT_EQ(config.log_level, LogLevel::kDebug);
  EXPECT_EQ(config.socket, (Config::Socket{"/tmp/k.sock", 0660, "adm"}));
  EXPECT_EQ(config.limits,
            (Config::Limits{10, 9, kMebibyte, 16 * kMebibyte, 2 * kMebibyte, 7, 8, 6, 5}));
  EXPECT_THAT(config.visibility.users, ElementsAre(0u, 4711u));
  EXPECT_THAT(config.visibility.groups, IsEmpty());
  EXPECT_FALSE(config.redact.enabled);
  EXPECT_THAT(config.redact.flags, ElementsAre("--a", "-b"));
  EXPECT_THAT(config.redact.except, ElementsAre("--password"));
}

TEST(Config, CountsByNameAndContainerOnRequest) {
  EXPECT_EQ(config_of("").count_by, Config::CountBy());
  EXPECT_EQ(config_of("count_by = ['container']").count_by, (Config::CountBy{false, true}));
  EXPECT_EQ(config_of("count_by = ['comm', 'container']").count_by, (Config::CountBy{true, true}));
  EXPECT_FALSE(parse_config("count_by = ['pid']", "f"));
  EXPECT_FALSE(parse_config("count_by = 'comm'", "f"));
}

TEST(Config, TheJournal) {
  const Config::Journal journal = config_of(R"(
    [journal]
    enabled = false
    path = "/srv/j.db"
    events = "exit,exec"
    details = "names"
    sync = "always"
    size = "64M"
    age = "12h"
    queue = "2M"
  )")
                                      .journal;
  EXPECT_EQ(journal, (Config::Journal{.enabled = false,
                                      .path = "/srv/j.db",
                                      .mask = KNELL_EVENT_EXIT | KNELL_EVENT_EXEC,
                                      .details = KNELL_DETAILS_NAMES,
                                      .sync = journal::Sync::kAlways,
                                      .size_bytes = 64 * kMebibyte,
                                      .age_ns = int64_t{12} * 3600 * 1'000'000'000,
                                      .queue_bytes = 2 * kMebibyte}));
  for (const char* wrong :
       {"path = 'j.db'", "path = '/srv/'", "sync = 'never'", "size = '1K'", "age = 30",
        "age = '1s'", "age = 'old'", "queue = '1K'", "details = 'some'", "events = 'exti'"})
    EXPECT_THAT(error_of(std::string("[journal]\n") + wrong), HasSubstr("f.toml:2:")) << wrong;
}

TEST(Config, QueuesFitIntoTheMemoryOfACgroup) {
  Config config;
  EXPECT_FALSE(fit_into_memory(config, uint64_t{64} << 30));
  EXPECT_EQ(config, Config());
  EXPECT_TRUE(fit_into_memory(config, 64 * kMebibyte));
  EXPECT_EQ(config.limits.memory_bytes, 8 * kMebibyte);
  EXPECT_EQ(config.limits.memory_per_user_bytes, 8 * kMebibyte);
  EXPECT_EQ(config.limits.queue_bytes, 4 * kMebibyte);
  EXPECT_EQ(config.journal.queue_bytes, kMebibyte);
  EXPECT_TRUE(fit_into_memory(config, 4096));
  EXPECT_EQ(config.limits.queue_bytes, size_t{64} << 10);
}

TEST(Config, CountNoneCountsNothing) { EXPECT_EQ(config_of("count = 'none'").count_mask, 0u); }

// toml++ visits keys in the order of their names.
TEST(Config, ReportsMistakesInTheOrderOfTheirLines) {
  const std::string errors = error_of(
      "zz = 1\n[visibility]\nsee_all_users = 3\nb = 1\n[limits]\nqueue = 1\nclients = 0\na = 1");
  std::vector<std::string> places;
  const std::regex place("f\\.toml:(\\d+):");
  for (std::sregex_iterator at(errors.begin(), errors.end(), place), end; at != end; ++at)
    places.push_back((*at)[1]);
  EXPECT_THAT(places, ElementsAre("1", "3", "4", "6", "7", "8")) << errors;
}

TEST(Config, ReportsAnUnknownKeyWithItsLineAndTheNearestKey) {
  EXPECT_EQ(error_of("\n[limits]\n  quue = 1\n"),
            "f.toml:3:3: unknown key 'quue' in [limits]; did you mean queue?");
  EXPECT_THAT(error_of("[socket]\nzzz = 1"), HasSubstr("the keys are path, mode, group"));
  EXPECT_THAT(error_of("[limit]"), HasSubstr("did you mean limits?"));
  EXPECT_THAT(error_of("count = exit"), HasSubstr("a string must be in quotes"));
}

TEST(Config, ReportsAllMistakesAtOnce) {
  const std::string error = error_of("sauce = 1\n[limits]\nclients = 0\nqueue = '4X'\n");
  EXPECT_THAT(error,
              AllOf(HasSubstr("f.toml:1:1: unknown key 'sauce'"),
                    HasSubstr("f.toml:3:11: clients: must be a whole number from 1 to 1000000"),
                    HasSubstr("f.toml:4:9: queue: must be a size from 64K to 1T")));
}

TEST(Config, ReportsWrongValuesWithValidOnes) {
  const std::pair<const char*, const char*> cases[] = {
      {"source = 'bfp'", "did you mean \"bpf\"?"},
      {"buffer = 'lots'", "buffer: must be \"auto\" or a size from 4K to 1023M"},
      {"reserve = 4095", "reserve: must be \"auto\" or a size from 4K to 1023M"},
      {"source = 7", "source: must be one of \"auto\", \"bpf\", \"connector\""},
      {"count = 'exti'", "exit"},
      {"count = 1", "count: must be a list of events, for example \"nonzero-exit\""},
      {"log_level = 'trace'", "\"debug\""},
      {"limits = 1", "write [limits]"},
      {"[socket]\npath = 'knell.sock'", "f.toml:2:8: path: must be an absolute path"},
      {"[socket]\nmode = 666", "\"0660\""},
      {"[socket]\nmode = '0888'", "\"0660\""},
      {"[socket]\nmode = '2666'", "\"0660\""},
      {"[socket]\ngroup = ''", "group: must be a string"},
      {"[limits]\nclients = 1.5", "clients: must be a whole number"},
      {"[limits]\nqueue = -1", "queue: must be a size"},
      {"[limits]\nqueue = '1K'", "must be a size from 64K"},
      {"[limits]\nmemory = '32M'", "memory_per_user (64M) is more than memory (32M)"},
      {"[redact]\nenabled = 'yes'", "enabled: must be true or false"},
      {"[redact]\nflags = '--a'", "flags: must be a list"},
      {"[redact]\nflags = [1]", "f.toml:2:10: flags: must be a string"},
      {"[visibility]\nsee_all_users = 'root'", "must be a list of users"},
      {"[visibility]\nsee_all_users = [-1]", "must be the name or the number of a user"},
  };
  for (const auto& [text, words] : cases) EXPECT_THAT(error_of(text), HasSubstr(words)) << text;
  const std::string longest = "[socket]\npath = '/" + std::string(107, 'x') + "'";
  EXPECT_THAT(error_of(longest),
              HasSubstr("path: the path of a socket must have at most 107 bytes, not 108"));
}

TEST(Config, ReportsTheLineOfInvalidToml) {
  EXPECT_THAT(error_of("[limits]\nclients 7"), HasSubstr("f.toml:2:9: "));
  EXPECT_THAT(error_of("a = 1\na = 2"), HasSubstr("f.toml:2:"));
}

TEST(Config, WarnsAboutUnknownNames) {
  const auto read = parse_config("[visibility]\nsee_all_groups = ['no such group']", "f.toml");
  ASSERT_TRUE(read);
  EXPECT_THAT(read->config.visibility.groups, IsEmpty());
  EXPECT_THAT(read->warnings,
              ElementsAre(HasSubstr("f.toml:2:19: there is no group 'no such group'")));
}

TEST(Config, OnlyTheDefaultFileMayBeMissing) {
  const std::string nowhere = "/nonexistent/knelld.toml";
  EXPECT_TRUE(read_config(nowhere, WhenMissing::kDefaults));
  const auto read = read_config(nowhere, WhenMissing::kError);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr(nowhere));
}

TEST(Config, RefusesAFileThatIsTooLarge) {
  EXPECT_THAT(read_config("/dev/zero", WhenMissing::kError).error().message(),
              HasSubstr("more than 1M"));
}

}  // namespace
}  // namespace knell::daemon
