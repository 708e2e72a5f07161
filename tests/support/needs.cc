// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/needs.h"

#include <knell/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/unique_fd.h"

namespace knell::test {

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string link_target(const char* path) {
  char target[64];
  const ssize_t size = ::readlink(path, target, sizeof target);
  return size < 0 ? std::string() : std::string(target, static_cast<size_t>(size));
}

// A socket in the group that never sent a request; empty with errno set when the kernel refuses.
UniqueFd join_group() {
  UniqueFd sock(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_CONNECTOR));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = KNELL_CN_IDX_PROC;
  if (sock && ::bind(sock.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    sock.reset();
  return sock;
}

struct Request {
  nlmsghdr header{};
  knell_cn_msg message{};
  uint32_t payload[2] = {};
};

bool send_request(const UniqueFd& sock, uint32_t op, uint16_t payload_bytes, uint32_t nonce) {
  Request request;
  const uint32_t size =
      static_cast<uint32_t>(sizeof(nlmsghdr) + sizeof(knell_cn_msg)) + payload_bytes;
  request.header.nlmsg_len = size;
  request.header.nlmsg_type = NLMSG_DONE;
  request.message.idx = KNELL_CN_IDX_PROC;
  request.message.val = KNELL_CN_VAL_PROC;
  request.message.ack = nonce;
  request.message.len = payload_bytes;
  request.payload[0] = op;
  request.payload[1] = KNELL_EVENT_ALL;
  return ::send(sock.get(), &request, size, 0) == static_cast<ssize_t>(size);
}

// Whether the ack to `nonce` is in the queue: it is put there before send() returns.
bool acked(const UniqueFd& sock, uint32_t nonce) {
  unsigned char bytes[KNELL_CN_DATAGRAM_BYTES];
  while (::recv(sock.get(), bytes, sizeof bytes, 0) == static_cast<ssize_t>(sizeof bytes)) {
    knell_cn_msg message;
    uint32_t what;
    std::memcpy(&message, bytes + sizeof(nlmsghdr), sizeof message);
    std::memcpy(&what, bytes + sizeof(nlmsghdr) + sizeof message, sizeof what);
    if (what == KNELL_EVENT_NONE && message.ack == nonce + 1) return true;
  }
  return false;
}

}  // namespace

bool in_vm() {
  const char* value = std::getenv("KNELL_IN_VM");
  return value != nullptr && std::strcmp(value, "1") == 0;
}

int repetitions(int count) { return in_vm() ? std::max(1, count / 6) : count; }

std::string lacks_connector() {
  if (first_line("/proc/net/connector").empty()) {
    return "this kernel or network namespace has no connector (/proc/net/connector)";
  }
  std::ifstream list("/proc/net/connector");
  std::stringstream text;
  text << list.rdbuf();
  if (text.str().find("cn_proc") == std::string::npos)
    return "this kernel was built without CONFIG_PROC_EVENTS";
  // The inode numbers of the initial pid and user namespaces are fixed: linux/proc_ns.h.
  if (link_target("/proc/self/ns/pid") != "pid:[4026531836]")
    return "not in the initial pid namespace";
  if (link_target("/proc/self/ns/user") != "user:[4026531837]")
    return "not in the initial user namespace";
  if (!join_group()) return std::string("the connector refuses this user: ") + std::strerror(errno);
  return {};
}

std::string lacks_kernel_filter() {
  if (std::string why = lacks_connector(); !why.empty()) return why;
  // The kernel ignores the operation of this request, so it changes nothing; only a kernel that
  // reads eight bytes acks it, and only while there is a listener.
  constexpr uint32_t kNonce = 0x6b6e6c00, kNoSuchOp = 0x7ead;
  const UniqueFd sock = join_group();
  if (!send_request(sock, KNELL_MCAST_LISTEN, 4, kNonce)) return "the connector takes no requests";
  const bool filters = send_request(sock, kNoSuchOp, 8, kNonce + 10) && acked(sock, kNonce + 10);
  (void)send_request(sock, KNELL_MCAST_IGNORE, 4, kNonce + 20);
  return filters ? std::string() : "this kernel does not filter process events (before 6.6)";
}

std::string lacks_bpf() {
  // Checks the requirements of bpf, not whether knell can use it: if knell cannot, the test must
  // fail.
  if (::geteuid() != 0) return "needs root";
  if (::access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "this kernel has no BTF";
  if (link_target("/proc/self/ns/pid") != "pid:[4026531836]")
    return "not in the initial pid namespace";
  return {};
}

std::string lacks_root() { return ::geteuid() == 0 ? std::string() : "needs root"; }

std::string lacks_shell() { return lacks_file("/bin/sh"); }

std::string lacks_file(const std::string& path) {
  return ::access(path.c_str(), R_OK) == 0 ? std::string() : path + " is not there";
}

std::string lacks_core_files() {
  const std::string pattern = first_line("/proc/sys/kernel/core_pattern");
  if (pattern.empty() || pattern[0] == '|' || pattern[0] == '@' ||
      pattern.find('/') != std::string::npos) {
    return "kernel.core_pattern (" + pattern + ") does not write into the working directory";
  }
  return {};
}

std::string only_in_vm() {
  return in_vm() ? std::string()
                 : "would disturb a machine in use; runs in the guests of tests/vm (KNELL_IN_VM=1)";
}

std::string not_in_vm() { return in_vm() ? "more than the small guest has" : std::string(); }

}  // namespace knell::test
