// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Kills a writer of a journal at its first, second, third, ... system call that changes a file,
// until it gets to the end; after each kill the journal must have every event that was committed.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <functional>

#include "base/unique_fd.h"
#include "journal/store_for_test.h"

namespace knell::journal {
namespace {

bool changes_files(const __ptrace_syscall_info& call) {
  switch (call.entry.nr) {
    case SYS_pwrite64:
    case SYS_ftruncate:
    case SYS_fallocate:
    case SYS_fsync:
    case SYS_fdatasync:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlinkat:
#ifdef SYS_rename
    case SYS_rename:
    case SYS_unlink:
#endif
      return true;
    case SYS_openat:
      return (call.entry.args[2] & O_CREAT) != 0;
    default:
      return false;
  }
}

enum class Outcome { kFinished, kKilled, kCannotTrace };

// Runs `work` in a child that is killed at the start of its n-th call that changes a file.
Outcome run_until(int n, const std::function<void()>& work) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(99);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) return Outcome::kCannotTrace;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  for (;;) {
    ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status)) {
      EXPECT_EQ(WEXITSTATUS(status), 0);
      return Outcome::kFinished;
    }
    if (!WIFSTOPPED(status)) return Outcome::kKilled;
    if (WSTOPSIG(status) != (SIGTRAP | 0x80)) continue;
    __ptrace_syscall_info info{};
    ::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY || !changes_files(info) || --n > 0) continue;
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    return Outcome::kKilled;
  }
}

class CrashTest : public ::testing::Test {
 protected:
  StoreOptions options() {
    return {.path = folder_->file("journal.db"),
            .most_bytes = 96 << 10,
            .checkpoint_bytes = 48 << 10,
            .most_wal_bytes = 1 << 20};
  }
  // Writes until event 600, and reports each commit by writing its last pid to `commits`.
  static void write_events(const StoreOptions& options, int commits) {
    auto store = Store::open(options);
    if (!store) ::_exit(1);
    for (int pid = 1; pid <= 600; ++pid) {
      if (!store->append(exit_event(pid))) ::_exit(2);
      if (pid % 60 != 0) continue;
      if (!store->commit()) ::_exit(3);
      if (::write(commits, &pid, sizeof pid) != sizeof pid) ::_exit(4);
    }
  }
  // The events in the journal must be consecutive, right, and up to `committed` at least.
  void check(int committed) {
    auto store = Store::open(options());
    ASSERT_TRUE(store) << store.error().message();
    EXPECT_TRUE(damaged_before_ || store->replaced().moved_to.empty());
    auto reader = Reader::open(options().path);
    ASSERT_TRUE(reader) << reader.error().message();
    const auto all = read_all(*reader, every_);
    ASSERT_TRUE(all) << all.error().message();
    const int64_t last = all->empty() ? 0 : all->back().seq;
    EXPECT_GE(last, committed);
    EXPECT_EQ(last % 60, 0) << "a part of a transaction";
    for (size_t i = 0; i < all->size(); ++i) {
      const Seen& one = (*all)[i];
      ASSERT_EQ(one.type, KNELL_EVENT_EXIT);
      EXPECT_EQ(one.seq, one.pid);
      EXPECT_EQ(one.comm, "grep");
      EXPECT_EQ(one.seq, all->front().seq + static_cast<int64_t>(i));
    }
    // It goes on where it was.
    EXPECT_EQ(store->next_seq(), last + 1);
    ASSERT_TRUE(store->append(exit_event(static_cast<int32_t>(last) + 1)));
    ASSERT_TRUE(store->commit());
  }
  // Kills at every call; `prepare` makes the folder as the writer finds it.
  void kill_everywhere(const std::function<void()>& prepare) {
    for (int n = 1;; ++n) {
      SCOPED_TRACE("call " + std::to_string(n));
      folder_ = std::make_unique<TemporaryFolder>();
      prepare();
      int ends[2];
      ASSERT_EQ(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
      const UniqueFd read_end(ends[0]), write_end(ends[1]);
      const Outcome outcome = run_until(n, [&] { write_events(options(), write_end.get()); });
      if (outcome == Outcome::kCannotTrace) GTEST_SKIP() << "ptrace(2) is not allowed here";
      int committed = 0;
      for (int pid = 0; ::read(read_end.get(), &pid, sizeof pid) == sizeof pid;) committed = pid;
      check(committed);
      if (HasFatalFailure()) return;
      if (outcome == Outcome::kFinished) {
        EXPECT_EQ(committed, 600);
        EXPECT_GT(n, 60) << "few calls were seen";
        return;
      }
    }
  }

  std::unique_ptr<TemporaryFolder> folder_;
  EveryEvent every_;
  bool damaged_before_ = false;  // the file, when the writer found it
};

TEST_F(CrashTest, KeepsEveryCommitFromTheFirstCallOn) {
  kill_everywhere([] {});
}

// A file in which nothing can be saved is moved aside, whatever step that is interrupted at.
TEST_F(CrashTest, MovesADamagedFileAsideAtAnyCall) {
  damaged_before_ = true;
  kill_everywhere([&] {
    {
      auto store = Store::open(options());
      ASSERT_TRUE(store);
      ASSERT_TRUE(store->append(exit_event(5)));
      ASSERT_TRUE(store->commit());
    }
    std::ofstream(options().path) << std::string(20'000, 'x');
  });
}

}  // namespace
}  // namespace knell::journal
