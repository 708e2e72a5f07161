// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/columns.h"
#include "cli/view.h"

namespace knell::cli {

// The name of the event's user, else the uid; "-": neither is known.
std::string user_text(const knell_event& event);
// The colour of how it ended; kCyan: an event that is no exit.
Colour colour_of(const knell_event& event);

// The table for people, one event a line. Without chosen columns:
//
//   TIME          PID   USER      UNIT           ENDED        COMMAND
//   03:12:01.412  7889  root      cron           exit 1       grep -q nosuch /etc/passwd
//   03:12:04.102  8091  postgres  postgresql@15  SIGKILL      <- kill by 8103 bash (root)  sleep 9
//
// The cause of an exit stands before the command. On a terminal a line is never wider than the
// window: columns become narrow, then columns are left out (PARENT first, USER and UNIT last), and
// the command ends with `…`. How a process ended, and the cause, are never cut (see
// command_column.h). Without a terminal nothing is cut: a value wider than its column moves the
// rest of the line to the right. Chosen columns are never left out; the last one, ended and killer
// are cut only at the edge of the window.
class Table final : public View {
 public:
  // `mask`: the events that may come. If it has others than exits, the column ENDED is called
  // EVENT. `chosen`: the columns; empty: the usual ones.
  Table(uint32_t mask, bool threads, const Screen& screen, std::vector<Field> chosen = {});

  void begin(std::string& out) override;
  void add(const knell_event& event, std::string& out) override;
  void resize(const Screen& screen) override;

 private:
  struct Column {
    Field field;
    std::string_view title;
    size_t width;
  };
  void lay_out();
  std::string_view title(Field field) const;
  size_t limit() const { return screen_.columns != 0 ? screen_.columns : SIZE_MAX; }
  void add_lost(const knell_event& event, std::string& out) const;
  // Appends the columns; returns their width without blanks behind the last one.
  size_t add_columns(const knell_event& event, std::string& out) const;
  bool cut_at_edge(const Column& column) const;

  bool only_exits_;
  bool threads_;
  Screen screen_;
  std::vector<Field> chosen_;
  std::vector<Column> columns_;
  size_t command_at_ = 0;  // the width of all columns
};

}  // namespace knell::cli
