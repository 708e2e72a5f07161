// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/stopped_processes.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "base/proc_stat.h"
#include "base/unique_fd.h"
#include "journal/event_queue.h"

namespace knell::daemon {
namespace {

class StoppedProcessesTest : public testing::Test {
 protected:
  StoppedProcessesTest() {
    std::string name = std::filesystem::temp_directory_path() / "knell-stopped-XXXXXX";
    folder_ = ::mkdtemp(name.data());
  }
  ~StoppedProcessesTest() override {
    end_child();
    std::filesystem::remove_all(folder_);
  }

  // A child that ends when end_child() closes the pipe.
  void begin_child() {
    int ends[2];
    ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    child_ = ::fork();
    if (child_ == 0) {
      ::close(ends[1]);
      char byte;
      (void)!::read(ends[0], &byte, 1);
      ::_exit(3);
    }
    ::close(ends[0]);
    hold_.reset(ends[1]);
    start_ = read_proc_stat(child_)->start;
  }
  void end_child(bool reap = true) {
    hold_.reset();
    if (child_ == 0) return;
    siginfo_t info;
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT), 0);
    if (!reap) return;
    ASSERT_EQ(::waitpid(child_, nullptr, 0), child_);
    child_ = 0;
  }

  LivingProcessList living() {
    auto list = LivingProcessList::read(KNELL_DETAILS_FULL, redactor_, system_clock());
    EXPECT_TRUE(list) << list.error().message();
    return *std::move(list);
  }
  void write(const LivingProcessList& list) {
    const auto written = list.write(path(), system_clock());
    ASSERT_TRUE(written) << written.error().message();
  }
  Result<EndedMeanwhile> take() {
    process::LiveKernelProcesses kernel;
    return take_ended_meanwhile(path(), kernel, system_clock());
  }
  // The exit of the child; other processes of the machine may have ended, too.
  std::optional<knell_event> exit_of(int32_t pid, uint64_t start) {
    const auto taken = take();
    EXPECT_TRUE(taken) << taken.error().message();
    ended_ = *taken;
    for (const std::string& copy : ended_.exits) {
      const knell_event event = journal::read_copy(copy.data()).event;
      if (event.pid == pid && event.id.start == start) return event;
    }
    return std::nullopt;
  }
  std::string path() const { return folder_ / "living"; }

  std::filesystem::path folder_;
  filter::Redactor redactor_;
  pid_t child_ = 0;
  uint64_t start_ = 0;
  UniqueFd hold_;
  EndedMeanwhile ended_;
};

TEST_F(StoppedProcessesTest, TheExitOfAProcessThatIsGoneIsRecovered) {
  begin_child();
  const int32_t pid = child_;
  write(living());
  end_child();
  const auto event = exit_of(pid, start_);
  ASSERT_TRUE(event);
  EXPECT_EQ(event->type, uint32_t{KNELL_EVENT_EXIT});
  EXPECT_NE(event->flags & KNELL_FLAG_RECOVERED, 0U);
  EXPECT_EQ(event->has & KNELL_HAS_STATUS, 0U);
  EXPECT_EQ(event->ppid, ::getpid());
  EXPECT_GT(event->comm.size, 0U);
  EXPECT_GT(event->args.size, 0U);
  EXPECT_GT(event->mono_ns, ended_.stopped_ns);
  EXPECT_GT(ended_.stopped_ns, 0U);
  EXPECT_FALSE(std::filesystem::exists(path()));
}

TEST_F(StoppedProcessesTest, AZombieHasItsStatus) {
  begin_child();
  write(living());
  end_child(false);
  const auto event = exit_of(child_, start_);
  ASSERT_TRUE(event);
  EXPECT_NE(event->has & KNELL_HAS_STATUS, 0U);
  EXPECT_EQ(event->wait_status, 3 << 8);
}

TEST_F(StoppedProcessesTest, AProcessThatIsAliveIsNotReported) {
  begin_child();
  write(living());
  EXPECT_FALSE(exit_of(child_, start_));
}

TEST_F(StoppedProcessesTest, AProcessWhoseExitWasReadIsNotReported) {
  begin_child();
  const int32_t pid = child_;
  LivingProcessList list = living();
  list.remove(pid, start_);
  write(list);
  end_child();
  EXPECT_FALSE(exit_of(pid, start_));
}

TEST_F(StoppedProcessesTest, WithoutAFileNothingIsKnown) {
  const auto taken = take();
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->stopped_ns, 0U);
  EXPECT_TRUE(taken->exits.empty());
}

TEST_F(StoppedProcessesTest, ADamagedFileIsAnErrorOnce) {
  write(living());
  std::filesystem::resize_file(path(), std::filesystem::file_size(path()) / 2);
  EXPECT_FALSE(take());
  EXPECT_TRUE(take());
  std::ofstream(path()) << "nonsense";
  EXPECT_FALSE(take());
  EXPECT_TRUE(take());
}

}  // namespace
}  // namespace knell::daemon
