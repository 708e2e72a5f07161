// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/command_labels.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/timeline/history_for_test.h"

namespace knell::cli {
namespace {

class CommandLabelsTest : public testing::Test {
 protected:
  void run(const std::string& comm, const std::vector<std::string>& words) {
    std::string args;
    for (const std::string& word : words) args.append(word).push_back('\0');
    ++pid_;
    test_.start(pid_, 1).exec(pid_, 2, comm, args);
  }
  std::vector<std::string> labels() {
    test_.finish();
    CommandLabels labels(test_.history);
    const auto count = static_cast<uint32_t>(test_.history.processes().size());
    for (uint32_t i = 0; i < count; ++i) labels.add(i);
    std::vector<std::string> out;
    for (uint32_t i = 0; i < count; ++i) out.push_back(labels.label(i));
    return out;
  }
  using Labels = std::vector<std::string>;

 private:
  HistoryForTest test_;
  pid_t pid_ = 1;
};

TEST_F(CommandLabelsTest, HaveTheWordsThatFewOthersHave) {
  run("gcc", {"gcc", "-O2", "-c", "-o", "a.o", "a.c"});
  run("gcc", {"gcc", "-O2", "-c", "-o", "b.o", "b.c"});
  run("gcc", {"gcc", "-O2", "-c", "-o", "b.o", "b.c"});  // counts once
  run("cc1", {"cc1", "-O2", "a.c"});
  EXPECT_EQ(labels(), (Labels{"gcc a.c", "gcc b.c", "gcc b.c", "cc1 -O2 a.c"}));
}

TEST_F(CommandLabelsTest, ShortenPathsAndFilesMadeOfOthers) {
  run("c++", {"c++", "-MF", "dir/a.cc.o.d", "-o", "dir/a.cc.o", "-c", "/home/a/src/a.cc"});
  run("c++", {"c++", "-MF", "dir/b.cc.o.d", "-o", "dir/b.cc.o", "-c", "/home/a/src/b.cc"});
  run("sh", {"sh", "-c", "cd /tmp/x && make"});
  run("as", {"as", "-o", "a.o", "/tmp/ccX.s"});
  run("as", {"as", "-o", "b.o", "/tmp/ccY.s"});
  run("cc1", {"cc1", "/tmp/ccZ.i"});
  run("gen", {"sh", "./gen", "/tmp/"});
  EXPECT_EQ(labels(), (Labels{"c++ a.cc", "c++ b.cc", "sh -c cd /tmp/x && make", "as a.o", "as b.o",
                              "cc1 ccZ.i", "gen /tmp/"}));
}

TEST_F(CommandLabelsTest, AreSafeToPrintAndShort) {
  run("a\x1b[31m", {"a", "b\nc"});
  run("long", {"long", std::string(1000, 'x')});
  run("", {});
  const Labels all = labels();
  EXPECT_EQ(all[0], "$'a\\x1b[31m' $'b\\x0ac'");
  EXPECT_EQ(all[1], "long " + std::string(74, 'x') + "…");
  EXPECT_EQ(all[2], "?");
}

TEST_F(CommandLabelsTest, OfManyWordsHaveTheFirst) {
  std::vector<std::string> words{"ld"};
  for (char c = 'a'; c <= 'z'; ++c) words.emplace_back(1, c);
  run("ld", words);
  EXPECT_EQ(labels(), (Labels{"ld a b c d e f g h"}));
}

}  // namespace
}  // namespace knell::cli
