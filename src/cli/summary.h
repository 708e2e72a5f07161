// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <unordered_map>

namespace knell::cli {

// The sum of the losses of a stream, with how exactly it is known.
class Losses {
 public:
  void add(const knell_event& lost);
  bool any() const { return count_ != 0 || !counted_; }
  std::string text() const;  // "0 lost", "12 lost", "at most 12 lost", "at least 12 lost", "an
                             // unknown number lost"
  uint64_t count() const { return count_; }
  bool counted() const { return counted_; }  // every loss had a count
  bool exact() const { return exact_; }

 private:
  uint64_t count_ = 0;
  bool counted_ = true;
  bool exact_ = true;
};

// What was shown, for the closing line: " 4 shown, 12 lost; most: SIGKILL oom orders 1, ...".
class Summary {
 public:
  void add(const knell_event& event);
  // Cheaper than add(), for a caller that does not call text().
  void count(const knell_event& event);
  uint64_t shown() const { return shown_; }
  const Losses& losses() const { return losses_; }
  uint64_t recovered() const { return recovered_; }  // of shown()
  std::string text() const;

 private:
  // Number of kinds that are counted, to show the three most frequent; chosen, not measured
  static constexpr size_t kKinds = 4096;
  struct Kind {
    uint64_t count = 0;
    bool killed = false;  // of equal counts, signals come first
  };
  std::unordered_map<std::string, Kind> kinds_;
  uint64_t shown_ = 0, recovered_ = 0;
  Losses losses_;
};

// Whether it is an exit with a status other than 0; an unknown status is no failure.
inline bool is_failure(const knell_event& event) {
  return event.type == KNELL_EVENT_EXIT && (event.has & KNELL_HAS_STATUS) != 0 &&
         event.wait_status != 0;
}

// A short word for where a process belongs: its unit without .service, else the front of its
// container id; empty without either.
std::string short_unit(const knell_event& event);

}  // namespace knell::cli
