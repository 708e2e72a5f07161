// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/tests/nats_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>

#include "base/unique_fd.h"

namespace knell::fleet {
namespace {

namespace fs = std::filesystem;

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

// Returns a free port below ip_local_port_range, the ports that the kernel gives to clients.
// Otherwise a client that tries to connect to a dead server could get the server's port as its
// source port.
int free_port() {
  std::random_device chance;
  std::uniform_int_distribution<int> ports(10'000, 32'000);
  for (;;) {
    const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int port = ports(chance);
    const sockaddr_in address = loopback(port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      return port;
  }
}

bool accepts(int port) {
  const UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address = loopback(port);
  return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
}

std::string program() {
  for (const char* path :
       {"/usr/sbin/nats-server", "/usr/bin/nats-server", "/usr/local/bin/nats-server"})
    if (::access(path, X_OK) == 0) return path;
  return "";
}

}  // namespace

bool NatsServer::installed() { return !program().empty(); }

NatsServer::NatsServer(std::string configuration) : port_(free_port()) {
  std::string folder = (fs::temp_directory_path() / "knell-nats-XXXXXX").string();
  EXPECT_NE(::mkdtemp(folder.data()), nullptr);
  folder_ = folder;
  std::ofstream(folder_ + "/nats.conf")
      << "listen: 127.0.0.1:" << port_ << "\njetstream {store_dir: \"" << folder_ << "/store\"}\n"
      << configuration;
  start();
}

NatsServer::~NatsServer() {
  if (pid_ > 0) kill(SIGKILL);
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

void NatsServer::start() {
  const std::string path = program(), file = folder_ + "/nats.conf", log = folder_ + "/log";
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::execl(path.c_str(), "nats-server", "-c", file.c_str(), "-l", log.c_str(), nullptr);
    ::_exit(127);
  }
  ASSERT_GT(pid_, 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(2);
  while (!accepts(port_)) {
    ASSERT_EQ(::waitpid(pid_, nullptr, WNOHANG), 0) << "nats-server has exited; see " << log;
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << "nats-server does not listen";
    (void)::poll(nullptr, 0, 10);
  }
}

void NatsServer::kill(int signal) {
  ::kill(pid_, signal);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

void NatsServer::save_files() const {
  fs::remove_all(folder_ + "/saved");
  fs::copy(folder_ + "/store", folder_ + "/saved", fs::copy_options::recursive);
}

void NatsServer::restore_files() const {
  fs::remove_all(folder_ + "/store");
  fs::copy(folder_ + "/saved", folder_ + "/store", fs::copy_options::recursive);
}

NatsCluster::NatsCluster() {
  std::array<int, kServers> ports{};
  std::string routes;
  for (int& port : ports) {
    port = free_port();
    routes += "\"nats://127.0.0.1:" + std::to_string(port) + "\", ";
  }
  for (size_t i = 0; i < kServers; ++i)
    servers_[i] = std::make_unique<NatsServer>(
        "server_name: n" + std::to_string(i) + "\ncluster {\n  name: knell\n  listen: 127.0.0.1:" +
        std::to_string(ports[i]) + "\n  routes: [" + routes + "]\n}\n");
}

std::string NatsCluster::url() const {
  std::string out;
  for (const auto& server : servers_) out += (out.empty() ? "" : ",") + server->url();
  return out;
}

}  // namespace knell::fleet
