// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/listening_socket.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <vector>

#include "daemon/user_database.h"
#include "event/printable.h"

namespace knell::daemon {
namespace {

constexpr const char* kStored = "listening";
constexpr int kBacklog = 1024;  // chosen, not measured: connections between two turns of the loop;
                                // net.core.somaxconn limits it

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return say(ENAMETOOLONG, fmt::format("the path of a socket must have 1 to {} bytes, not {}",
                                         sizeof address.sun_path - 1, path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> new_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return errno_error("create a socket");
  return fd;
}

// Removes a stale socket file. Only ECONNREFUSED shows that no process listens on it; EAGAIN, for
// example, means that the backlog of a running daemon is full.
Result<void> remove_stale_socket(const sockaddr_un& address) {
  const std::string shown = event::printable(address.sun_path);
  struct stat there{};
  if (::lstat(address.sun_path, &there) != 0) {
    if (errno == ENOENT) return {};
    return errno_error("stat " + shown);
  }
  if (!S_ISSOCK(there.st_mode))
    return say(EEXIST, shown + " exists and is not a socket; remove it or choose another path");
  KNELL_ASSIGN(const UniqueFd probe, new_socket());
  const int done =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (done == 0 || errno != ECONNREFUSED) {
    return say(EADDRINUSE, shown + " is in use: knelld is running already; see `knell status`");
  }
  if (::unlink(address.sun_path) != 0 && errno != ENOENT)
    return errno_error("remove the unused socket " + shown);
  return {};
}

// Sets a umask before bind(), so that the file never has more permissions than `mode`.
Result<void> bind_with_mode(int fd, const sockaddr_un& address, mode_t mode) {
  const mode_t before = ::umask(static_cast<mode_t>(~mode & 0777));
  const int done = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int error = errno;
  ::umask(before);
  if (done == 0) return {};
  return make_error(error, "bind " + event::printable(address.sun_path));
}

// Ignores errors: without the privilege to change the group, the file keeps its own, which makes no
// difference with the default mode.
void set_group(const std::string& path, const std::string& group) {
  if (const auto gid = find_group(group))
    (void)!::lchown(path.c_str(), static_cast<uid_t>(-1), *gid);
}

bool is_listening_seqpacket(int fd) {
  return sd_is_socket_unix(fd, SOCK_SEQPACKET, 1, nullptr, 0) > 0;
}

std::string path_of(int fd) {
  sockaddr_un address{};
  socklen_t size = sizeof address - 1;  // so that it ends with a NUL
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  return event::printable(address.sun_path);
}

}  // namespace

SocketFile::SocketFile(std::string path, bool made_folder)
    : path_(std::move(path)), made_folder_(made_folder) {
  struct stat file{};
  if (::lstat(path_.c_str(), &file) != 0) return;
  device_ = file.st_dev;
  inode_ = file.st_ino;
}

SocketFile::~SocketFile() {
  struct stat file{};
  if (path_.empty() || ::lstat(path_.c_str(), &file) != 0) return;
  if (file.st_dev == device_ && file.st_ino == inode_) ::unlink(path_.c_str());
}

Result<void> SocketFile::chown_folder(uid_t uid, gid_t gid) const {
  if (path_.empty() || !made_folder_) return {};
  const std::string folder = folder_of(path_);
  if (::lchown(folder.c_str(), uid, gid) != 0)
    return errno_error("change the owner of " + event::printable(folder));
  return {};
}

Result<std::optional<ListeningSocket>> inherited_socket(handover::Keeper& keeper) {
  std::vector<std::string> passed = keeper.names("");
  std::erase_if(passed, [](const std::string& name) {
    return name == kStored || name == "state" || name.starts_with("client.") ||
           name.starts_with("bpf.") || name.starts_with("netlink.");
  });
  if (passed.size() > 1) {
    return say(EINVAL,
               fmt::format("systemd passed {} sockets, not one; knelld.socket must have one "
                           "ListenSequentialPacket=",
                           passed.size()));
  }
  const bool ours = passed.empty();
  UniqueFd fd = keeper.take(ours ? kStored : passed.front());
  if (!fd) return std::nullopt;
  if (!is_listening_seqpacket(fd.get())) {
    return say(EINVAL,
               "systemd passed a descriptor that is not a listening AF_UNIX socket of type "
               "SOCK_SEQPACKET; knelld.socket must have "
               "ListenSequentialPacket=/run/knell/knell.sock");
  }
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (flags < 0 || ::fcntl(fd.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return errno_error("make the socket non-blocking");
  std::string path = path_of(fd.get());
  SocketFile file = ours ? SocketFile(path, false) : SocketFile();
  return ListeningSocket{std::move(fd), std::move(path), std::move(file), !ours};
}

void store_socket(handover::Keeper& keeper, const ListeningSocket& socket) {
  keeper.store(kStored, socket.fd.get(), handover::Keeper::Poll::kNo);
}

Result<ListeningSocket> open_socket(const Config::Socket& wanted) {
  KNELL_ASSIGN(const sockaddr_un address, address_of(wanted.path));
  const std::string folder = folder_of(wanted.path);
  const bool made_folder = ::mkdir(folder.c_str(), 0755) == 0;
  if (!made_folder && errno != EEXIST)
    return errno_error("create the directory " + event::printable(folder));
  KNELL_TRY(remove_stale_socket(address));
  KNELL_ASSIGN(UniqueFd fd, new_socket());
  KNELL_TRY(bind_with_mode(fd.get(), address, wanted.mode));
  SocketFile file(wanted.path, made_folder);
  set_group(wanted.path, wanted.group);
  if (::listen(fd.get(), kBacklog) != 0)
    return errno_error("listen on " + event::printable(wanted.path));
  return ListeningSocket{std::move(fd), wanted.path, std::move(file), false};
}

}  // namespace knell::daemon
