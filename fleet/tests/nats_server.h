// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <string>

namespace knell::fleet {

// A real nats-server with JetStream on a free port of loopback, with its files in a folder of its
// own. Stopped, and its files removed, with this object.
class NatsServer {
 public:
  // `configuration`: more lines of its configuration file.
  explicit NatsServer(std::string configuration = "");
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;
  ~NatsServer();

  static bool installed();
  // Starts it, also again, and waits until it accepts connections.
  void start();
  void kill(int signal);  // and waits until it has exited
  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
  const std::string& folder() const { return folder_; }
  pid_t pid() const { return pid_; }
  // Copies of its files, taken and put back while it does not run: it went back in time.
  void save_files() const;
  void restore_files() const;

 private:
  std::string folder_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// Three servers that know each other, so that a stream can have three copies.
class NatsCluster {
 public:
  static constexpr size_t kServers = 3;
  NatsCluster();
  NatsServer& server(size_t index) { return *servers_[index]; }
  std::string url() const;  // of all of them

 private:
  std::array<std::unique_ptr<NatsServer>, kServers> servers_;
};

}  // namespace knell::fleet
