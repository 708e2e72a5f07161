// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/receiver.h"

#include <cerrno>

#include "event/cn_message.h"

namespace knell::source {

Receiver::Receiver() {
  for (size_t i = 0; i < kBatch; i++) {
    vectors_[i] = {bytes_[i].data(), kRoom};
    headers_[i].msg_hdr.msg_iov = &vectors_[i];
    headers_[i].msg_hdr.msg_iovlen = 1;
    headers_[i].msg_hdr.msg_name = &senders_[i];
  }
}

Receiver::Fill Receiver::fill(int fd) {
  next_ = count_ = 0;
  for (mmsghdr& header : headers_) header.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
  int count;
  do {
    count = ::recvmmsg(fd, headers_.data(), kBatch, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  emptied_ = count < static_cast<int>(kBatch);
  if (count > 0) {
    count_ = static_cast<size_t>(count);
    return Fill::kSome;
  }
  if (count == 0 || errno == EAGAIN) return Fill::kEmpty;
  return errno == ENOBUFS ? Fill::kOverflow : Fill::kBroken;
}

std::optional<event::Raw> Receiver::next() {
  while (next_ < count_) {
    const size_t i = next_++;
    const msghdr& header = headers_[i].msg_hdr;
    // Only the address proves that the kernel sent it: a process with CAP_NET_ADMIN can send any
    // bytes to this socket.
    if (header.msg_namelen != sizeof(sockaddr_nl) || senders_[i].nl_pid != 0) continue;
    if ((header.msg_flags & MSG_TRUNC) != 0) continue;
    if (auto raw = event::decode({bytes_[i].data(), headers_[i].msg_len})) return raw;
  }
  return std::nullopt;
}

}  // namespace knell::source
