// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "compat/request.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "event/cn_message.h"

namespace knell::compat {
namespace {

Head head_of_bytes(std::span<const std::byte> bytes) {
  const iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  return head_of(&part, 1);
}

std::optional<Request> parse(std::span<const std::byte> bytes) {
  return parse_request(head_of_bytes(bytes));
}

TEST(Request, ReadsBothLengths) {
  const auto eight = parse(event::encode_request(KNELL_MCAST_LISTEN, 0x20000000, 9).bytes());
  ASSERT_TRUE(eight);
  EXPECT_EQ(eight->op, KNELL_MCAST_LISTEN);
  EXPECT_EQ(eight->mask, 0x20000000);
  EXPECT_EQ(eight->connector.ack, 9);
  const auto four = parse(event::encode_request(KNELL_MCAST_IGNORE, std::nullopt, 9).bytes());
  ASSERT_TRUE(four);
  EXPECT_EQ(four->op, KNELL_MCAST_IGNORE);
  EXPECT_EQ(four->mask, std::nullopt);
}

TEST(Request, IsReadFromSeveralParts) {
  const auto request = event::encode_request(KNELL_MCAST_LISTEN, 5, 9);
  std::vector<iovec> parts;
  for (const std::byte& byte : request.bytes())
    parts.push_back({.iov_base = const_cast<std::byte*>(&byte), .iov_len = 1});
  const auto parsed = parse_request(head_of(parts.data(), parts.size()));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->mask, 5);
}

TEST(Request, RefusesEverythingElse) {
  const auto request = event::encode_request(KNELL_MCAST_LISTEN, 5, 9);
  const auto bytes = request.bytes();
  for (size_t size = 0; size < bytes.size(); ++size) EXPECT_FALSE(parse(bytes.first(size))) << size;
  const auto changed = [&](size_t at) {
    std::vector<std::byte> other(bytes.begin(), bytes.end());
    other[at] ^= std::byte{2};
    return parse(other).has_value();
  };
  EXPECT_FALSE(changed(0));   // nlmsg_len
  EXPECT_FALSE(changed(16));  // idx
  EXPECT_FALSE(changed(20));  // val
  EXPECT_FALSE(changed(32));  // len
  EXPECT_TRUE(changed(4));    // nlmsg_type is ignored
}

TEST(Request, ParsesWhatMakeRequestMade) {
  Request like;
  like.connector.seq = 3;
  const RequestBytes made = make_request(like, KNELL_MCAST_LISTEN, 0x80000000, 77);
  const auto parsed = parse(std::span(made.bytes).first(made.size));
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->mask, 0x80000000);
  EXPECT_EQ(parsed->connector.ack, 77);
  EXPECT_EQ(parsed->connector.seq, 3);
  const RequestBytes four = make_request(like, KNELL_MCAST_LISTEN, std::nullopt, 77);
  EXPECT_EQ(four.size, 40);
}

TEST(Request, OwnNoncesDiffer) {
  const uint32_t first = own_nonce();
  EXPECT_NE(first, own_nonce());
  EXPECT_NE(first, 0);
}

}  // namespace
}  // namespace knell::compat
