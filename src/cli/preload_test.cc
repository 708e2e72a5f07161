// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/preload.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace knell::cli {
namespace {

namespace fs = std::filesystem;

class Preload : public testing::Test {
 protected:
  Preload() {
    std::string folder = (fs::temp_directory_path() / "knell-preload-XXXXXX").string();
    folder_ = ::mkdtemp(folder.data());
  }
  ~Preload() override { fs::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& bytes) const {
    const fs::path path = folder_ / name;
    std::ofstream(path, std::ios::binary) << bytes;
    fs::permissions(path, fs::perms::owner_all);
    return path.string();
  }
  std::string self() const {
    std::ifstream file("/proc/self/exe", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static std::string refusal(const std::string& path) {
    const auto checked = check_preloadable(path);
    return checked ? "" : checked.error().message();
  }

  fs::path folder_;
};

TEST_F(Preload, AnOrdinaryProgramIsAccepted) { EXPECT_EQ(refusal("/proc/self/exe"), ""); }

TEST_F(Preload, TheInterpreterOfAScriptIsChecked) {
  const std::string program = write("program", self());
  EXPECT_EQ(refusal(write("script", "#! " + program + " -x\n")), "");
  EXPECT_EQ(refusal(write("plain", "echo hello\n")), "");  // run by /bin/sh
  EXPECT_NE(refusal(write("gone", "#!/no/such/interpreter\n")), "");
  const std::string loop = (folder_ / "loop").string();
  EXPECT_NE(refusal(write("loop", "#!" + loop + "\n")).find("whose interpreter is a script"),
            std::string::npos);
}

TEST_F(Preload, AProgramForAnotherMachineIsRefused) {
  std::string bytes = self();
  bytes[offsetof(Elf64_Ehdr, e_machine)] ^= 1;
  EXPECT_NE(refusal(write("other", bytes)).find("another architecture"), std::string::npos);
}

TEST_F(Preload, AStaticProgramIsRefused) {
  std::string bytes = self();
  bytes[offsetof(Elf64_Ehdr, e_phnum)] = 0;  // no program headers, so no loader either
  bytes[offsetof(Elf64_Ehdr, e_phnum) + 1] = 0;
  EXPECT_NE(refusal(write("static", bytes)).find("statically linked"), std::string::npos);
  EXPECT_NE(refusal(write("short", bytes.substr(0, 100))).find("statically"), std::string::npos);
}

TEST_F(Preload, AProgramForAnotherLibcIsRefused) {
  std::string bytes = self();
  const size_t at = bytes.find("/ld-linux");
  ASSERT_NE(at, std::string::npos);
  bytes.replace(at, 8, "/ld-musl");
  EXPECT_NE(refusal(write("musl", bytes)).find("ld-musl"), std::string::npos);
}

// Gives the first note of a copy of this program the name that Go's linker uses.
TEST_F(Preload, AGoProgramIsRefused) {
  std::string bytes = self();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  size_t renamed = 0;
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part;
    std::memcpy(&part, bytes.data() + header.e_phoff + i * sizeof part, sizeof part);
    if (part.p_type != PT_NOTE) continue;
    Elf64_Nhdr note;
    std::memcpy(&note, bytes.data() + part.p_offset, sizeof note);
    if (note.n_namesz != sizeof "GNU") continue;
    std::memcpy(bytes.data() + part.p_offset + sizeof note, "Go\0", 4);
    ++renamed;
  }
  if (renamed == 0) GTEST_SKIP() << "this program has no notes";
  const std::string program = write("go", bytes);
  EXPECT_NE(refusal(program).find("Go program"), std::string::npos) << refusal(program);
  EXPECT_NE(refusal(write("script", "#!" + program + "\n")).find("Go"), std::string::npos);
  EXPECT_TRUE(check_preloadable(program, Go::kAllow));
}

// Note sizes beyond the end of the file must not be read.
TEST_F(Preload, TruncatedNotesAreIgnored) {
  std::string bytes = self();
  Elf64_Ehdr header;
  std::memcpy(&header, bytes.data(), sizeof header);
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part;
    std::memcpy(&part, bytes.data() + header.e_phoff + i * sizeof part, sizeof part);
    if (part.p_type != PT_NOTE) continue;
    const Elf64_Nhdr note{.n_namesz = UINT32_MAX, .n_descsz = UINT32_MAX, .n_type = 4};
    std::memcpy(bytes.data() + part.p_offset, &note, sizeof note);
  }
  EXPECT_EQ(refusal(write("cut", bytes)), "");
}

TEST_F(Preload, AProgramThatGainsPrivilegesIsRefused) {
  if (::getuid() != 0) GTEST_SKIP() << "needs root, to give files away";
  const std::string program = write("program", self());
  ASSERT_EQ(::chown(program.c_str(), 12345, 54321), 0);
  ASSERT_EQ(::chmod(program.c_str(), 04755), 0);
  EXPECT_NE(refusal(program).find("set-user-ID"), std::string::npos);
  ASSERT_EQ(::chmod(program.c_str(), 02755), 0);
  EXPECT_NE(refusal(program).find("set-group-ID"), std::string::npos);
  // Without group execute permission this bit is not set-group-ID
  ASSERT_EQ(::chmod(program.c_str(), 02745), 0);
  EXPECT_EQ(refusal(program), "");
  ASSERT_EQ(::chown(program.c_str(), 0, 0), 0);
  ASSERT_EQ(::chmod(program.c_str(), 06755), 0);  // changes no ids, since the test runs as root
  EXPECT_EQ(refusal(program), "");
}

}  // namespace
}  // namespace knell::cli
