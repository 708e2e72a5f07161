// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Exits whose details were lost, since knelld did not read its buffer: each listener with a
// predicate about the details gets them nevertheless.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "support/needs.h"
#include "with_journal.h"

namespace knell::test {
namespace {

class LostDetails : public WithJournal {
 protected:
  void SetUp() override {
    WithJournal::SetUp();
    if (IsSkipped()) return;
    KNELL_NEEDS(lacks_bpf());
    daemon_ = std::make_unique<Daemon>();
    daemon_->configure("source = \"bpf\"\nbuffer = \"4K\"\n[journal]\npath = \"" + journal() +
                       "\"\nevents = \"none\"\n");
    ASSERT_TRUE(daemon_->start());
  }
  // Children that fail while knelld is stopped. They are reaped, so /proc has none of their details
  // when it continues.
  void fail_unseen(int count) {
    ASSERT_EQ(::kill(daemon_->pid(), SIGSTOP), 0);
    siginfo_t stopped{};
    ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(daemon_->pid()), &stopped, WSTOPPED | WNOWAIT), 0);
    fail(count);
    ASSERT_EQ(::kill(daemon_->pid(), SIGCONT), 0);
  }
  struct Got {
    std::set<pid_t> pids;
    size_t without_details = 0;
  };
  // Reads until all exits were seen, within a time limit. Exits of other programs are not counted.
  Got read_all(Listener& listener) const {
    Got got;
    const std::map<pid_t, int> children(happened_.begin(), happened_.end());
    for (const Deadline deadline; got.pids.size() < children.size() && !deadline.passed();) {
      std::error_code error;
      bool any = false;
      for (const knell_event& event : listener.read(error)) {
        any = true;
        const auto child = children.find(event.pid);
        if (event.type != KNELL_EVENT_EXIT || child == children.end()) continue;
        if (event.wait_status != child->second || !got.pids.insert(event.pid).second) continue;
        got.without_details += (event.flags & KNELL_FLAG_DETAILS_LOST) != 0 ? 1 : 0;
      }
      EXPECT_FALSE(error) << knell_explain();
      if (error) break;
      if (!any) wait_for_more(listener, deadline);
    }
    return got;
  }
  void expect_all(const Got& got) const {
    EXPECT_EQ(got.pids.size(), happened_.size());
    EXPECT_GT(got.without_details, happened_.size() / 2)
        << "no details were lost: the test is void";
  }
};

TEST_F(LostDetails, EveryListenerGetsTheExit) {
  constexpr int kCount = 300;
  Listener durable = open("durable");
  Options options;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  Listener plain(options), excluding(options);
  ASSERT_FALSE(plain.match("comm", name_)) << knell_explain();
  ASSERT_FALSE(excluding.match("exe", "!/nosuch")) << knell_explain();
  ASSERT_FALSE(excluding.match("unit", "!nosuch")) << knell_explain();
  fail_unseen(kCount);
  expect_all(read_all(plain));
  expect_all(read_all(excluding));
  expect_all(read_all(durable));

  // The exits are in the journal, and pass the predicates of its readers.
  std::error_code error;
  HistoryOptions past;
  past.events = KNELL_EVENT_NONZERO_EXIT;
  Listener history = Listener::open_history(journal(), past, error);
  ASSERT_FALSE(error) << knell_explain();
  ASSERT_FALSE(history.match("comm", name_)) << knell_explain();
  expect_all(read_all(history));
}

}  // namespace
}  // namespace knell::test
