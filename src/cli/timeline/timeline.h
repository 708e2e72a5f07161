// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/format.h"
#include "cli/timeline/buffered_writer.h"
#include "cli/timeline/command_labels.h"
#include "cli/timeline/critical_chain.h"
#include "cli/timeline/picture.h"
#include "cli/timeline/process_history.h"

namespace knell::cli {

// "0.31s", "12.4s", "2h5m"; short ones "2ms", "350us".
std::string length_text(uint64_t ns);

// What the writers of all formats need: a finished history, and the texts about it. All texts are
// valid UTF-8 without control characters, but may contain markup: a process chooses its arguments.
// The history must outlive it.
class Timeline {
 public:
  // `title`: what was recorded; `origin`: when and how.
  Timeline(const ProcessHistory& history, std::string title, std::string origin);

  const ProcessHistory& history() const { return history_; }
  const PastProcess& operator[](uint32_t process) const { return history_.processes()[process]; }
  const std::vector<ChainStep>& chain() const { return chain_; }
  const std::string& title() const { return title_; }
  const std::string& origin() const { return origin_; }

  Picture picture(const MergeRule& rule) const {
    return make_picture(history_, children_, chain_, rule);
  }
  std::string name(uint32_t process) const;
  std::string ended(uint32_t process) const;      // "exit 1", "still running"
  std::string ancestors(uint32_t process) const;  // " <- gcc <- make"
  // The labels of the processes of the picture and of the lists at its top.
  CommandLabels labels(const Picture& picture) const;
  // How long the process lived; nullopt: its start or its end is unknown.
  std::optional<uint64_t> life_ns(uint32_t process) const;
  // length_text(); "more than 0.31s" where the start or the end is unknown.
  std::string life_text(uint32_t process) const;
  // In the order of their ends.
  std::vector<uint32_t> failures() const;
  // The steps of the chain with the longest times of their own, longest first.
  std::vector<ChainStep> longest_steps(size_t most) const;
  // "12.4s, 3412 processes, 2 failed, 0 lost", and what is not shown.
  std::string facts(const Picture* picture) const;

 private:
  const ProcessHistory& history_;
  std::string title_, origin_;
  ChildIndex children_;
  std::vector<ChainStep> chain_;
};

// The writers. `most` is MergeRule::most; perfetto merges nothing.
Outcome<void> write_html(const Timeline& timeline, size_t most, BufferedWriter& writer);
Outcome<void> write_svg(const Timeline& timeline, size_t most, BufferedWriter& writer);
Outcome<void> write_perfetto(const Timeline& timeline, BufferedWriter& writer);

// `bars`: the number of bars asked for; 0: the default of the format.
Outcome<void> write_timeline(const Timeline& timeline, Format format, size_t bars,
                             BufferedWriter& writer);

}  // namespace knell::cli
