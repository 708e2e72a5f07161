// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/view.h"

namespace knell::cli {

// The table for people, one line an event:
//
//   TIME          PID   PARENT    USER      UNIT            AGE    ENDED         COMMAND
//   03:12:01.412  7889  bash      root      cron            2ms    exit 1        grep -q nosuch
//   /etc/passwd
//
// On a terminal a line is never wider than the window: columns grow narrow, then the less telling
// ones are left out, and the command ends with `…`. Elsewhere nothing is cut: a value that outgrows
// its column moves the rest along.
class Table final : public View {
 public:
  // `mask`: the events that may come; with others than exits, the column ENDED is called EVENT.
  Table(uint32_t mask, bool threads, const Screen& screen);

  void begin(std::string& out) override;
  void add(const knell_event& event, std::string& out) override;
  void resize(const Screen& screen) override;

 private:
  enum class Field { kTime, kPid, kTid, kParent, kUser, kUnit, kAge, kEnded };
  struct Column {
    Field field;
    std::string_view title;
    size_t width;
  };
  void lay_out();
  void add_lost(const knell_event& event, std::string& out) const;
  std::string value(Field field, const knell_event& event) const;

  bool only_exits_;
  bool threads_;
  Screen screen_;
  std::vector<Column> columns_;
};

}  // namespace knell::cli
