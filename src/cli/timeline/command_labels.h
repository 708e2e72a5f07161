// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cli/timeline/process_history.h"

namespace knell::cli {

// Labels of processes that are short and still tell processes of one name apart: the name, and
// those words of the command line that most other command lines with this name do not have. Of a
// path, only the last part; temporary files only where there is nothing else. Of 40 compilations by
// gcc, one is "gcc parser.c". The history must outlive it.
class CommandLabels {
 public:
  explicit CommandLabels(const ProcessHistory& history) : history_(history) {}

  // Call add() for all processes that are compared, then label(). A process that was not added has
  // a label, too.
  void add(uint32_t process);
  // Safe to print. "?" for a process of which no name is known.
  std::string label(uint32_t process) const;

 private:
  struct Commands {  // the command lines with one name
    std::unordered_set<uint32_t> args;
    std::unordered_map<std::string_view, uint32_t> words;  // how many command lines have a word
  };
  std::vector<std::string_view> rare_words(const PastProcess& process) const;

  const ProcessHistory& history_;
  std::unordered_map<uint32_t, Commands> by_name_;
};

}  // namespace knell::cli
