// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "daemon/config.h"

namespace knell::daemon {

// A name of ours in the file system. Taken away in the end, if it is still ours then.
class SocketFile {
 public:
  SocketFile() = default;
  SocketFile(std::string path, bool made_folder);
  SocketFile(SocketFile&& other) noexcept { swap(other); }
  SocketFile& operator=(SocketFile&& other) noexcept {
    SocketFile(std::move(other)).swap(*this);
    return *this;
  }
  ~SocketFile();

  // A folder that we made becomes this user's, so that the file can be taken away by it.
  Result<void> give_folder_to(uid_t uid, gid_t gid) const;

 private:
  void swap(SocketFile& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(device_, other.device_);
    std::swap(inode_, other.inode_);
    std::swap(made_folder_, other.made_folder_);
  }

  std::string path_;  // empty: there is none
  dev_t device_ = 0;
  ino_t inode_ = 0;
  bool made_folder_ = false;
};

// The listening socket, AF_UNIX and SOCK_SEQPACKET, non-blocking.
struct Listening {
  UniqueFd fd;
  std::string path;
  SocketFile file;  // names nothing when the socket was handed over
};

// The one socket that systemd hands over ($LISTEN_FDS, sd_listen_fds(3)); nullopt when none is.
// Errors: EINVAL, a whole sentence: more than one, or not such a socket.
Result<std::optional<Listening>> inherited_socket();

// Makes the socket, and its folder (0755) where it is missing. A file left by a daemon that is gone
// is replaced. Errors: EADDRINUSE, a whole sentence, when somebody answers there.
Result<Listening> open_socket(const Config::Socket& wanted);

}  // namespace knell::daemon
