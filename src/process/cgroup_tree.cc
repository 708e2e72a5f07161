// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A kernfs inode number identifies one cgroup until the machine is rebooted, so an entry never
// becomes wrong. A cgroup that no event and no scan reported is found by its inode number: a cgroup
// file system opens a directory by a file handle that consists of nothing but this number.
#include "process/cgroup_tree.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <charconv>
#include <cstring>
#include <fstream>
#include <sstream>

#include "base/cgroup_mount.h"

namespace knell::process {
namespace {

constexpr size_t kDeepest = 32;  // chosen, not measured: deeper than cgroups are nested in practice
constexpr int kKernfsHandle = 0xfe;  // kernel FILEID_KERNFS, linux/exportfs.h
constexpr const char* kNamed = "name=systemd";

}  // namespace

int32_t systemd_hierarchy() {
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.find(kNamed) == std::string::npos) continue;
    int32_t number = 0;
    std::from_chars(line.data(), line.data() + line.size(), number);
    return number;
  }
  return 0;
}

CgroupTree::CgroupTree() : hierarchy_(systemd_hierarchy()) { find_mount(); }

void CgroupTree::find_mount() {
  std::ifstream file("/proc/self/mountinfo");
  std::ostringstream text;
  text << file.rdbuf();
  for (const CgroupMount& mount : cgroup_mounts(text.str(), hierarchy_ == 0 ? "" : kNamed)) {
    if (mount.root != "/") continue;
    mount_ = UniqueFd(::open(mount.point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    mount_path_ = mount.point;
    if (mount_) return;
  }
}

void CgroupTree::scan() {
  begin_scan();
  ScanBudget all;
  (void)scan_some(all);
}

void CgroupTree::begin_scan() {
  scan_.clear();
  if (!mount_) return;
  struct stat root{};
  if (::fstat(mount_.get(), &root) == 0) learn(root.st_ino, "/");
  enter(mount_.get(), ".", "");
}

void CgroupTree::enter(int directory, const char* name, std::string path) {
  UniqueFd fd(::openat(directory, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  DIR* const dir = fd ? ::fdopendir(fd.get()) : nullptr;
  if (dir == nullptr) return;
  (void)fd.release();  // closedir() closes it
  scan_.push_back({.dir = std::unique_ptr<DIR, DirCloser>(dir), .path = std::move(path)});
}

bool CgroupTree::scan_some(ScanBudget& budget) {
  while (!scan_.empty() && budget.left > 0) {
    const dirent* const entry = ::readdir(scan_.back().dir.get());
    if (entry == nullptr) {
      scan_.pop_back();
      continue;
    }
    if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
    budget.spend(1);
    std::string below = scan_.back().path + "/" + entry->d_name;
    // An entry that came from an event during the scan is newer than the scan.
    if (const auto known = known_.find(entry->d_ino);
        known == known_.end() || known->second == nullptr)
      learn(entry->d_ino, below);
    if (scan_.size() <= kDeepest)
      enter(::dirfd(scan_.back().dir.get()), entry->d_name, std::move(below));
  }
  return scan_.empty();
}

uint64_t CgroupTree::inode_of(const std::string& path) const {
  struct stat there{};
  const bool found = mount_ && ::stat((mount_path_ + path).c_str(), &there) == 0;
  return found ? there.st_ino : 0;
}

void CgroupTree::learn(uint64_t inode, std::string_view path) { know(inode, path); }

void CgroupTree::change(const CgroupChange& change) {
  std::string path(change.path);
  if (change.parent != 0) {
    const auto above = find(change.parent);
    path = above == nullptr     ? path_of(change.inode)
           : above->path == "/" ? "/" + path
                                : above->path + "/" + path;
  }
  if (change.renamed)
    rename(change.inode, path);
  else
    know(change.inode, path);
}

// An empty `path` is stored as null: the cgroup was removed before its path could be read.
void CgroupTree::know(uint64_t inode, std::string_view path) {
  last_ = nullptr;
  if (known_.size() >= kMost) known_.clear();
  known_[inode] = path.empty() ? nullptr : interned_.intern(path);
}

void CgroupTree::rename(uint64_t inode, std::string_view path) {
  last_ = nullptr;
  if (!scan_.empty())
    begin_scan();  // the scan may be inside this cgroup, where all paths have changed
  const auto found = known_.find(inode);
  const auto before = found == known_.end() ? nullptr : found->second;
  // If the old or the new path is unknown, the affected paths cannot be determined: drop all
  // entries; find() looks them up again.
  if (path.empty() || before == nullptr) {
    known_.clear();
    if (!path.empty()) know(inode, path);
    return;
  }
  const std::string below = before->path + "/";
  for (auto& [number, cgroup] : known_) {
    if (cgroup == nullptr || !cgroup->path.starts_with(below)) continue;
    cgroup = interned_.intern(std::string(path) + cgroup->path.substr(before->path.size()));
  }
  know(inode, path);
}

const std::shared_ptr<const Cgroup>& CgroupTree::find(uint64_t inode) {
  if (last_ != nullptr && last_->first == inode) return last_->second;
  auto known = known_.find(inode);
  if (known == known_.end()) {
    // A null is stored as well: a second look-up would fail, too.
    know(inode, inode == 0 ? std::string() : path_of(inode));
    known = known_.find(inode);
  }
  last_ = &*known;
  return last_->second;
}

std::string CgroupTree::path_of(uint64_t inode) const {
  if (!mount_) return {};
  alignas(file_handle) std::array<char, sizeof(file_handle) + sizeof inode> space{};
  auto* handle = reinterpret_cast<file_handle*>(space.data());
  handle->handle_bytes = sizeof inode;
  handle->handle_type = kKernfsHandle;
  std::memcpy(handle->f_handle, &inode, sizeof inode);
  const UniqueFd fd(::open_by_handle_at(mount_.get(), handle, O_PATH | O_CLOEXEC));
  if (!fd) return {};
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  if (size <= 0) return {};
  const std::string_view whole(path.data(), static_cast<size_t>(size));
  if (!whole.starts_with(mount_path_)) return {};
  const std::string_view below = whole.substr(mount_path_.size());
  return below.empty() ? "/" : std::string(below);
}

}  // namespace knell::process
