// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "event/mask.h"

#include <gtest/gtest.h>
#include <knell/cn_proc.h>

#include <vector>

namespace knell::event {
namespace {

constexpr uint32_t kAll = KNELL_EVENT_ALL;
constexpr uint32_t kExit = KNELL_EVENT_EXIT;
constexpr uint32_t kNonzero = KNELL_EVENT_NONZERO_EXIT;

TEST(Mask, ParsesNamesAndAliases) {
  struct Case {
    const char* text;
    uint32_t mask;
  };
  for (const auto& [text, mask] : std::vector<Case>{
           {"fork", 0x1},
           {"exec", 0x2},
           {"uid", 0x4},
           {"gid", 0x40},
           {"sid", 0x80},
           {"ptrace", 0x100},
           {"comm", 0x200},
           {"nonzero-exit", 0x20000000},
           {"nonzero", 0x20000000},
           {"exitnonzero", 0x20000000},
           {"coredump", 0x40000000},
           {"core", 0x40000000},
           {"exit", 0x80000000},
           {"all", kAll},
           {"exec,exit", 0x80000002},
           {" exec , exit ", 0x80000002},
           {"EXEC", 0x2},
           {"exit,exit", 0x80000000},
           {"exit,nonzero", 0xa0000000},
       }) {
    const auto result = parse_mask(text);
    ASSERT_TRUE(result) << text << ": " << result.error().context;
    EXPECT_EQ(*result, mask) << text;
  }
}

TEST(Mask, RemovesNames) {
  EXPECT_EQ(parse_mask("-comm").value(), kAll & ~0x200u);
  EXPECT_EQ(parse_mask(" -comm").value(), kAll & ~0x200u);
  EXPECT_EQ(parse_mask("-comm,-fork").value(), kAll & ~0x201u);
  EXPECT_EQ(parse_mask("-exit").value(), kAll & ~(kExit | kNonzero));
  EXPECT_EQ(parse_mask("-exit,nonzero").value(), kAll & ~kExit);
  EXPECT_EQ(parse_mask("-nonzero").value(), kAll & ~kNonzero);
  EXPECT_EQ(parse_mask("all,-fork").value(), kAll & ~1u);
  EXPECT_EQ(parse_mask("exec,exit,-exec").value(), kExit);
  // A list that starts with a plain name starts from the empty mask
  EXPECT_EQ(parse_mask("exec,-fork").value(), 2u);
  EXPECT_EQ(parse_mask("- comm").value(), kAll & ~0x200u);
}

TEST(Mask, RefusesWithTheNearestName) {
  const auto wrong = parse_mask("exec,exot");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, EINVAL);
  EXPECT_EQ(
      wrong.error().context,
      "'exot' is not an event; did you mean 'exit'? (fork, exec, uid, gid, sid, ptrace, comm, "
      "nonzero-exit, coredump, exit, all)");
  EXPECT_EQ(parse_mask("banana").error().context,
            "'banana' is not an event (fork, exec, uid, gid, sid, ptrace, comm, nonzero-exit, "
            "coredump, exit, all)");
  EXPECT_NE(parse_mask("non-zero").error().context.find("'nonzero'"), std::string::npos);
}

TEST(Mask, RefusesEmptyNamesAndEmptyMasks) {
  for (const char* text : {"", " ", ",", "exec,", ",exec", "exec,,exit", "-", "exec,-"}) {
    const auto result = parse_mask(text);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().context.find("missing"), std::string::npos) << text;
  }
  for (const char* text : {"-all", "exec,-exec", "nonzero,-exit"}) {
    const auto result = parse_mask(text);
    ASSERT_FALSE(result) << text;
    EXPECT_NE(result.error().context.find("removes all events"), std::string::npos) << text;
  }
}

TEST(Mask, ParsesItsOwnText) {
  EXPECT_EQ(mask_text(kAll), "all");
  EXPECT_EQ(mask_text(0), "none");
  EXPECT_EQ(mask_text(0x400), "none");
  EXPECT_EQ(mask_text(kExit | 2), "exec,exit");
  EXPECT_EQ(mask_text(kAll & ~1u), "exec,uid,gid,sid,ptrace,comm,nonzero-exit,coredump,exit");
  for (uint32_t bit = 0; bit < 32; bit++) {
    const uint32_t mask = kAll & ~(1u << bit);
    EXPECT_EQ(parse_mask(mask_text(mask)).value(), mask);
    if ((kAll >> bit & 1) == 0) continue;
    EXPECT_EQ(parse_mask(mask_text(1u << bit)).value(), 1u << bit);
  }
}

TEST(Mask, TypeNames) {
  EXPECT_STREQ(type_name(KNELL_EVENT_EXIT), "exit");
  EXPECT_STREQ(type_name(KNELL_EVENT_COREDUMP), "coredump");
  EXPECT_STREQ(type_name(KNELL_EVENT_LOST), "lost");
  EXPECT_STREQ(type_name(KNELL_EVENT_NONE), "unknown");
  EXPECT_STREQ(type_name(KNELL_EVENT_ALL), "unknown");
}

}  // namespace
}  // namespace knell::event
