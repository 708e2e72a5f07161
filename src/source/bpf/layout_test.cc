// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cctype>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <string>

#include "source/bpf/record.h"

namespace knell::source {
namespace {

// The text without comments (of two slashes) and white space.
std::string code_of(const std::string& name) {
  std::ifstream file(std::string(KNELL_SOURCE_DIR "/src/source/bpf/") + name);
  EXPECT_TRUE(file.good()) << name;
  std::string code;
  for (std::string line; std::getline(file, line);)
    for (const char c : line.substr(0, line.find("//")))
      if (std::isspace(static_cast<unsigned char>(c)) == 0) code += c;
  return code;
}

uint64_t fnv(const std::string& text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

// After an upgrade, knelld mixes the programs of two versions with the same KNELL_LAYOUT.
TEST(Layout, HasAnotherNumberWhenTheFormatsChange) {
  static_assert(KNELL_LAYOUT == 1);
  EXPECT_EQ(fnv(code_of("record.h") + code_of("maps.bpf.inc")), 0x35c840ef471e97d5U)
      << "record.h or maps.bpf.inc has changed. If programs of the last release cannot use these "
         "maps together with the new ones, or the reader does not understand their records, then "
         "raise KNELL_LAYOUT. Then store this number here.";
}

}  // namespace
}  // namespace knell::source
