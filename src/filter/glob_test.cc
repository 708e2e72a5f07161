// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "filter/glob.h"

#include <fnmatch.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "filter/naive_glob_for_test.h"

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
           {"[ab", "[ab", true},  // a `[` without `]` is a plain byte
           {"\\*", "*", true},
           {"\\*", "a", false},
           {"\\", "\\", true},
           {"/usr/*/ls", "/usr/local/bin/ls", true},
           {"*", ".hidden", true},
           {"caf\xe9", "caf\xe9", true},  // not UTF-8: bytes
       }) {
    EXPECT_EQ(Glob(pattern).matches(text), matches) << pattern << " on " << text;
  }
}

// A `?` matches all bytes of a character, whatever follows it in the pattern.
TEST(Glob, CharactersOfSeveralBytes) {
  for (const auto& [pattern, text, matches] : std::vector<Case>{
           {"*?x*", "a\xc3\xa9x", true},
           {"*?\xa9*", "\xc3\xa9", false},
           {"*\xa9", "\xc3\xa9", true},
           {"?*\xa9", "\xc3\xa9", false},
           {"a*?", "a\xc3\xa9", true},
           {"a*??", "a\xc3\xa9", false},
           {"*?*c",
            "\xc3\xa9"
            "c",
            true},
       }) {
    EXPECT_EQ(Glob(pattern).matches(text), matches) << pattern << " on " << text;
    EXPECT_EQ(naive::glob_matches(pattern, text), matches) << pattern << " on " << text;
  }
}

std::string repeated(std::string_view part, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; i++) all += part;
  return all;
}

// Counts steps, which do not depend on the machine's load.
TEST(Glob, StepsAreLinearInTheText) {
  const std::vector<std::string> patterns{
      "*" + repeated("[", 999),            // 999 brackets without a `]`
      "*" + repeated("[", 999) + "*x",     //
      repeated("*a", 500) + "b",           //
      "*" + repeated("a", 1000) + "b*",    // a match may begin at each place of the text
      "*" + repeated("[ab]", 250) + "c*",  //
      "*" + repeated("?", 100) + "x*y",    //
      repeated("*aaab", 200),              //
      "*" + repeated("aab?", 200) + "*" + repeated("[!b]", 100),
  };
  const std::vector<std::string> letters{"a", "[", "ab", "\x80", "a\xc3\xa9", "aab"};
  for (const std::string& pattern : patterns) {
    const Glob glob(pattern);
    for (const std::string& letter : letters) {
      const std::string text = repeated(letter, 4096 / letter.size());
      const size_t steps = glob.steps_for_testing(text);
      EXPECT_LE(steps, glob.most_steps(text.size())) << pattern << " on " << letter;
      // For each byte of the text, at most the words of the longest segment between two stars.
      EXPECT_LE(steps, text.size() * (2 + pattern.size() / 64)) << pattern << " on " << letter;
      const size_t twice = glob.steps_for_testing(text + text);
      EXPECT_LE(twice, 2 * steps + 2 * pattern.size()) << pattern << " on " << letter;
    }
  }
}

TEST(Glob, CompilingIsLinearInThePattern) {
  EXPECT_TRUE(Glob(repeated("[", 1'000'000)).matches(repeated("[", 1'000'000)));
  EXPECT_TRUE(Glob(repeated("[!", 500'000)).matches(repeated("[!", 500'000)));
}

TEST(Glob, MemoryIsLinearInThePattern) {
  for (const char* part : {"*a", "*[ab]", "*?", "[a-z]", "*abcdefgh", "*[ab]bcde", "?"})
    EXPECT_LE(Glob(repeated(part, 500)).bytes(), 400 * 500 * std::string_view(part).size()) << part;
}

TEST(Glob, IsGlobFindsSpecialCharacters) {
  for (const char* glob : {"*", "a?", "[ab]", "\\*"}) EXPECT_TRUE(is_glob(glob));
  for (const char* plain : {"", "a b", "a]b", "!x"}) EXPECT_FALSE(is_glob(plain));
}

// Short strings over few letters, so that matches are common. Only well-formed brackets and
// escapes: the C library differs on malformed ones.
RC_GTEST_PROP(GlobProperty, AgreesWithTheCLibrary, ()) {
  const auto parts = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(
      std::vector<std::string>{"a", "b", "/", "*", "?", "[ab]", "[!a]", "[a-c]", "\\*", "."}));
  const auto letters =
      *rc::gen::container<std::string>(rc::gen::elementOf(std::string("aabbc/.*")));
  std::string pattern;
  for (size_t i = 0; i < parts.size() && i < 10; i++) pattern += parts[i];
  RC_ASSERT(Glob(pattern).matches(letters) == (fnmatch(pattern.c_str(), letters.c_str(), 0) == 0));
}

// Also what is not compared with the C library: brackets without `]`, escapes, malformed
// characters, and segments longer than a machine word.
RC_GTEST_PROP(GlobProperty, AgreesWithTheNaiveGlob, ()) {
  const auto parts =
      *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(std::vector<std::string>{
          "a", "b", "ab", "*", "*", "?", "[", "]", "[ab]", "[!a]", "[^]b]", "[a-c", "\\", "-",
          "\xc3", "\xa9", "abababababababababababababababab"}));
  const auto letters = *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(
      std::vector<std::string>{"a", "b", "ab", "[", "]", "\\", "-", "\xc3\xa9", "\xa9", "\xc3",
                               "abababababababababababababababab"}));
  std::string pattern, text;
  for (const std::string& part : parts) pattern += part;
  for (const std::string& letter : letters) text += letter;
  const Glob glob(pattern);
  RC_ASSERT(glob.matches(text) == naive::glob_matches(pattern, text));
  RC_ASSERT(glob.steps_for_testing(text) <= glob.most_steps(text.size()));
}

}  // namespace
}  // namespace knell::filter
