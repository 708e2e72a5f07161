// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/glob.h"

#include <fnmatch.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

namespace knell::filter {
namespace {

struct Case {
  std::string_view pattern, text;
  bool matches;
};

TEST(Glob, Cases) {
  for (const auto& [pattern, text, matches] : std::vector<Case>{
           {"", "", true},
           {"", "a", false},
           {"*", "", true},
           {"*", "any/thing", true},
           {"php-fpm*", "php-fpm8.2", true},
           {"php-fpm", "php-fpm8.2", false},
           {"*.service", "cron.service", true},
           {"a*b*c", "axxbyyc", true},
           {"a*b*c", "axxbyy", false},
           {"?", "a", true},
           {"?", "", false},
           {"??", "\xc3\xa9", false},  // one character of two bytes
           {"?", "\xc3\xa9", true},
           {"?x", "\xf0\x9f\x90\xa7x", true},
           {"[ab]c", "bc", true},
           {"[!ab]c", "bc", false},
           {"[^ab]c", "xc", true},
           {"[a-c]", "b", true},
           {"[a-c]", "d", false},
           {"[a-]", "-", true},
           {"[]]", "]", true},
           {"[!]]", "]", false},
           {"[\\]]", "]", true},
           {"[ab", "[ab", true},  // no bracket at all
           {"\\*", "*", true},
           {"\\*", "a", false},
           {"\\", "\\", true},
           {"/usr/*/ls", "/usr/local/bin/ls", true},
           {"*", ".hidden", true},
           {"caf\xe9", "caf\xe9", true},  // not UTF-8: bytes
       }) {
    EXPECT_EQ(glob_matches(pattern, text), matches) << pattern << " on " << text;
  }
}

TEST(Glob, ManyStarsStayQuick) {
  std::string pattern, text(100'000, 'a');
  for (int i = 0; i < 50; i++) pattern += "*a";
  EXPECT_TRUE(glob_matches(pattern, text));
  EXPECT_FALSE(glob_matches(pattern + "b", text));
}

TEST(Glob, KnowsItself) {
  for (const char* glob : {"*", "a?", "[ab]", "\\*"}) EXPECT_TRUE(is_glob(glob));
  for (const char* plain : {"", "a b", "a]b", "!x"}) EXPECT_FALSE(is_glob(plain));
}

// Short strings over few letters, so that matches are common. No `[` and `\`, where the C library
// differs on malformed patterns; well-formed brackets come whole.
RC_GTEST_PROP(GlobProperty, AgreesWithTheCLibrary, ()) {
  const auto parts = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(
      std::vector<std::string>{"a", "b", "/", "*", "?", "[ab]", "[!a]", "[a-c]", "\\*", "."}));
  const auto letters =
      *rc::gen::container<std::string>(rc::gen::elementOf(std::string("aabbc/.*")));
  std::string pattern;
  for (size_t i = 0; i < parts.size() && i < 10; i++) pattern += parts[i];
  RC_ASSERT(glob_matches(pattern, letters) == (fnmatch(pattern.c_str(), letters.c_str(), 0) == 0));
}

}  // namespace
}  // namespace knell::filter
