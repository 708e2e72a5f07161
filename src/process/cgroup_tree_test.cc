// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/cgroup_tree.h"

#include <gtest/gtest.h>

namespace knell::process {
namespace {

// Inode numbers that no cgroup of this machine has.
constexpr uint64_t kTop = uint64_t{1} << 60, kBelow = kTop + 1, kOther = kTop + 2, kNew = kTop + 3;

std::string path_of(CgroupTree& tree, uint64_t inode) {
  const auto cgroup = tree.find(inode);
  return cgroup == nullptr ? "?" : cgroup->path;
}

TEST(CgroupTree, ScansInPieces) {
  CgroupTree at_once, in_pieces;
  at_once.scan();
  in_pieces.begin_scan();
  int pieces = 1;
  for (;; ++pieces) {
    ScanBudget one{.left = 1};
    if (in_pieces.scan_some(one)) break;
  }
  EXPECT_EQ(in_pieces.size(), at_once.size());
  EXPECT_TRUE(pieces > 1 || at_once.size() <= 1);
}

TEST(CgroupTree, ARenameChangesThePathsBelow) {
  CgroupTree tree;
  tree.change({.inode = kTop, .path = "/top"});
  tree.change({.inode = kBelow, .path = "/top/a.service"});
  tree.change({.inode = kOther, .path = "/top2"});
  tree.change({.inode = kTop, .path = "/new", .renamed = true});
  EXPECT_EQ(path_of(tree, kTop), "/new");
  EXPECT_EQ(path_of(tree, kBelow), "/new/a.service");
  EXPECT_EQ(tree.find(kBelow)->unit, "");
  EXPECT_EQ(path_of(tree, kOther), "/top2");
}

TEST(CgroupTree, ARenameWithoutOldPathDropsAllEntries) {
  CgroupTree tree;
  tree.change({.inode = kBelow, .path = "/top/below"});
  tree.change({.inode = kTop, .path = "/new", .renamed = true});
  EXPECT_EQ(path_of(tree, kBelow), "?");
  EXPECT_EQ(path_of(tree, kTop), "/new");
}

TEST(CgroupTree, ALongPathIsJoinedWithItsParent) {
  CgroupTree tree;
  const std::string top = "/" + std::string(1000, 't'), below(200, 'b');
  tree.change({.inode = kTop, .path = top});
  tree.change({.inode = kBelow, .path = below, .parent = kTop});
  EXPECT_EQ(path_of(tree, kBelow), top + "/" + below);
  tree.change({.inode = kNew, .path = "x", .parent = kOther});
  EXPECT_EQ(path_of(tree, kNew), "?") << "its parent is unknown";
}

}  // namespace
}  // namespace knell::process
