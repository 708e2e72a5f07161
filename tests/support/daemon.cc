// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/daemon.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "support/needs.h"

namespace knell::test {

std::string knelld_binary() {
  if (const char* given = std::getenv("KNELLD_BIN")) return given;
  return std::filesystem::path(knell_binary()).replace_filename("knelld");
}

std::string lacks_knelld() {
  if (const std::string why = lacks_root(); !why.empty()) return why;
  if (const std::string why = lacks_connector(); !why.empty()) return why;
  return lacks_file(knelld_binary());
}

Daemon::Daemon() : socket_(folder_.path() + "/knell.sock") {
  (void)::chmod(folder_.path().c_str(), 0755);  // so that other users can enter the directory
  std::ofstream(folder_.path() + "/knelld.toml");
  ::setenv("KNELL_SOCKET", socket_.c_str(), 1);
}

Daemon::~Daemon() {
  kill();
  ::unsetenv("KNELL_SOCKET");
}

void Daemon::configure(const std::string& text) {
  std::ofstream(folder_.path() + "/knelld.toml") << text;
}

bool Daemon::start() {
  return run({knelld_binary(), "--socket", socket_, "--config", folder_.path() + "/knelld.toml"});
}

bool Daemon::start_supervised() {
  return run({knelld_binary(), "--supervise", "--socket", socket_, "--config",
              folder_.path() + "/knelld.toml"});
}

bool Daemon::run(std::vector<std::string> words) {
  words.insert(words.begin(), before_.begin(), before_.end());
  says_ = make_pipe();
  child_.emplace(Child::spawn(words, {.in = -1, .out = -1, .err = says_->write.get()}));
  says_->write.reset();
  return await_log("listens on");
}

bool Daemon::await_log(const std::string& text) {
  const size_t from = log_.size();
  for (const Deadline deadline; log_.find(text, from) == std::string::npos;) {
    pollfd input{.fd = says_->read.get(), .events = POLLIN, .revents = 0};
    char some[512];
    const ssize_t n = ::poll(&input, 1, deadline.left_ms()) > 0
                          ? ::read(says_->read.get(), some, sizeof some)
                          : 0;
    if (n <= 0) {
      ADD_FAILURE() << "knelld does not log " << text << ": " << log_.substr(from);
      return false;
    }
    log_.append(some, static_cast<size_t>(n));
  }
  return true;
}

pid_t Daemon::supervised_pid() const {
  const std::string self = std::to_string(pid());
  pid_t child = 0;
  std::ifstream("/proc/" + self + "/task/" + self + "/children") >> child;
  return child;
}

bool Daemon::kill_supervised() {
  const pid_t pid = supervised_pid();
  if (pid <= 0 || ::kill(pid, SIGKILL) != 0) return false;
  return await_log("listens on");
}

bool Daemon::stop() {
  child_->kill(SIGTERM);
  const auto status = child_->wait();
  EXPECT_EQ(status, 0) << "knelld does not end: " << log_;
  if (!status) return false;
  child_.reset();
  char some[512];
  for (ssize_t n; (n = ::read(says_->read.get(), some, sizeof some)) > 0;)
    log_.append(some, static_cast<size_t>(n));
  return status == 0;
}

void Daemon::kill() {
  if (!child_) return;
  child_->kill();
  EXPECT_TRUE(child_->wait());
  child_.reset();
}

}  // namespace knell::test
