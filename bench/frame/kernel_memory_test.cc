// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/kernel_memory.h"

#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.h"

namespace knell::bench {
namespace {

TEST(KernelMemory, CountsWhatIsQueuedInASocket) {
  const UniqueFd receiver(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  ASSERT_EQ(::bind(receiver.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(receiver.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  EXPECT_EQ(kernel_memory(::getpid()).netlink_bytes, 0u);
  const UniqueFd sender(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_USERSOCK));
  const std::array<char, 1000> bytes{};
  ASSERT_EQ(::sendto(sender.get(), bytes.data(), bytes.size(), 0,
                     reinterpret_cast<const sockaddr*>(&address), sizeof address),
            static_cast<ssize_t>(bytes.size()));
  EXPECT_GE(kernel_memory(::getpid()).netlink_bytes, bytes.size());
}

TEST(KernelMemory, NothingOfAProcessThatIsNot) { EXPECT_EQ(kernel_memory(-1).bytes(), 0u); }

}  // namespace
}  // namespace knell::bench
