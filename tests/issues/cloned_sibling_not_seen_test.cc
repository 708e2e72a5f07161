// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A child made with CLONE_PARENT is a child of its creator's parent, so it was outside of every
// subtree: neither `knell run` nor --under reported it.
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <knell/knell.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/child.h"
#include "support/command.h"
#include "support/daemon.h"
#include "support/needs.h"

namespace knell::test {
namespace {

// The report of `knell run`, started by `words`, about a command that makes such a child.
std::string report_of_run(std::vector<std::string> words) {
  Pipe report = make_pipe();
  for (const std::string& word :
       {knell_binary(), std::string("run"), std::string("--"), victim("make_sibling")})
    words.push_back(word);
  Child run = Child::spawn(words, {.err = report.write.get()});
  report.write.reset();
  std::string text;
  char bytes[4096];
  for (ssize_t size; (size = ::read(report.read.get(), bytes, sizeof bytes)) > 0;)
    text.append(bytes, static_cast<size_t>(size));
  EXPECT_EQ(run.wait(), 0);
  return text;
}

void expect_sibling(const std::string& report) {
  EXPECT_NE(report.find("exit 5 "), std::string::npos) << report;
  EXPECT_NE(report.find("2 processes, 1 failed under it"), std::string::npos) << report;
}

TEST(ClonedSibling, IsReportedByRun) {
  KNELL_NEEDS(lacks_knell_command());
  KNELL_NEEDS(lacks_connector());
  expect_sibling(report_of_run({}));
}

TEST(ClonedSibling, IsReportedByRunOverTheConnector) {
  KNELL_NEEDS(lacks_knell_command());
  KNELL_NEEDS(lacks_kernel_filter());  // before it, listening takes a capability
  KNELL_NEEDS(lacks_root());
  KNELL_NEEDS(lacks_file("/usr/bin/setpriv"));
  expect_sibling(
      report_of_run({"/usr/bin/setpriv", "--bounding-set", "-all", "--inh-caps", "-all"}));
}

TEST(ClonedSibling, IsReportedByRunOverTheDaemon) {
  KNELL_NEEDS(lacks_knell_command());
  KNELL_NEEDS(lacks_knelld());
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  expect_sibling(report_of_run({}));
}

// The exit of a sibling made by a process that --under follows; over `via`.
void expect_under(uint32_t via) {
  Options options;
  options.events = KNELL_EVENT_EXIT;
  options.via = via;
  std::error_code error;
  Listener listener = Listener::open(options, error);
  ASSERT_FALSE(error) << knell_explain();
  Pipe go = make_pipe();
  Child root = Child::fork([&] {
    char byte = 0;
    if (::read(go.read.get(), &byte, 1) != 1) return 1;
    if (::syscall(SYS_clone, CLONE_PARENT | SIGCHLD, nullptr, nullptr, nullptr, 0) == 0) return 5;
    for (;;) ::pause();
  });
  ASSERT_FALSE(listener.match("under", std::to_string(root.pid()))) << knell_explain();
  ASSERT_EQ(::write(go.write.get(), "x", 1), 1);
  std::optional<int> status;
  for (const Deadline deadline; !status && !deadline.passed();) {
    pollfd readable{listener.fd(), POLLIN, 0};
    ::poll(&readable, 1, deadline.left_ms());
    std::array<const knell_event*, 16> space;
    for (const knell_event* event : listener.read(space, error)) {
      if (event->type == KNELL_EVENT_EXIT) status = event->wait_status;
    }
  }
  EXPECT_EQ(status, 5 << 8);
}

TEST(ClonedSibling, IsUnderItsCreatorOverBpf) {
  KNELL_NEEDS(lacks_bpf());
  expect_under(KNELL_VIA_BPF);
}

TEST(ClonedSibling, IsUnderItsCreatorOverTheDaemon) {
  KNELL_NEEDS(lacks_bpf());
  KNELL_NEEDS(lacks_knelld());
  Daemon daemon;
  ASSERT_TRUE(daemon.start());
  expect_under(KNELL_VIA_DAEMON);
}

}  // namespace
}  // namespace knell::test
