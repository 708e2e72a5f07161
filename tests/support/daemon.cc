// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/daemon.h"

#include <gtest/gtest.h>
#include <poll.h>
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
  says_ = make_pipe();
  child_.emplace(Child::spawn(
      {knelld_binary(), "--socket", socket_, "--config", folder_.path() + "/knelld.toml"},
      {.in = -1, .out = -1, .err = says_->write.get()}));
  says_->write.reset();
  std::string said;
  for (const Deadline deadline; said.find("listens on") == std::string::npos;) {
    pollfd input{.fd = says_->read.get(), .events = POLLIN, .revents = 0};
    char some[512];
    const ssize_t n = ::poll(&input, 1, deadline.left_ms()) > 0
                          ? ::read(says_->read.get(), some, sizeof some)
                          : 0;
    if (n <= 0) {
      ADD_FAILURE() << "knelld does not listen: " << said;
      return false;
    }
    said.append(some, static_cast<size_t>(n));
  }
  return true;
}

void Daemon::kill() {
  if (!child_) return;
  child_->kill();
  EXPECT_TRUE(child_->wait());
  child_.reset();
}

}  // namespace knell::test
