// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/listen_address.h"

#include <gtest/gtest.h>

namespace knell::exporter {
namespace {

TEST(ListenAddress, IsANumericAddressAndAPort) {
  for (const char* text : {"127.0.0.1:9437", "0.0.0.0:1", "[::1]:9437", "[::]:0"}) {
    const auto address = ListenAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
}

TEST(ListenAddress, NothingElseReachesTheServer) {
  for (const char* text :
       {"", "9437", ":9437", "localhost:9437", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
        "127.0.0.1:9437s", "127.0.0.1:80,0.0.0.0:81", "+9437", "::1:9437", "[127.0.0.1]:1", "[]:1",
        "x127.0.0.1:1", "127.0.0.1:-1", "127.0.0.1: 1"})
    EXPECT_FALSE(ListenAddress::parse(text)) << text;
}

}  // namespace
}  // namespace knell::exporter
