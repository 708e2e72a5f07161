// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/pid_scan.h"
#include "base/unique_fd.h"
#include "process/cgroup.h"

namespace knell::process {

// The hierarchy number in /proc/PID/cgroup that cgroup_path() uses: systemd's own hierarchy on
// hybrid machines; 0: the unified one.
int32_t systemd_hierarchy();

// A cgroup was created, or it and all cgroups below it have another path from now on.
struct CgroupChange {
  uint64_t inode = 0;     // inode number of its directory
  std::string_view path;  // from the root of its hierarchy
  uint64_t parent = 0;    // not 0: `path` is only a name below the cgroup with this inode
  bool renamed = false;
};

// Cgroups by the inode number of their directory, for sources that do not report paths. Covers the
// hierarchy of systemd_hierarchy(). Not thread-safe.
class CgroupTree {
 public:
  static constexpr size_t kMost =
      65'536;  // chosen, not measured: then the table is cleared and filled again

  // Finds the mount point of the hierarchy. Without a mount only cgroups given to learn() are
  // known.
  CgroupTree();
  // Adds all existing cgroups. In pieces: begin_scan(), then scan_some() until it returns true.
  void scan();
  void begin_scan();
  bool scan_some(ScanBudget& budget);
  // The inode of the cgroup that has this path now; 0: there is none.
  uint64_t inode_of(const std::string& path) const;
  // Adds a cgroup; `path` starts at the root of the hierarchy.
  void learn(uint64_t inode, std::string_view path);
  // A cgroup was created or renamed.
  void change(const CgroupChange& change);
  // nullptr: unknown, and it does not exist any more. Valid until the next call of any method.
  const std::shared_ptr<const Cgroup>& find(uint64_t inode);
  size_t size() const { return known_.size(); }

 private:
  struct DirCloser {
    void operator()(DIR* dir) const { ::closedir(dir); }
  };
  struct Folder {
    std::unique_ptr<DIR, DirCloser> dir;
    std::string path;  // empty: the root
  };

  void enter(int directory, const char* name, std::string path);
  void know(uint64_t inode, std::string_view path);
  void rename(uint64_t inode, std::string_view path);
  void find_mount();
  std::string path_of(uint64_t inode) const;

  int32_t hierarchy_ = 0;
  UniqueFd mount_;
  std::string mount_path_;
  std::vector<Folder>
      scan_;  // open directories of the running scan, from the root down; empty: no scan runs
  Cgroups interned_;
  std::unordered_map<uint64_t, std::shared_ptr<const Cgroup>> known_;
  // The entry that find() returned last: events often come in runs from one cgroup. Null after any
  // change of known_.
  const std::pair<const uint64_t, std::shared_ptr<const Cgroup>>* last_ = nullptr;
};

}  // namespace knell::process
