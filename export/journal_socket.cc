// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/journal_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

namespace knell::exporter {

int JournalSocket::connect() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return -errno;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path_.size() >= sizeof address.sun_path) return -ENAMETOOLONG;
  std::memcpy(address.sun_path, path_.c_str(), path_.size());
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return -errno;
  fd_ = std::move(fd);
  return 0;
}

int JournalSocket::send(std::span<const std::string> fields) {
  if (!fd_) {
    if (const int error = connect(); error != 0) return error;
  }
  std::string datagram;
  for (const std::string& field : fields) datagram += field + "\n";
  if (::send(fd_.get(), datagram.data(), datagram.size(), MSG_NOSIGNAL) >= 0) return 0;
  const int error = errno;
  // A journald that was started again has another socket.
  if (error == ECONNREFUSED || error == ENOTCONN || error == ECONNRESET) fd_.reset();
  return -error;
}

}  // namespace knell::exporter
