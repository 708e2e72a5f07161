// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "base/pid_namespace.h"
#include "base/unique_fd.h"

namespace knell::process {

// A cache of pid namespaces and the namespaces around each. It holds a descriptor of each
// namespace, since otherwise its inode number could soon be used for another. Not thread-safe.
class PidNamespaces {
 public:
  static constexpr size_t kMost = 128;  // descriptors held; chosen, not measured

  // The inode numbers of a namespace and of those around it, the innermost first, our own last.
  using From = Result<std::vector<uint32_t>> (*)(int ns_fd);
  explicit PidNamespaces(From from = pid_namespaces_from) : from_(from) {}

  // The inode numbers of the namespace `ns` and of its ancestors, as From returns them; nullptr:
  // unknown. Valid until the next call.
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

}  // namespace knell::process
