// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/id.h"

#include <gtest/gtest.h>

namespace knell::event {
namespace {

TEST(Id, Text) {
  EXPECT_EQ(id_text({0x00c0ffee, 42, 123456, KNELL_ID_START}).view(), "00c0ffee-42-123456");
  EXPECT_EQ(id_text({0xdeadbeef, 42, 7, KNELL_ID_STAMP}).view(), "deadbeef-42-x7");
  EXPECT_EQ(id_text({0xdeadbeef, 42, 7, KNELL_ID_NONE}).view(), "");
}

TEST(Id, IsEmptyWithoutTheBootId) {
  EXPECT_EQ(id_text({0, 42, 123456, KNELL_ID_START}).view(), "");
  EXPECT_EQ(id_text({0, 42, 7, KNELL_ID_STAMP}).view(), "");
}

TEST(Id, TheLongestFits) {
  const IdText text = id_text({UINT32_MAX, INT32_MIN, UINT64_MAX, KNELL_ID_STAMP});
  EXPECT_EQ(text.view(), "ffffffff--2147483648-x18446744073709551615");
  EXPECT_LT(text.size, size_t{KNELL_ID_TEXT_BYTES});
}

}  // namespace
}  // namespace knell::event
