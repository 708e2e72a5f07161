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
#include "journal/block.h"
#include "journal/database.h"
#include "journal/durable_name.h"

namespace knell::journal {

// Events that a listener has acknowledged: an event, or a lost event that reported deleted ones.
struct Settled {
  int64_t seq = 0;
  uint64_t deleted = 0;  // how many deleted events it reported; 0: it is an event of the journal
};

// What an acknowledgement says besides its seq.
struct Acknowledged {
  std::vector<Settled> events = {};  // empty: not known
  int64_t oldest_pending_ns = 0;     // a bound of the time of the events after them; 0: not known
};

// The rows of the table `durable`, in memory as well. Changes are part of the transaction that the
// database is in; after it was rolled back, load() again.
class DurableNames {
 public:
  // Errors: EBADMSG a row is damaged; those of SQLite. Then nothing is changed.
  Result<void> load(Database& database);

  // The rows of any journal that are intact. Errors: those of SQLite.
  static Result<std::vector<DurableName>> read_intact(Database& database);

  const std::vector<DurableName>& all() const { return names_; }
  const DurableName* find(uint32_t owner, std::string_view name) const;
  // Adds the name, or replaces it. Errors: EINVAL of predicates; those of SQLite.
  Result<void> put(DurableName name);
  // Errors: ENOENT.
  Result<void> remove(uint32_t owner, std::string_view name);
  // Everything up to `seq` is done. A lower seq than before changes nothing. `oldest`: seq of the
  // oldest event that is left; `newest`: of the newest event. Errors: ENOENT.
  struct Range {
    int64_t oldest = 0, newest = 0;
  };
  Result<void> acknowledge(uint32_t owner, std::string_view name, int64_t seq, Range journal,
                           int64_t now_ns, const Acknowledged& what = {});

  // Counts an event that was appended with this seq. flush() writes the rows that it changed.
  void on_append(const knell_event& event, int64_t seq);
  Result<void> flush();
  // Whether any name has not acknowledged this event.
  bool is_pending(int64_t seq) const;
  // Counts the events of a block that is about to be deleted. `decode` fills an event; false: it
  // cannot be decoded, so it is counted for every name whose mask it may pass.
  using Decode = std::function<bool(const Record& record, knell_event& event)>;
  Result<void> on_delete(BlockReader& block, const Decode& decode);
  // The same for a block that cannot be read.
  Result<void> on_delete_damaged(int64_t last_seq);

 private:
  Result<void> store(const DurableName& name);
  size_t index_of(uint32_t owner, std::string_view name) const;
  void count(size_t index, const Record& record, int64_t seq, const knell_event* event);

  std::vector<DurableName> names_;
  std::vector<DurableFilter> filters_;  // of names_
  std::vector<bool> changed_;           // of names_: by on_append()
  Statement insert_, delete_;
};

}  // namespace knell::journal
