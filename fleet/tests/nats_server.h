// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <array>
#include <memory>
#include <string>

namespace knell::fleet {

// A real nats-server with JetStream on a free port of loopback, with its files in a separate
// folder. The destructor stops the server and removes its files.
class NatsServer {
 public:
  // `configuration`: additional lines of the configuration file.
  explicit NatsServer(std::string configuration = "");
  NatsServer(const NatsServer&) = delete;
  NatsServer& operator=(const NatsServer&) = delete;
  ~NatsServer();

  static bool installed();
  // Starts or restarts the server, and waits until it accepts connections.
  void start();
  void kill(int signal);  // also waits until the server has exited
  std::string url() const { return "nats://127.0.0.1:" + std::to_string(port_); }
  const std::string& folder() const { return folder_; }
  pid_t pid() const { return pid_; }
  // Copies the files of the stopped server, and restores them later, so that the server goes back
  // in time.
  void save_files() const;
  void restore_files() const;

 private:
  std::string folder_;
  int port_ = 0;
  pid_t pid_ = -1;
};

// A cluster of three servers, so that a stream can have three copies.
class NatsCluster {
 public:
  static constexpr size_t kServers = 3;
  NatsCluster();
  NatsServer& server(size_t index) { return *servers_[index]; }
  std::string url() const;  // the URLs of all servers

 private:
  std::array<std::unique_ptr<NatsServer>, kServers> servers_;
};

}  // namespace knell::fleet
