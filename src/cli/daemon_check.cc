// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/daemon_check.h"

#include <fmt/format.h>
#include <knell/cn_proc.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <knell/knell.hpp>
#include <string_view>

#include "base/container.h"
#include "base/unique_fd.h"

namespace knell::cli {
namespace {

constexpr timeval kTimeout{.tv_sec = 10, .tv_usec = 0};  // connecting may start knelld
// docs/protocol.md
constexpr uint32_t kKnellVal = 0x6b6e656c;
constexpr uint16_t kHello = 0x10, kBye = 0x19;  // messages
constexpr uint16_t kText = 105;                 // an attribute

// The shortest hello: without attributes.
struct Hello {
  nlmsghdr netlink{};
  knell_cn_msg connector{};
};
static_assert(sizeof(Hello) == 36);

std::string why_not(int error, const std::string& path) {
  switch (error) {
    case ENOENT:
      return "the socket does not exist; " + start_daemon_hint(path);
    case ECONNREFUSED:
      return "no process listens on the socket; " + start_daemon_hint(path);
    case EACCES:
      return "permission denied";
    case EAGAIN:
      return "knelld does not answer";
    default:
      return std::strerror(error);
  }
}

int connect_to(int fd, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return ENAMETOOLONG;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  const auto* name = reinterpret_cast<const sockaddr*>(&address);
  return ::connect(fd, name, sizeof address) == 0 ? 0 : errno;
}

// The text of a BYE message.
std::string text_of(std::string_view attributes) {
  nlattr header;
  while (attributes.size() >= sizeof header) {
    std::memcpy(&header, attributes.data(), sizeof header);
    const size_t whole = NLA_ALIGN(size_t{header.nla_len});
    if (header.nla_len < sizeof header || whole > attributes.size()) break;
    if ((header.nla_type & NLA_TYPE_MASK) == kText)
      return printable(attributes.substr(sizeof header, header.nla_len - sizeof header));
    attributes.remove_prefix(whole);
  }
  return "knelld refused the connection";
}

// Returns the reason of a failure; empty: knelld answers.
std::string exchange_hellos(int fd, const std::string& path) {
  Hello hello;
  hello.netlink.nlmsg_len = sizeof hello;
  hello.netlink.nlmsg_type = kHello;
  hello.connector.idx = KNELL_CN_IDX_PROC;
  hello.connector.val = kKnellVal;
  if (::send(fd, &hello, sizeof hello, MSG_NOSIGNAL) < 0) return why_not(errno, path);
  std::array<char, 65536> answer;
  const ssize_t got = ::recv(fd, answer.data(), answer.size(), 0);
  if (got < 0) return why_not(errno, path);
  const std::string_view bytes(answer.data(), static_cast<size_t>(got));
  if (bytes.size() < sizeof hello) return "knelld closed the connection";
  std::memcpy(&hello, bytes.data(), sizeof hello);
  if (hello.connector.val != kKnellVal) return "the server there is not knelld";
  if (hello.netlink.nlmsg_type == kBye) return text_of(bytes.substr(sizeof hello));
  return hello.netlink.nlmsg_type == kHello ? "" : "the server there is not knelld";
}

}  // namespace

std::string daemon_socket() {
  const char* path = std::getenv("KNELL_SOCKET");
  return path != nullptr ? path : "/run/knell/knell.sock";
}

Outcome<void> check_daemon(const std::string& path, const std::string& instead) {
  if (path.empty())
    return fail(
        kNothingHere,
        fmt::format("KNELL_SOCKET is empty, which disables the daemon; unset it{}", instead));
  const UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!fd) return failed("cannot open a socket: {}", std::strerror(errno));
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kTimeout, sizeof kTimeout);
  (void)::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof kTimeout);
  const int error = connect_to(fd.get(), path);
  const std::string why = error != 0 ? why_not(error, path) : exchange_hellos(fd.get(), path);
  if (why.empty()) return {};
  return fail(kNothingHere, fmt::format("knelld: {}: {}{}", printable(path), why, instead));
}

std::string explain_no_daemon() {
  std::string why = printable(std::string_view(knell_explain()));
  const std::string path = daemon_socket();
  if (!path.empty()) why += "; " + start_daemon_hint(path);
  return why;
}

Outcome<std::string> ask_status() {
  std::string json(size_t{1} << 16, '\0');
  for (;;) {
    const ssize_t size = knell_status(json.data(), json.size());
    if (size == -ENOENT || size == -ECONNREFUSED) return fail(kNothingHere, explain_no_daemon());
    if (size < 0) return failed("{}", printable(std::string_view(knell_explain())));
    const auto length = static_cast<size_t>(size);
    const bool fits = length < json.size();
    json.resize(fits ? length : length * 2);  // the status may be longer at the next call
    if (fits) return json;
  }
}

}  // namespace knell::cli
