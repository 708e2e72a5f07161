// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/pid_namespace.h"
#include "base/unique_fd.h"

namespace knell::watch {

// Which pid namespaces are around others, remembered. One that is remembered is held, since its
// inode number would soon be another's else. Not thread-safe.
class PidNamespaces {
 public:
  static constexpr size_t kMost = 128;  // descriptors held; picked, never tuned

  // The inode numbers of a namespace and of those around it, the innermost first; ours ends it.
  using From = Result<std::vector<uint32_t>> (*)(int ns_fd);
  explicit PidNamespaces(From from = pid_namespaces_from) : from_(from) {}

  // nullptr: it could not be found out. Lives until the next call.
  const std::vector<uint32_t>* around(UniqueFd ns);
  void forget() { known_.clear(); }

 private:
  struct Known {
    UniqueFd ns;
    std::vector<uint32_t> inodes;
  };
  From from_;
  std::unordered_map<uint64_t, Known> known_;  // by inode
};

}  // namespace knell::watch
