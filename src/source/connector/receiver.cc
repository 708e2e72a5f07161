// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/connector/receiver.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "event/cn_message.h"

namespace knell::source {

Receiver::Receiver(handover::Intake* kept) : kept_(kept) {}

Receiver::Fill Receiver::fill(int fd) {
  if (kept_ == nullptr) count_ = 0;
  next_ = count_;
  for (size_t i = 0; i < kBatch; i++) {
    vectors_[i] = {bytes(next_ + i), kRoom};
    mmsghdr& one = header(next_ + i);
    one = {};
    one.msg_hdr.msg_iov = &vectors_[i];
    one.msg_hdr.msg_iovlen = 1;
    one.msg_hdr.msg_name = sender(next_ + i);
    one.msg_hdr.msg_namelen = sizeof(sockaddr_nl);
  }
  int count;
  do {
    count = ::recvmmsg(fd, &header(next_), kBatch, MSG_DONTWAIT, nullptr);
  } while (count < 0 && errno == EINTR);
  emptied_ = count < static_cast<int>(kBatch);
  if (count > 0) {
    count_ += static_cast<size_t>(count);
    return Fill::kSome;
  }
  if (count == 0 || errno == EAGAIN) return Fill::kEmpty;
  return errno == ENOBUFS ? Fill::kOverflow : Fill::kBroken;
}

std::optional<event::Raw> Receiver::next() {
  while (next_ < count_) {
    const size_t i = next_++;
    const msghdr& one = header(i).msg_hdr;
    // Only the address proves that the kernel sent it: a process with CAP_NET_ADMIN can send any
    // bytes to this socket.
    sockaddr_nl from{};
    std::memcpy(&from, sender(i), sizeof from);
    if (one.msg_namelen != sizeof from || from.nl_pid != 0) continue;
    if ((one.msg_flags & MSG_TRUNC) != 0) continue;
    if (auto raw = event::decode({bytes(i), header(i).msg_len})) return raw;
  }
  return std::nullopt;
}

// Killed before `cycle` rises: then all slots were consumed, so it does not matter which are free.
void Receiver::saved() {
  if (kept_ == nullptr || next_ != count_ || count_ == 0) return;
  for (size_t i = 0; i < count_; i++) kept_->headers[i].msg_len = 0;
  kept_->cycle.fetch_add(1, std::memory_order_release);
  next_ = count_ = 0;
}

void Receiver::restore(uint64_t cycle, uint64_t consumed) {
  next_ = kept_->cycle == cycle ? std::min<uint64_t>(consumed, kept_->kSlots) : 0;
  count_ = next_;
  while (count_ < kept_->kSlots && kept_->headers[count_].msg_len != 0 &&
         kept_->headers[count_].msg_len <= kRoom)
    ++count_;
}

}  // namespace knell::source
