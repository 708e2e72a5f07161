// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <string>

namespace knell::test {

// A new memory cgroup with a limit, of either version; not ok() if it cannot be created. It must be
// empty when the object is destroyed.
class SmallCgroup {
 public:
  explicit SmallCgroup(size_t bytes) {
    name_ = "/knell-test-" + std::to_string(::getpid());
    for (const char* base : {"/sys/fs/cgroup/memory", "/sys/fs/cgroup"}) {
      const std::string path = base + name_;
      if (::mkdir(path.c_str(), 0700) != 0) continue;
      path_ = path;
      const bool limited = write("memory.max", bytes) || write("memory.limit_in_bytes", bytes);
      if (limited) {
        (void)(write("memory.swap.max", 0) || write("memory.memsw.limit_in_bytes", bytes));
        return;
      }
      ::rmdir(path.c_str());
      path_.clear();
    }
  }
  SmallCgroup(const SmallCgroup&) = delete;
  SmallCgroup& operator=(const SmallCgroup&) = delete;
  ~SmallCgroup() {
    if (!path_.empty()) ::rmdir(path_.c_str());
  }
  bool ok() const { return !path_.empty(); }
  const std::string& name() const { return name_; }  // its path in the hierarchy
  std::string procs() const { return path_ + "/cgroup.procs"; }
  bool enter() const { return write("cgroup.procs", 0); }  // the calling process

 private:
  bool write(const char* file, size_t value) const {
    std::ofstream out(path_ + "/" + file);
    out << value << std::flush;
    return static_cast<bool>(out);
  }
  std::string name_, path_;
};

}  // namespace knell::test
