// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/memory_limit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace knell {
namespace {

constexpr const char* kSecond =
    "25 20 0:22 / /proc rw - proc proc rw\n30 20 0:26 / /cg rw shared:4 - cgroup2 cgroup2 rw\n";
constexpr const char* kFirst =
    "30 20 0:26 / /cg/systemd rw - cgroup cgroup rw,name=systemd\n"
    "31 20 0:27 / /cg/memory rw - cgroup cgroup rw,memory\n";
constexpr uint64_t kMiB = 1 << 20;

class MemoryLimit : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(below_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(below_); }
  void write(const std::string& path, const std::string& text) {
    const std::filesystem::path file = below_ + path;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file) << text << '\n';
  }
  std::optional<uint64_t> limit(const char* cgroups, const char* mountinfo) const {
    return memory_limit_of(cgroups, mountinfo, below_);
  }
  std::string below_ = "/tmp/knell-limit-XXXXXX";
};

TEST_F(MemoryLimit, IsTheLowestOfAllAncestors) {
  write("/cg/a/memory.max", "67108864");
  write("/cg/a/b/memory.max", "max");
  write("/cg/a/b/c/memory.max", "134217728");
  EXPECT_EQ(limit("0::/a/b/c\n", kSecond), 64 * kMiB);
  EXPECT_EQ(limit("0::/a/b\n", kSecond), 64 * kMiB);
  EXPECT_EQ(limit("0::/\n", kSecond), std::nullopt);
}

TEST_F(MemoryLimit, ReadsTheMemoryControllerOfVersion1) {
  write("/cg/memory/memory.limit_in_bytes", "9223372036854771712");
  write("/cg/memory/ci/memory.limit_in_bytes", "62914560");
  EXPECT_EQ(limit("4:cpu,memory:/ci\n1:name=systemd:/other\n0::/\n", kFirst), 60 * kMiB);
  EXPECT_EQ(limit("4:memory:/\n", kFirst), std::nullopt);
}

// A container without its own cgroup namespace has such mounts.
TEST_F(MemoryLimit, ReadsOnlyCgroupsThatAreMounted) {
  write("/cg/memory.max", "1048576");
  write("/cg/inner/memory.max", "max");
  const char* mounted = "30 20 0:26 /docker/abc /cg rw - cgroup2 cgroup2 rw\n";
  EXPECT_EQ(limit("0::/docker/abc/inner\n", mounted), kMiB);
  EXPECT_EQ(limit("0::/docker/abcd/inner\n", mounted), std::nullopt)
      << "the limit of another cgroup";
}

TEST_F(MemoryLimit, NoKnownLimitIsNullopt) {
  EXPECT_EQ(limit("", ""), std::nullopt);
  EXPECT_EQ(limit("0::/a\n", kSecond), std::nullopt);
  EXPECT_EQ(limit("nonsense\n0:\n::\n", "nonsense - \n"), std::nullopt);
  (void)memory_limit();
}

}  // namespace
}  // namespace knell
