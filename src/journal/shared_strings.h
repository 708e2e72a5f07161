// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "journal/record.h"

namespace knell::journal {

// The texts that the writer stores once for many records. A text gets a number when it comes for
// the second time. Numbers are relative to base(); the id of a text in the file is its number plus
// base(). Not thread-safe.
class SharedStrings final : public TextNumbers {
 public:
  static constexpr size_t kMost = 16'384;          // picked: then is_full()
  static constexpr size_t kMostBytes = 2'097'152;  // of all texts
  static constexpr size_t kMostTextBytes = 1'024;  // longer strings are seldom repeated
  static constexpr size_t kLeastTextBytes = 3;     // a shorter text takes no more than a number

  explicit SharedStrings(int64_t base);

  std::optional<uint32_t> number_of(std::string_view text) override;
  // Calls visit(id, text) for each text that got a number since the last call of stored().
  template <class F>
  void for_each_new(F visit) const {
    for (size_t i = stored_; i < texts_.size(); ++i)
      visit(base_ + static_cast<int64_t>(i), std::string_view(*texts_[i]));
  }
  void stored() { stored_ = texts_.size(); }
  int64_t base() const { return base_; }
  // No further text gets a number: call restart() before the next block.
  bool is_full() const { return texts_.size() >= kMost || bytes_ >= kMostBytes; }
  // Forgets all texts. The next ids begin at next_id(), or at `base`.
  void restart() { restart(next_id()); }
  void restart(int64_t base);
  int64_t next_id() const { return base_ + static_cast<int64_t>(texts_.size()); }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const;
  };

  int64_t base_;
  std::unordered_map<std::string, uint32_t, Hash, std::equal_to<>> numbers_;
  std::vector<const std::string*> texts_;  // keys of numbers_, by number
  size_t stored_ = 0;                      // of texts_
  size_t bytes_ = 0;
  // Hashes of texts that came once, at a place that follows from the hash; a later text replaces an
  // earlier one.
  std::vector<size_t> once_;
};

}  // namespace knell::journal
