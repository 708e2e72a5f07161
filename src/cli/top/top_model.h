// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cli/event_copy.h"
#include "cli/summary.h"
#include "cli/top/count_ring.h"
#include "cli/top/lives.h"

namespace knell::cli {

enum class GroupKey : uint8_t { kUnit, kName, kUser, kContainer };
constexpr size_t kGroupKeys = 4;
// "unit", "name", "user", "container".
std::string_view name_of(GroupKey key);

enum class GroupOrder : uint8_t { kRate, kTotal, kFailures };
constexpr size_t kGroupOrders = 3;
std::string_view name_of(GroupOrder order);

// An exit or a loss, in the order of the stream.
struct Death {
  uint64_t number = 0;  // consecutive
  EventCopy copy;

  const knell_event& event() const { return copy.event(); }
  bool is_loss() const { return event().type == KNELL_EVENT_LOST; }
};

// The last deaths. Reuses the memory of a death that is dropped.
class DeathRing {
 public:
  explicit DeathRing(size_t most) : most_(most) {}
  void add(uint64_t number, const knell_event& event);
  size_t size() const { return deaths_.size(); }
  bool full() const { return deaths_.size() == most_; }
  // 0 is the newest.
  const Death& newest(size_t i) const {
    return deaths_[(next_ + deaths_.size() - 1 - i) % deaths_.size()];
  }
  // The position of the death with this number, for newest(); size(): the ring no longer has it.
  size_t position_of(uint64_t number) const;

 private:
  size_t most_;
  size_t next_ = 0;  // position of the next one once the ring is full
  std::vector<Death> deaths_;
};

// The data of `knell top` about the processes of one stream: counts for each slot of time, counts
// and lifetimes for each group, and the last deaths. The memory is bounded: new groups replace
// those with the oldest last events. The caller passes the time. Copyable: a pause shows a copy.
// Not thread-safe.
class TopModel {
 public:
  static constexpr int64_t kSecondNs = 1'000'000'000;
  static constexpr size_t kGraphSlots = 256;

  struct Options {
    int64_t slot_ns = kSecondNs;  // the time that a column of the graph shows
    // Measured: 4096 deaths do not fit in the processor's cache, and then 10,000 deaths a second
    // cost twice as much.
    size_t most_deaths = 1024;
    size_t most_failures = 4096;  // an estimate: about 5 MB
    size_t most_groups = 512;     // for each key; an estimate: about 4 MB
  };
  struct Group {
    ProcessCounts total;
    CountRing<8> seconds;
    Lives lives;
    int64_t last_ns = 0;
  };
  // `name` is empty for processes that have no unit or container, or whose name is unknown.
  struct Row {
    std::string_view name;
    const Group* group;
    bool other = false;  // sum of the groups that were replaced
  };

  TopModel() : TopModel(Options{}) {}
  explicit TopModel(const Options& options);

  void add(const knell_event& event);

  const ProcessCounts& total() const { return total_; }
  const CountRing<kGraphSlots>& graph() const { return graph_; }
  int64_t slot_ns() const { return options_.slot_ns; }
  // The first `most` groups in this order. `now_ns`: CLOCK_REALTIME.
  std::vector<Row> rows(GroupKey key, GroupOrder order, int64_t now_ns, size_t most) const;
  size_t groups(GroupKey key) const { return tables_[static_cast<size_t>(key)].groups.size(); }
  // The sum of the last kRateSeconds full seconds.
  static constexpr int64_t kRateSeconds = 5;
  static ProcessCounts recent(const Group& group, int64_t now_ns);

  const DeathRing& deaths() const { return deaths_; }
  const DeathRing& failures() const { return failures_; }  // and losses
  const Losses& losses() const { return losses_; }
  // The exit of the process with this id; nullptr: it is not among the last deaths.
  const Death* find(const knell_id& id) const;
  // The other deaths of children of the same parent within a second before and after this one,
  // oldest first.
  std::vector<const Death*> siblings(const knell_event& exit) const;
  // Whether the ring has all deaths since this time.
  bool reaches_back_to(int64_t time_ns) const;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Groups = std::unordered_map<std::string, Group, Hash, std::equal_to<>>;
  // The group of the last event, since the next event often has the same one. Empty in a copy of a
  // table, since the pointers are into the original.
  struct LastGroup {
    LastGroup() = default;
    LastGroup(const LastGroup&) noexcept {}
    LastGroup& operator=(const LastGroup& other) noexcept {
      if (this != &other) name = nullptr;
      return *this;
    }
    ~LastGroup() = default;
    const std::string* name = nullptr;
    Group* group = nullptr;
  };
  struct Table {
    Groups groups;
    Group other;
    bool any_other = false;
    LastGroup last;
  };
  Group& group_of(GroupKey key, std::string_view name);
  void evict(Table& table) const;

  Options options_;
  ProcessCounts total_;
  CountRing<kGraphSlots> graph_;
  std::array<Table, kGroupKeys> tables_;
  DeathRing deaths_, failures_;
  uint64_t last_number_ = 0;
  Losses losses_;
};

}  // namespace knell::cli
