// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/tracee_files.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "base/unique_fd.h"
#include "source/ptrace/dynamic_symbols.h"

namespace knell::source {
namespace {

constexpr std::string_view kStatus =
    "Name:\tsh\nTgid:\t42\nPid:\t43\nUid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\n"
    "NStgid:\t42\t7\t1\nSigIgn:\t0000000000001000\nSigCgt:\t0000000180004002\n"
    "CapPrm:\t0000000000000400\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n";

TEST(TraceeStatus, FieldsAreFoundByTheirNames) {
  const auto status = parse_tracee_status(kStatus);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->tgid, 42);
  EXPECT_EQ(status->uid, 1U);
  EXPECT_EQ(status->euid, 2U);
  EXPECT_EQ(status->gid, 5U);
  EXPECT_EQ(status->egid, 6U);
  EXPECT_EQ(status->ignored, 0x1000U);
  EXPECT_EQ(status->caught, 0x180004002U);
  EXPECT_EQ(status->permitted, 0x400U);
  EXPECT_EQ(status->bounding, 0x1ffffffffffU);
  EXPECT_TRUE(status->no_new_privileges);
  EXPECT_EQ(status->nested_pid, 1);
}

TEST(TraceeStatus, OfThisProcess) {
  const auto status = read_tracee_status(::getpid());
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->tgid, ::getpid());
  EXPECT_EQ(status->uid, ::getuid());
  EXPECT_EQ(status->egid, ::getegid());
  EXPECT_EQ(status->nested_pid, 0);
  EXPECT_FALSE(read_tracee_status(0x7fffffff).has_value());
  EXPECT_FALSE(parse_tracee_status("").has_value());
  EXPECT_FALSE(parse_tracee_status("Tgid:\t1\n").has_value());
}

// The line of the groups is longer than a page.
TEST(TraceeStatus, OfAProcessWithManyGroups) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can change its groups";
  std::array<int, 2> ready{}, end{};
  ASSERT_EQ(::pipe(ready.data()), 0);
  ASSERT_EQ(::pipe(end.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(end[1]);
    std::array<gid_t, 600> groups{};
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = 4'000'000'000 + static_cast<gid_t>(i);
    if (::setgroups(groups.size(), groups.data()) != 0) ::_exit(1);
    ::signal(SIGUSR1, SIG_IGN);
    char byte = 'x';
    ::_exit(::write(ready[1], &byte, 1) == 1 && ::read(end[0], &byte, 1) == 0 ? 0 : 2);
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  const auto status = read_tracee_status(child);
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->tgid, child);
  EXPECT_NE(status->ignored & 1U << (SIGUSR1 - 1), 0U);
  EXPECT_NE(status->bounding, 0U);
  ::close(end[1]);
  int ended = -1;
  EXPECT_EQ(::waitpid(child, &ended, 0), child);
  EXPECT_EQ(ended, 0);
  for (const int fd : {ready[0], end[0]}) ::close(fd);
}

TEST(Privileges, AreWithheldWhenTheFileGrantsWhatTheProcessLacks) {
  TraceeStatus user;
  user.uid = user.euid = 1000;
  user.gid = user.egid = 1000;
  user.bounding = 0xff;
  EXPECT_FALSE(privileges_withheld({.mode = 0755}, user));
  EXPECT_TRUE(privileges_withheld({.mode = 04755}, user));
  EXPECT_TRUE(privileges_withheld({.mode = 02755}, user));
  EXPECT_FALSE(privileges_withheld({.mode = 02644}, user));  // mandatory locking
  EXPECT_TRUE(privileges_withheld({.mode = 0755, .capabilities = 0x2}, user));
  EXPECT_FALSE(privileges_withheld({.mode = 0755, .capabilities = 0x100}, user));
  // For another reason than the tracer.
  EXPECT_FALSE(privileges_withheld({.mode = 04755, .without_set_id = true}, user));
  TraceeStatus sandboxed = user;
  sandboxed.no_new_privileges = true;
  EXPECT_FALSE(privileges_withheld({.mode = 04755}, sandboxed));
  EXPECT_FALSE(privileges_withheld({.mode = 04755, .owner = 1000}, user));
  EXPECT_FALSE(privileges_withheld({.mode = 04755, .owner = 65534}, user));  // unmapped
  TraceeStatus root = user;
  root.euid = 0;
  root.permitted = 0x2;
  EXPECT_FALSE(privileges_withheld({.mode = 04755, .capabilities = 0x2}, root));
}

TEST(DynamicSymbols, AreFoundByTheirWholeNames) {
  (void)::getppid();  // this program uses it; sanitizers have no function of this name
  const UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto has = [&](std::string_view name) {
    return has_dynamic_symbol(self.get(), std::array{name});
  };
  EXPECT_TRUE(has("getppid"));
  EXPECT_FALSE(has("getppi"));
  EXPECT_FALSE(has("etppid"));
  EXPECT_FALSE(has("knell_no_such_function"));
}

TEST(DynamicSymbols, OfAFileThatIsNoProgram) {
  for (const char* path : {"/proc/self/status", "/dev/null"}) {
    const UniqueFd file(::open(path, O_RDONLY | O_CLOEXEC));
    EXPECT_FALSE(has_dynamic_symbol(file.get(), std::array{std::string_view("ptrace")})) << path;
  }
}

TEST(ProgramCache, ReadsAProgramOnce) {
  ProgramCache cache;
  const Program* const program = cache.of(::getpid());
  ASSERT_NE(program, nullptr);
  // This program calls ptrace(), but a sanitizer's runtime may have it.
  const UniqueFd self(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  constexpr std::array<std::string_view, 2> kSigns{"ptrace", "__asan_init"};
  EXPECT_EQ(program->traces, has_dynamic_symbol(self.get(), kSigns));
  EXPECT_EQ(cache.of(::getpid()), program);
  EXPECT_EQ(cache.size(), 1U);
  EXPECT_EQ(cache.of(0x7fffffff), nullptr);
}

}  // namespace
}  // namespace knell::source
