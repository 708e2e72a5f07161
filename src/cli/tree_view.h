// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/process_tree.h"
#include "cli/screen.h"

namespace knell::cli {

// Whether the locale of the environment has UTF-8.
bool is_utf8_locale();

// A ProcessTree for people, one process a line:
//
//   PID      USER      UNIT        AGE     COMMAND
//   1        root      init.scope  6d      /sbin/init
//   812      root      cron        6d      ├─cron -f
//   7889     root      cron        2ms     │ └─✗ exit 1, 1s ago  grep -q nosuch /etc/passwd
//   8091     postgres  postgresql  3h12m   └─✗ SIGKILL, 2s ago  <- kill by 8103 bash (root)
//   postgres
//
// Siblings of one name that ended share a line if they are many, with what is below them: `cc × 9`,
// `cc1 × 9`; those that failed have lines of their own, unless these are many, too: `cc × 214, 7
// failed`. So do siblings that are alive with the same arguments, if nothing is below them. Then
// PID is empty, and AGE is that of the oldest that is alive.
//
// AGE is the time since the birth of a process; of one that has ended how long it lived. On a
// terminal no line is wider than the window: UNIT, USER and AGE are left out where it is narrow,
// and the command ends with `…`. The cause of an end is never cut (see command_column.h). Where the
// lines of the tree would take too much room, the depth is given as a number: `+57`.
class TreeView {
 public:
  struct Options {
    Screen screen;
    // The locale has UTF-8; else the tree is drawn with ASCII characters
    bool utf8 = true;
    bool kernel_threads = false;  // show kernel threads; else only their number
    bool each = false;            // show each of the processes that repeat
    uint64_t now_ns = 0;          // CLOCK_MONOTONIC
    uint64_t boot_ahead_ns = 0;   // CLOCK_BOOTTIME less CLOCK_MONOTONIC
  };
  explicit TreeView(const Options& options) : options_(options) {}

  // Appends the tree with a header, as text of at most `most_lines` lines; 0: no limit. What does
  // not fit is counted, not formatted.
  void show(ProcessTree& tree, std::string& out, size_t most_lines = 0);
  // Appends each process as one JSON object on a line: the members of its event, without `type` and
  // `seq`, and `alive`, `depth` and `age_ns` before them.
  void show_json(ProcessTree& tree, std::string& out) const;

 private:
  enum class Field : uint8_t { kPid, kUser, kUnit, kAge };
  struct Column {
    Field field;
    std::string_view title;
    size_t width;
  };
  void lay_out(const ProcessTree& tree);
  void add_header(std::string& out) const;
  void add_line(const ProcessTree& tree, const ProcessTree::Node& node,
                const ProcessTree::Place& place, std::string_view note, std::string& out) const;
  std::string mark_of(const knell_event& event) const;
  std::string value(const Column& column, const ProcessTree::Node& node) const;
  std::string branches(const ProcessTree::Place& place) const;
  // The age of the process at the time of the event; below 0: unknown.
  int64_t age_ns(const knell_event& event) const;
  size_t limit() const { return options_.screen.columns != 0 ? options_.screen.columns : SIZE_MAX; }

  Options options_;
  std::vector<Column> columns_;
  size_t command_at_ = 0;  // the width of all columns
  size_t most_levels_ = 0;
};

}  // namespace knell::cli
