// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Durable listeners, as the journal knows them: what each wants, and up to which event it is done.
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "filter/predicates.h"
#include "journal/block.h"
#include "journal/database.h"

namespace knell::journal {

// One durable listener. Names of different owners are independent.
struct DurableName {
  std::string name;
  uint32_t owner = 0;  // uid
  uint32_t mask = 0;
  std::vector<filter::Predicate> predicates = {};
  int64_t acked = 0;                    // seq: this event and all before it are done
  int64_t created_ns = 0, used_ns = 0;  // CLOCK_REALTIME
  // Events that it wants, that are not acknowledged, and that the retention has deleted.
  uint64_t dropped = 0;
  uint32_t dropped_types = 0;
  bool dropped_exact = true;  // false: at most so many, since `under` cannot be decided any more
  bool operator==(const DurableName&) const = default;
};

// The rows of the table `durable`, in memory as well. Changes are part of the transaction that the
// database is in; after it was rolled back, load() again.
class DurableNames {
 public:
  // Errors: EBADMSG a row is damaged; those of SQLite. Then nothing is changed.
  Result<void> load(Database& database);

  const std::vector<DurableName>& all() const { return names_; }
  const DurableName* find(uint32_t owner, std::string_view name) const;
  // Adds the name, or replaces it. Errors: EINVAL of predicates; those of SQLite.
  Result<void> put(DurableName name);
  // Errors: ENOENT.
  Result<void> remove(uint32_t owner, std::string_view name);
  // Everything up to `seq` is done. A lower seq than before changes nothing. `oldest`: seq of the
  // oldest event that is left. Errors: ENOENT.
  Result<void> acknowledge(uint32_t owner, std::string_view name, int64_t seq, int64_t oldest,
                           int64_t now_ns);

  // Whether any name has not acknowledged this event.
  bool is_pending(int64_t seq) const;
  // Counts the events of a block that is about to be deleted. `decode` fills an event; false: it
  // cannot be decoded, so it is counted for every name whose mask it may pass.
  using Decode = std::function<bool(const Record& record, knell_event& event)>;
  Result<void> on_delete(BlockReader& block, const Decode& decode);
  // The same for a block that cannot be read.
  Result<void> on_delete_damaged(int64_t last_seq);

 private:
  struct Compiled {
    filter::Predicates predicates;
    bool has_roots = false;
  };
  Result<void> store(const DurableName& name);
  static Result<Compiled> compile(const DurableName& name);
  size_t index_of(uint32_t owner, std::string_view name) const;
  void count(size_t index, const Record& record, const knell_event* event);

  std::vector<DurableName> names_;
  std::vector<Compiled> compiled_;  // of names_
  Statement insert_, delete_;
};

}  // namespace knell::journal
