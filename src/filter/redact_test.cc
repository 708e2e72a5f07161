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

TEST(Redact, LeavesOtherArguments) {
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

TEST(Redact, AFlagThatPromptsHasNoValue) {
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

TEST(Redact, FindsSecretsInsideAWord) {
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

TEST(Redact, KnowsShortFlagsThatShareAWord) {
  EXPECT_EQ(redacted({"curl", "-su", "admin:hunter2", "h"}),
            words({"curl", "-su", "admin:***", "h"}));
  EXPECT_EQ(redacted({"curl", "-sSfu", "admin:hunter2"}), words({"curl", "-sSfu", "admin:***"}));
  EXPECT_EQ(redacted({"curl", "-sSuadmin:hunter2"}), words({"curl", "-sSuadmin:***"}));
  EXPECT_EQ(redacted({"ldapsearch", "-xw", "hunter2"}), words({"ldapsearch", "-xw", "***"}));
  EXPECT_EQ(redacted({"ldapsearch", "-xLLLwhunter2"}), words({"ldapsearch", "-xLLLw***"}));
  EXPECT_EQ(redacted({"mysql", "-Bphunter2", "db"}), words({"mysql", "-Bp***", "db"}));
  EXPECT_EQ(redacted({"sshpass", "-vp", "hunter2", "ssh"}),
            words({"sshpass", "-vp", "***", "ssh"}));
  EXPECT_EQ(redacted({"smbclient", "-EUjoe%hunter2"}), words({"smbclient", "-EUjoe%***"}));
  EXPECT_EQ(redacted({"sh", "-c", "curl -su 'admin:a b' h; ldapsearch -xw hunter2 -b dc=x"}),
            words({"sh", "-c", "curl -su 'admin:***' h; ldapsearch -xw *** -b dc=x"}));
}

TEST(Redact, AValueOfAnotherFlagInTheSameWordIsNotAFlag) {
  Redactor redactor;
  for (const auto& harmless :
       {words({"curl", "-fsSLomenu", "http://h:80/"}),
        words({"curl", "-so", "menu", "http://h:80/"}), words({"mysql", "-uapp", "db"}),
        words({"mysql", "-Bp", "db"}), words({"ldapsearch", "-xbdc=www", "cn"})})
    EXPECT_FALSE(redactor.redact(harmless)) << harmless;
}

TEST(Redact, ASecretWithBlanksIsHiddenToTheEndOfItsWord) {
  EXPECT_EQ(redacted({"app", "--password", "correct horse battery", "--host", "db"}),
            words({"app", "--password", "***", "--host", "db"}));
  EXPECT_EQ(redacted({"app", "--password", " correct horse"}),
            words({"app", "--password", " ***"}));
  EXPECT_EQ(redacted({"app", "--passphrase=correct horse", "x"}),
            words({"app", "--passphrase=***", "x"}));
  EXPECT_EQ(redacted({"env", "PGPASSWORD=correct --token horse", "psql", "-l"}),
            words({"env", "PGPASSWORD=***", "psql", "-l"}));
  EXPECT_EQ(redacted({"mysql", "-pcorrect horse", "db"}), words({"mysql", "-p***", "db"}));
  EXPECT_EQ(redacted({"curl", "-u", "joe:correct horse", "h"}),
            words({"curl", "-u", "joe:***", "h"}));
  EXPECT_EQ(redacted({"curl", "-o", "/tmp/sh", "-u", "joe:x", "h"}),
            words({"curl", "-o", "/tmp/sh", "-u", "joe:***", "h"}));
}

TEST(Redact, AHeaderIsHiddenToTheEndOfItsWord) {
  EXPECT_EQ(redacted({"wget", "--header=Authorization: Bearer abc", "h"}),
            words({"wget", "--header=Authorization:***", "h"}));
  EXPECT_EQ(redacted({"curl", "-HAuthorization: Bearer abc", "h"}),
            words({"curl", "-HAuthorization:***", "h"}));
}

TEST(Redact, BlanksEndASecretInAScript) {
  EXPECT_EQ(redacted({"sh", "-c", "curl -u 'joe:a b' h"}),
            words({"sh", "-c", "curl -u 'joe:***' h"}));
  for (const std::string_view flag : {"-c", "-lc", "-euc"})
    EXPECT_EQ(redacted({"/bin/bash", flag, "PGPASSWORD=hunter2 psql -h db", "PASSWORD=a b"}),
              words({"/bin/bash", flag, "PGPASSWORD=*** psql -h db", "PASSWORD=***"}));
  EXPECT_EQ(redacted({"sh", "-c", "app \"--password=a b\" -x; app --password 'a b' -y"}),
            words({"sh", "-c", "app \"--password=***\" -x; app --password *** -y"}));
}

TEST(Redact, FlagsMayHaveOneDash) {
  EXPECT_EQ(redacted({"app", "-password=hunter2"}), words({"app", "-password=***"}));
  EXPECT_EQ(redacted({"app", "-token", "abc", "x"}), words({"app", "-token", "***", "x"}));
  EXPECT_EQ(redacted({"keytool", "-list", "-storepass", "changeit", "-v"}),
            words({"keytool", "-list", "-storepass", "***", "-v"}));
  EXPECT_EQ(redacted({"java", "-Dssl.trustStorePassword=changeit", "-jar", "a.jar"}),
            words({"java", "-Dssl.trustStorePassword=***", "-jar", "a.jar"}));
  EXPECT_EQ(redacted({"openssl", "rsa", "-passin", "pass:hunter 2", "-in", "k"}),
            words({"openssl", "rsa", "-passin", "pass:***", "-in", "k"}));
  EXPECT_EQ(redacted({"openssl", "enc", "-pass", "pass:hunter2", "-d"}),
            words({"openssl", "enc", "-pass", "pass:***", "-d"}));
  EXPECT_EQ(redacted({"tool", "-pass", "hunter2"}), words({"tool", "-pass", "***"}));
}

TEST(Redact, HidesSecretsOfCommonPrograms) {
  EXPECT_EQ(redacted({"docker", "run", "-e", "DB_PASSWORD=a b", "-eX_TOKEN=t", "image"}),
            words({"docker", "run", "-e", "DB_PASSWORD=***", "-eX_TOKEN=***", "image"}));
  EXPECT_EQ(redacted({"docker", "run", "--env=DB_PASSWORD=x", "image"}),
            words({"docker", "run", "--env=DB_PASSWORD=***", "image"}));
  EXPECT_EQ(redacted({"kubectl", "--token=eyJh", "get", "secret"}),
            words({"kubectl", "--token=***", "get", "secret"}));
  EXPECT_EQ(redacted({"helm", "install", "--set", "a=1,db.password=x"}),
            words({"helm", "install", "--set", "a=1,db.password=***"}));
  EXPECT_EQ(redacted({"redis-cli", "-a", "hunter2", "ping"}),
            words({"redis-cli", "-a", "***", "ping"}));
  EXPECT_EQ(redacted({"ldapsearch", "-x", "-w", "hunter2", "-b", "dc=x"}),
            words({"ldapsearch", "-x", "-w", "***", "-b", "dc=x"}));
  EXPECT_EQ(redacted({"smbclient", "//h/s", "-U", "joe%hunter2"}),
            words({"smbclient", "//h/s", "-U", "joe%***"}));
  EXPECT_EQ(redacted({"smbclient", "-Ujoe%hunter2"}), words({"smbclient", "-Ujoe%***"}));
  EXPECT_EQ(redacted({"/opt/bin/sqlplus", "-s", "scott/tiger@db", "@a/b.sql"}),
            words({"/opt/bin/sqlplus", "-s", "scott/***@db", "@a/b.sql"}));
  EXPECT_EQ(redacted({"sqlldr", "userid=scott/tiger", "control=a/b"}),
            words({"sqlldr", "userid=scott/***", "control=a/b"}));
  EXPECT_EQ(redacted({"env", "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=s/k", "aws"}),
            words({"env", "AWS_ACCESS_KEY_ID=A", "AWS_SECRET_ACCESS_KEY=***", "aws"}));
  EXPECT_EQ(redacted({"curl", "-ujoe:x", "--user=joe:x", "-H", "X-Auth-Token: abc", "h"}),
            words({"curl", "-ujoe:***", "--user=joe:***", "-H", "X-Auth-Token:***", "h"}));
  EXPECT_EQ(redacted({"sudo", "sshpass", "-p", "a b", "ssh", "-p", "22", "h"}),
            words({"sudo", "sshpass", "-p", "***", "ssh", "-p", "22", "h"}));
}

TEST(Redact, LeavesArgumentsThatLookLikeSecrets) {
  Redactor redactor;
  for (const auto& harmless : {words({"ls", "-a", "/tmp"}),
                               words({"grep", "-w", "word", "f"}),
                               words({"nc", "-U", "a%b"}),
                               words({"env", "PWD=/a b", "OLDPWD=/c", "x"}),
                               words({"cc", "-DUSE_TOKEN", "a.c"}),
                               words({"ffmpeg", "-pass", "1", "-i", "a"}),
                               words({"psql", "--no-password", "-h", "db"}),
                               words({"openssl", "rsa", "-passin", "file:/k", "-in", "k"}),
                               words({"ansible", "--ask-become-pass", "site.yml"}),
                               words({"docker", "-e", "X_PASSWORD"}),
                               words({"openssl", "rsa", "-pass", "env:K", "-in", "k"}),
                               words({"ls", "a/b@c"}),
                               words({"sqlplus", "/", "as", "sysdba"}),
                               words({"bash", "-c", "echo password; pwd"}),
                               words({"systemd-ask-password", "Password:"}),
                               words({"gpg", "--passphrase-file", "f"}),
                               words({"x", "-f/etc/passwd", "y"}),
                               words({"gh", "--type=token", "y"}),
                               words({"docker", "run", "my-secret:latest"}),
                               words({"cc", "-Isrc/token", "a.c"}),
                               words({"ssh", "-o", "PasswordAuthentication=no", "h"}),
                               words({"mysql", "-p", "db"})})
    EXPECT_FALSE(redactor.redact(harmless)) << harmless;
}

TEST(Redact, FlagsAndExceptionsAreConfigurable) {
  Redactor redactor({"-k"}, {"--token"});
  EXPECT_EQ(redacted(redactor, {"x", "-k", "s", "--token", "t", "-k=u"}),
            words({"x", "-k", "***", "--token", "t", "-k=***"}));
  Redactor none = Redactor::none();
  EXPECT_EQ(redacted(none, {"x", "--password=s"}), words({"x", "--password=s"}));
}

TEST(Redact, HidesATruncatedSecret) {
  Redactor redactor;
  EXPECT_EQ(redactor.redact(std::string("x\0--password=hun", 16)),
            std::string("x\0--password=***", 16));
}

}  // namespace
}  // namespace knell::filter
