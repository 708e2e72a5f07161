// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "cli/columns.h"
#include "cli/view.h"

namespace knell::cli {

// Events as csv (RFC 4180, but lines end with a newline alone): the names of the columns, then a
// line for each event. A lost event is a line of the type lost, with the number in `ended`.
class CsvView final : public View {
 public:
  // `columns` empty: the usual ones.
  explicit CsvView(std::vector<Field> columns);
  void begin(std::string& out) override;
  void add(const knell_event& event, std::string& out) override;

 private:
  std::vector<Field> columns_;
};

}  // namespace knell::cli
