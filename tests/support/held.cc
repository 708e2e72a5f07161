// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/held.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "base/proc_stat.h"
#include "support/needs.h"

namespace knell::test {

Held::Held(const std::function<int()>& body)
    : child_(Child::fork([&] {
        char byte;
        go_.write.reset();
        return ::read(go_.read.get(), &byte, 1) == 1 ? body() : 126;
      })),
      pid_(child_.pid()) {}

int Held::execute(const std::vector<std::string>& words) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  ::execvp(argv[0], argv.data());
  return 127;
}

void Held::go() { ASSERT_EQ(::write(go_.write.get(), "", 1), 1); }

bool become_nobody() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
         ::setresuid(kNobody, kNobody, kNobody) == 0 &&
         // As exec does: otherwise other processes of that user could not trace this one.
         ::prctl(PR_SET_DUMPABLE, 1) == 0;
}

void as_nobody(const std::function<void()>& body) {
  KNELL_NEEDS(lacks_root());
  Child child = Child::fork([&] {
    if (!become_nobody()) return 2;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    body();
    return testing::Test::HasFailure() ? 1 : 0;
  });
  // Longer than for a single event, since this is a whole test.
  EXPECT_EQ(child.wait(Deadline(5 * kPatience)), 0) << "failed as user nobody";
}

pid_t tracer_of(pid_t pid) {
  for (const std::string& line : lines_of("/proc/" + std::to_string(pid) + "/status"))
    if (line.starts_with("TracerPid:")) return std::atoi(line.c_str() + 10);
  return -1;
}

bool wait_until(const std::function<bool()>& happened) {
  for (const Deadline deadline; !happened(); ::usleep(1000))
    if (deadline.passed()) return false;
  return true;
}

char state_of(pid_t pid) {
  const auto stat = read_proc_stat(pid);
  return stat ? stat->state : '\0';
}

PrivilegedProgram::PrivilegedProgram(Kind kind) {
  const std::string file = path();
  std::error_code error;
  std::filesystem::copy_file(victim("exit_with"), file, error);
  if (error || ::chmod(directory_.path().c_str(), 0755) != 0) return;
  vfs_cap_data capability{};
  capability.magic_etc = VFS_CAP_REVISION_2;
  capability.data[0].permitted = 1U << CAP_CHOWN;
  switch (kind) {
    case Kind::kSetUserId:
      made_ = ::chmod(file.c_str(), 04755) == 0;
      break;
    case Kind::kSetGroupId:
      made_ = ::chmod(file.c_str(), 02755) == 0;
      break;
    case Kind::kCapabilities:
      made_ =
          ::chmod(file.c_str(), 0755) == 0 &&
          ::setxattr(file.c_str(), "security.capability", &capability, sizeof capability, 0) == 0;
      break;
  }
}

std::string PrivilegedProgram::lacking() const {
  if (!made_) return "the directory of temporary files takes no such program";
  struct statvfs system{};
  const bool honoured = ::statvfs(path().c_str(), &system) == 0 && (system.f_flag & ST_NOSUID) == 0;
  return honoured ? "" : "the directory of temporary files is mounted nosuid";
}

}  // namespace knell::test
