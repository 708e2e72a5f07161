// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "process/proc_reader.h"

namespace knell::process {

// For tests: a /proc tree written as one nested initializer, created in a temporary folder.
struct FakeProcess {
  int ppid = 1;
  uint64_t start = 0;  // clock ticks
  std::string comm = "test";
  std::string cmdline = "";  // with its NUL bytes
  int threads = 1;
  unsigned flags = 0;  // PF_*
  unsigned uid = 0;
  unsigned tty = 0;  // device number
  std::string cgroup = "0::/test.service\n";
  std::string exe = "/bin/test";
  int groups = 0;   // the number of its supplementary groups, each of ten digits
  int process = 0;  // a thread: the pid of its process; 0: this is a process
  // Its pids in the pid namespaces below ours, from the outermost.
  std::vector<event::NamespacePid> numbers = {};
};

// PidNamespaces::From for a FakeProc, whose ns/pid are files of inode numbers.
inline Result<std::vector<uint32_t>> fake_namespaces_from(int fd) {
  char text[256];
  const ssize_t size = ::pread(fd, text, sizeof text - 1, 0);
  if (size < 0) return errno_error("read a namespace of a test");
  text[size] = '\0';
  std::vector<uint32_t> inodes;
  std::istringstream words(text);
  for (uint32_t inode = 0; words >> inode;) inodes.push_back(inode);
  return inodes;
}

class FakeProc {
 public:
  explicit FakeProc(const std::map<int, FakeProcess>& processes = {}) {
    std::string name = std::filesystem::temp_directory_path() / "knell-proc-XXXXXX";
    root_ = ::mkdtemp(name.data());
    std::filesystem::create_directories(root_ / "self" / "ns");
    std::filesystem::create_symlink("pid:[1]", root_ / "self" / "ns" / "pid");
    for (const auto& [pid, process] : processes) add(pid, process);
  }
  ~FakeProc() { std::filesystem::remove_all(root_); }
  FakeProc(const FakeProc&) = delete;
  FakeProc& operator=(const FakeProc&) = delete;

  void add(int pid, const FakeProcess& p) {
    const auto dir = root_ / std::to_string(pid);
    std::filesystem::create_directories(dir);
    std::string stat = std::to_string(pid) + " (" + p.comm + ") S " + std::to_string(p.ppid);
    for (int field = 5; field < 20; ++field)
      stat += " " + std::to_string(field == 7 ? p.tty : field == 9 ? p.flags : 0);
    stat += " " + std::to_string(p.threads) + " 0 " + std::to_string(p.start);
    for (int field = 23; field <= 52; ++field) stat += " 0";
    std::ofstream(dir / "stat") << stat << "\n";
    std::ofstream(dir / "cmdline") << p.cmdline;
    std::ofstream(dir / "cgroup") << p.cgroup;
    const std::string uid = std::to_string(p.uid);
    std::string inner, chain = "1";  // 1: our namespace
    for (const event::NamespacePid& number : p.numbers) {
      inner += "\t" + std::to_string(number.nr);
      chain = std::to_string(number.ns) + " " + chain;
    }
    std::string groups;
    for (int i = 0; i < p.groups; ++i) groups += "4000000000 ";
    std::ofstream(dir / "status") << "Name:\tx\nTgid:\t" << (p.process == 0 ? pid : p.process)
                                  << "\nUid:\t" << uid << "\t7\t7\t7\nGid:\t" << uid
                                  << "\t7\t7\t7\nGroups:\t" << groups << "\nNSpid:\t" << pid
                                  << inner << "\n";
    std::filesystem::create_directories(dir / "ns");
    std::filesystem::remove(dir / "ns" / "pid");
    if (p.numbers.empty())
      std::filesystem::create_symlink("pid:[1]", dir / "ns" / "pid");
    else
      std::ofstream(dir / "ns" / "pid") << chain;
    std::filesystem::remove(dir / "exe");
    std::filesystem::create_symlink(p.exe, dir / "exe");
    std::filesystem::remove(dir / "cwd");
    std::filesystem::create_symlink("/tmp", dir / "cwd");
  }
  void remove(int pid) { std::filesystem::remove_all(root_ / std::to_string(pid)); }
  ProcReader reader() const { return *ProcReader::open(root_.c_str()); }

 private:
  std::filesystem::path root_;
};

}  // namespace knell::process
