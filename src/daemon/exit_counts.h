// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/status.h"

namespace knell::daemon {

// Counts exits by systemd unit and by how the process ended, and, if configured, by name and
// container. Bounded: the first combinations seen keep their rows, so that a count never decreases;
// later ones are counted as "_other". Not thread-safe.
class ExitCounts {
 public:
  // Rows with their own unit; chosen, not measured: acceptable for a metrics collector. Beyond that
  // there is one row for each way to end, of which there are less than 400.
  static constexpr size_t kMost = 1000;
  // The number of different names, and of different containers; chosen, not measured.
  static constexpr size_t kMostNames = 100;

  struct Exit {
    std::string_view unit;             // may be empty
    std::string_view ended;            // as text, see event::ended_text()
    std::string_view comm, container;  // empty if exits are not counted by this value
  };
  void add(Exit exit);
  uint64_t nonzero() const { return nonzero_; }
  std::vector<Status::Exits> table() const;  // the most frequent first

 private:
  struct Key {
    std::string unit, ended, comm, container;
  };
  struct Less {
    using is_transparent = void;
    static auto view(const Key& key) {
      return std::array<std::string_view, 4>{key.unit, key.ended, key.comm, key.container};
    }
    static auto view(const Exit& key) {
      return std::array<std::string_view, 4>{key.unit, key.ended, key.comm, key.container};
    }
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
      return view(a) < view(b);
    }
  };
  using Names = std::set<std::string, std::less<>>;
  static std::string_view bounded(Names& names, std::string_view name);

  std::map<Key, uint64_t, Less> counts_;
  Names comms_, containers_;
  uint64_t nonzero_ = 0;
};

}  // namespace knell::daemon
