// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/redact.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace knell::filter {
namespace {

std::string words(std::initializer_list<std::string_view> all) {
  std::string args;
  for (const std::string_view word : all) (args += word) += '\0';
  return args;
}

std::string redacted(Redactor& redactor, std::initializer_list<std::string_view> all) {
  const std::string args = words(all);
  return std::string(redactor.redact(args).value_or(args));
}

std::string redacted(std::initializer_list<std::string_view> all) {
  Redactor redactor;
  return redacted(redactor, all);
}

TEST(Redact, LeavesWhatIsNoSecret) {
  Redactor redactor;
  for (const auto& harmless :
       {words({"ls", "-l", "/etc/passwd"}), words({"ssh", "-p", "22", "git@host"}),
        words({"postgres: app orders [local] SELECT"}), words({"cc", "-DX=1", "a.c"}),
        words({"curl", "http://host:8080/a@b"}), words({"mount", "-o", "bypass"}), std::string()})
    EXPECT_FALSE(redactor.redact(harmless)) << harmless;
}

TEST(Redact, HidesTheValueOfAFlag) {
  EXPECT_EQ(redacted({"psql", "--password", "hunter2", "db"}),
            words({"psql", "--password", "***", "db"}));
  EXPECT_EQ(redacted({"app", "--db-password=hunter2"}), words({"app", "--db-password=***"}));
  EXPECT_EQ(redacted({"app", "--DB_PASSWORD=hunter2"}), words({"app", "--DB_PASSWORD=***"}));
  EXPECT_EQ(redacted({"gh", "--github-token", "-dashed"}), words({"gh", "--github-token", "***"}));
}

TEST(Redact, AFlagThatAsksHasNoValue) {
  EXPECT_EQ(redacted({"mysql", "--password", "--host", "db"}),
            words({"mysql", "--password", "--host", "db"}));
}

TEST(Redact, HidesAnAssignment) {
  EXPECT_EQ(redacted({"env", "PGPASSWORD=hunter2", "psql"}),
            words({"env", "PGPASSWORD=***", "psql"}));
  EXPECT_EQ(redacted({"env", "MYSQL_PWD=x", "mysql"}), words({"env", "MYSQL_PWD=***", "mysql"}));
}

TEST(Redact, HidesThePasswordBeforeAnAtSign) {
  EXPECT_EQ(redacted({"pg_dump", "postgres://app:hunter2@db/orders"}),
            words({"pg_dump", "postgres://app:***@db/orders"}));
  EXPECT_EQ(redacted({"lftp", "app:hunter2@db"}), words({"lftp", "app:***@db"}));
  EXPECT_EQ(redacted({"x", "http://a:p@ss@h/", "ftp://b:q@i"}),
            words({"x", "http://a:***@h/", "ftp://b:***@i"}));
}

TEST(Redact, LooksInsideOfAWord) {
  EXPECT_EQ(redacted({"sh", "-c", "mysql --password='a b' -h db; curl http://u:p@h/"}),
            words({"sh", "-c", "mysql --password=*** -h db; curl http://u:***@h/"}));
  EXPECT_EQ(redacted({"sh", "-c", "mysql -phunter2 db"}), words({"sh", "-c", "mysql -p*** db"}));
}

TEST(Redact, KnowsShortFlagsOfSomePrograms) {
  EXPECT_EQ(redacted({"/usr/bin/mysql", "-phunter2"}), words({"/usr/bin/mysql", "-p***"}));
  EXPECT_EQ(redacted({"sshpass", "-p", "hunter2", "ssh", "h"}),
            words({"sshpass", "-p", "***", "ssh", "h"}));
  EXPECT_EQ(redacted({"curl", "-u", "joe:hunter2", "h"}), words({"curl", "-u", "joe:***", "h"}));
  EXPECT_EQ(redacted({"curl", "-H", "Authorization: Bearer abc", "h"}),
            words({"curl", "-H", "Authorization:***", "h"}));
}

TEST(Redact, GoesByWhatItWasTold) {
  Redactor redactor({"-k"}, {"--token"});
  EXPECT_EQ(redacted(redactor, {"x", "-k", "s", "--token", "t", "-k=u"}),
            words({"x", "-k", "***", "--token", "t", "-k=***"}));
  Redactor none = Redactor::none();
  EXPECT_EQ(redacted(none, {"x", "--password=s"}), words({"x", "--password=s"}));
}

TEST(Redact, WhatWasCutIsHiddenToItsEnd) {
  Redactor redactor;
  EXPECT_EQ(redactor.redact(std::string("x\0--password=hun", 16)),
            std::string("x\0--password=***", 16));
}

}  // namespace
}  // namespace knell::filter
