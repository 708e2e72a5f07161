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
#include "event/cgroup.h"
#include "watch/cgroup.h"

namespace knell::watch {

// The number in /proc/PID/cgroup of the hierarchy that cgroup_path() takes: systemd's own on hybrid
// machines; 0: the unified one.
int32_t systemd_hierarchy();

// Cgroups by the inode of their directory, for sources that know no paths. Of
// systemd_hierarchy(). Not thread-safe.
class CgroupTree {
 public:
  static constexpr size_t kMost = 65'536;  // picked: then all are forgotten and learned anew

  // Finds where the hierarchy is mounted; without that nothing but what learn() was told is known.
  CgroupTree();
  // Learns all that are there now. In pieces: begin_scan(), then scan_some() until it is true.
  void scan();
  void begin_scan();
  bool scan_some(ScanBudget& budget);
  // Of the one that is there now; 0: none is.
  uint64_t inode_of(const std::string& path) const;
  // There is one: `path` from the root of its hierarchy.
  void learn(uint64_t inode, std::string_view path);
  // One was made, or renamed.
  void change(const event::CgroupChange& change);
  // nullptr: not known, and gone. Good until the next call of anything here.
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
  std::vector<Folder> scan_;  // where it is, from the root down; empty: there is none
  Cgroups interned_;
  std::unordered_map<uint64_t, std::shared_ptr<const Cgroup>> known_;
  // The last that was found: mostly the next one's, too. Null: none since something was learned.
  const std::pair<const uint64_t, std::shared_ptr<const Cgroup>>* last_ = nullptr;
};

}  // namespace knell::watch
