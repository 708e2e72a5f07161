// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/pid_namespace.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/pidfd.h"
#include "base/proc_stat.h"

namespace knell {
namespace {

// A child process in namespaces of its own, which waits until this object is destroyed.
class Parked {
 public:
  explicit Parked(int namespaces) {
    pid_ = static_cast<pid_t>(
        ::syscall(SYS_clone, namespaces | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) ::pause();
  }
  ~Parked() { end(); }
  Parked(const Parked&) = delete;
  Parked& operator=(const Parked&) = delete;
  explicit operator bool() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  void end() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

TEST(PidNamespace, OursIsOursAtLevel0) {
  const auto ours = PidNamespace::of_self();
  ASSERT_TRUE(ours) << ours.error().message();
  EXPECT_TRUE(ours->is_own());
  EXPECT_EQ(ours->level().value_or(99), 0U);
  const auto stat = read_proc_stat(::getpid());
  const auto same = PidNamespace::of_process(::getpid(), stat->start);
  ASSERT_TRUE(same);
  EXPECT_EQ(same->inode(), ours->inode());
  const auto chain = pid_namespaces_from(same->fd());
  ASSERT_TRUE(chain);
  EXPECT_EQ(*chain, std::vector<uint32_t>{ours->inode()});
}

TEST(PidNamespace, FindsTheNamespaceOfAChild) {
  Parked child(CLONE_NEWPID);
  if (!child) GTEST_SKIP() << "may not make a pid namespace";
  const auto pidfd = pidfd_open(child.pid());
  ASSERT_TRUE(pidfd);
  const auto inner = PidNamespace::of_pidfd(pidfd->get(), child.pid());
  ASSERT_TRUE(inner) << inner.error().message();
  const auto ours = PidNamespace::of_self();
  EXPECT_NE(inner->inode(), ours->inode());
  EXPECT_FALSE(inner->is_own());
  EXPECT_FALSE(inner->is_initial());
  EXPECT_EQ(inner->level().value_or(99), 1U);
  EXPECT_EQ(*pid_namespaces_from(inner->fd()),
            (std::vector<uint32_t>{inner->inode(), ours->inode()}));
  const auto by_number = PidNamespace::of_process(child.pid(), read_proc_stat(child.pid())->start);
  ASSERT_TRUE(by_number);
  EXPECT_EQ(by_number->inode(), inner->inode());
}

TEST(PidNamespace, HasTheUidOfItsOwner) {
  Parked child(CLONE_NEWUSER | CLONE_NEWPID);
  if (!child) GTEST_SKIP() << "may not make a user namespace";
  const auto inner = PidNamespace::of_process(child.pid(), 0);
  ASSERT_TRUE(inner) << inner.error().message();
  const auto owner = inner->owner_uid();
  ASSERT_TRUE(owner) << owner.error().message();
  EXPECT_EQ(*owner, ::geteuid());
}

TEST(PidNamespace, AReusedPidIsRefused) {
  const auto stat = read_proc_stat(::getpid());
  const auto other = PidNamespace::of_process(::getpid(), stat->start + 1);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ESRCH);
}

// Runs the call in a child process as user nobody, and returns its errno, which the child passes as
// its exit status.
int error_for_nobody(pid_t asked) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setuid(65534) != 0) ::_exit(1);
    const auto found = PidNamespace::of_process(asked, 0);
    ::_exit(found ? 0 : found.error().code);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  return WEXITSTATUS(status);
}

TEST(PidNamespace, OfAnotherUsersProcessIsEacces) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root, to become nobody";
  EXPECT_EQ(error_for_nobody(::getpid()), EACCES);
}

TEST(PidNamespace, OfADeadProcessIsEsrch) {
  Parked child(0);
  ASSERT_TRUE(child);
  const pid_t pid = child.pid();
  const auto pidfd = pidfd_open(pid);
  ASSERT_TRUE(pidfd);
  child.end();
  const auto dead = PidNamespace::of_pidfd(pidfd->get(), pid);
  ASSERT_FALSE(dead);
  EXPECT_EQ(dead.error().code, ESRCH);
  EXPECT_EQ(dead.error().message(), "the pid namespace of process " + std::to_string(pid) +
                                        " cannot be opened: the process has exited");
}

// Without a descriptor, the kernel reuses the inode number at once.
TEST(PidNamespace, KeepsItsInodeNumberFromReuse) {
  Parked child(CLONE_NEWPID);
  if (!child) GTEST_SKIP() << "may not make a pid namespace";
  const auto held = PidNamespace::of_process(child.pid(), 0);
  ASSERT_TRUE(held);
  child.end();
  Parked next(CLONE_NEWPID);
  const auto other = PidNamespace::of_process(next.pid(), 0);
  ASSERT_TRUE(other);
  EXPECT_NE(other->inode(), held->inode());
}

TEST(PidNamespace, AFileIsNoNamespace) {
  const UniqueFd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  const auto chain = pid_namespaces_from(file.get());
  ASSERT_FALSE(chain);
  EXPECT_EQ(chain.error().code, ENOTTY);
}

}  // namespace
}  // namespace knell
