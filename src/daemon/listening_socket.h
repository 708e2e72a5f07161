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
#include "handover/keeper.h"

namespace knell::daemon {

// The file of a socket created by this process. The destructor removes it, if it is still the same
// file.
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

  // If this process created the directory, changes its owner, so that the user can remove the file.
  Result<void> chown_folder(uid_t uid, gid_t gid) const;

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
struct ListeningSocket {
  UniqueFd fd;
  std::string path;
  SocketFile file;  // empty if systemd passed the socket
  // systemd has the socket: it may be a restart that ends this process
  bool passed = false;
};

// The socket passed by systemd, or by the earlier knelld, which opened it; nullopt if there is
// none. Errors: EINVAL: more than one socket, or the wrong type of socket.
Result<std::optional<ListeningSocket>> inherited_socket(handover::Keeper& keeper);
// Stores a socket that this process opened, for the next one.
void store_socket(handover::Keeper& keeper, const ListeningSocket& socket);

// Creates the socket, and its directory (0755) if it is missing. Replaces a socket file left by a
// daemon that no longer runs. Errors: EADDRINUSE: another daemon uses the socket.
Result<ListeningSocket> open_socket(const Config::Socket& wanted);

}  // namespace knell::daemon
