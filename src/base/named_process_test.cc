// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/named_process.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>
#include <thread>

#include "base/proc_stat.h"

namespace knell {
namespace {

TEST(NamedProcess, OpensAProcessByPidAndStart) {
  const auto stat = read_proc_stat(::getpid());
  ASSERT_TRUE(stat);
  EXPECT_TRUE(open_named_process(::getpid(), 0));
  EXPECT_TRUE(open_named_process(::getpid(), stat->start));
}

TEST(NamedProcess, AReusedPidIsRefused) {
  const auto another = open_named_process(::getpid(), 1);
  ASSERT_FALSE(another);
  EXPECT_EQ(another.error().code, ESRCH);
}

TEST(NamedProcess, AnIdOfNoProcessIsRefused) {
  EXPECT_EQ(open_named_process(0, 0).error().code, EINVAL);
  EXPECT_EQ(open_named_process(-1, 0).error().code, EINVAL);
  const auto absent = open_named_process(0x7ffffff0, 0);  // above any pid_max
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, ESRCH);
  std::thread([] {
    const auto thread = open_named_process(::gettid(), 0);
    ASSERT_FALSE(thread);
    EXPECT_EQ(thread.error().code, ESRCH);
    EXPECT_NE(thread.error().message().find("is a thread of"), std::string::npos);
  }).join();
}

TEST(LifeOf, IsAliveForAProcessThatLives) {
  UniqueFd alive;
  EXPECT_EQ(life_of(::getpid(), read_proc_stat(::getpid())->start, alive), Life::kAlive);
  EXPECT_TRUE(alive);
}

TEST(LifeOf, HasEndedIfItsPidIsFreeOrIsThatOfAnother) {
  UniqueFd alive;
  EXPECT_EQ(life_of(4'194'304, 1, alive), Life::kEnded);  // above any pid
  EXPECT_EQ(life_of(::getpid(), 1, alive), Life::kEnded);
  std::thread([&] {
    const auto stat = read_proc_stat(::gettid());
    ASSERT_TRUE(stat);
    EXPECT_EQ(life_of(::gettid(), stat->start, alive), Life::kEnded) << "a thread has the pid";
    EXPECT_EQ(life_of(::gettid(), 1, alive), Life::kEnded);
  }).join();
  EXPECT_FALSE(alive);
}

// Runs `body` in a child process, whose status it returns.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  ::waitpid(child, &status, 0);
  return status;
}

TEST(LifeOf, IsAliveIfTheLastDescriptorIsThatOfTheProcess) {
  const pid_t parent = ::getpid();
  const uint64_t start = read_proc_stat(parent)->start;
  const int status = in_child([&] {
    const UniqueFd next(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const rlimit most{static_cast<rlim_t>(next.get()) + 2, static_cast<rlim_t>(next.get()) + 2};
    UniqueFd alive;
    if (::setrlimit(RLIMIT_NOFILE, &most) != 0) return 1;
    return life_of(parent, start, alive) == Life::kAlive && alive && !read_proc_stat(parent) ? 0
                                                                                             : 2;
  });
  EXPECT_EQ(status, 0);
}

TEST(LifeOf, IsAliveIfProcHidesTheProcess) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can mount";
  const pid_t parent = ::getpid();
  const uint64_t start = read_proc_stat(parent)->start;
  const int status = in_child([&] {
    if (::unshare(CLONE_NEWNS) != 0 ||
        ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("proc", "/proc", "proc", 0, "hidepid=2") != 0 || ::setgroups(0, nullptr) != 0 ||
        ::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
      return 1;
    UniqueFd alive;
    if (read_proc_stat(parent)) return 2;
    return life_of(parent, start, alive) == Life::kAlive && alive ? 0 : 3;
  });
  if (status == 1 << 8) GTEST_SKIP() << "/proc cannot be mounted here";
  EXPECT_EQ(status, 0);
}

TEST(StartOfNamed, IsThatOfTheProcessOfThePidfd) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  const auto pidfd = open_named_process(child, 0);
  ASSERT_TRUE(pidfd);
  const uint64_t start = read_proc_stat(child)->start;
  EXPECT_EQ(start_of_named(child), start);
  EXPECT_EQ(start_of_named(child, pidfd->get()), start);
  EXPECT_EQ(start_of_named(::getpid(), pidfd->get()), read_proc_stat(::getpid())->start);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(start_of_named(child), 0u);
  EXPECT_EQ(start_of_named(::getpid(), pidfd->get()), 0u) << "it was reaped";
}

// A child that is the first process of a new pid namespace, with the /proc of its parent.
TEST(StartOfNamed, IsUnknownIfProcIsThatOfAnotherNamespace) {
  const int status = in_child([] {
    if (::unshare(CLONE_NEWPID) != 0) return 1;
    return in_child([] { return start_of_named(1) == 0 ? 0 : 2; }) == 0 ? 0 : 2;
  });
  if (status == 1 << 8) GTEST_SKIP() << "no permission to create a pid namespace";
  EXPECT_EQ(status, 0);
}

TEST(ProcessOfThread, IsReturnedForAThreadOnly) {
  std::optional<pid_t> of_thread;
  std::thread([&] { of_thread = process_of_thread(::gettid()); }).join();
  EXPECT_EQ(of_thread, ::getpid());
  EXPECT_EQ(process_of_thread(::getpid()), std::nullopt);
  EXPECT_EQ(process_of_thread(4'194'304), std::nullopt);  // above any pid
}

}  // namespace
}  // namespace knell
