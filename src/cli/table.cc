// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <knell/knell.hpp>

#include "cli/command_column.h"
#include "cli/output_buffer.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

// At this width or above, columns may be wide, as long as kReservedCommandColumns are left.
constexpr size_t kWideScreen = 116;
// Room for "<- kill by 8103 bash (root)" beside a SIGKILL.
constexpr size_t kReservedCommandColumns = 26;

bool only_exits(uint32_t mask) {
  constexpr uint32_t kExits = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;
  return (knell_valid_event(mask) & ~kExits) == 0;
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

std::string user_text(const knell_event& event) {
  return or_dash(table_value(Field::kUser, event));
}

Colour colour_of(const knell_event& event) {
  if (event.type != KNELL_EVENT_EXIT) return Colour::kCyan;
  if ((event.has & KNELL_HAS_STATUS) == 0 || event.wait_status == 0) return Colour::kNone;
  return WIFSIGNALED(event.wait_status) ? Colour::kRed : Colour::kYellow;
}

void JsonView::add(const knell_event& event, std::string& out) { append_json_line(out, event); }

Table::Table(uint32_t mask, bool threads, const Screen& screen, std::vector<Field> chosen)
    : only_exits_(only_exits(mask)),
      threads_(threads),
      screen_(screen),
      chosen_(std::move(chosen)) {
  lay_out();
}

void Table::resize(const Screen& screen) {
  if (screen.columns == screen_.columns) return;
  screen_ = screen;
  lay_out();
}

std::string_view Table::title(Field field) const {
  return field == Field::kEnded && !only_exits_ ? "EVENT" : column_title(field);
}

void Table::lay_out() {
  if (!chosen_.empty()) {
    columns_.clear();
    for (const Field field : chosen_)
      columns_.push_back({field, title(field), column_width(field)});
    return;
  }
  const bool wide = screen_.columns == 0 || screen_.columns >= kWideScreen;
  columns_ = {{Field::kTime, "TIME", wide ? size_t{12} : 8},
              {Field::kPid, "PID", 7},
              {Field::kTid, "TID", 7},
              {Field::kParent, "PARENT", wide ? size_t{12} : 8},
              {Field::kUser, "USER", wide ? size_t{10} : 8},
              {Field::kUnit, "UNIT", wide ? size_t{16} : 10},
              {Field::kAge, "AGE", 6},
              {Field::kEnded, title(Field::kEnded),
               !wide         ? size_t{11}
               : only_exits_ ? 12
                             : 14}};
  const auto drop = [&](Field field) {
    std::erase_if(columns_, [&](const Column& c) { return c.field == field; });
  };
  if (!threads_) drop(Field::kTid);
  const auto measure = [&] {
    command_at_ = 0;
    for (const Column& column : columns_) command_at_ += column.width + kColumnGap;
    return command_at_;
  };
  for (const Field field :
       {Field::kParent, Field::kAge, Field::kTid, Field::kTime, Field::kUser, Field::kUnit}) {
    if (measure() + kReservedCommandColumns <= limit()) return;
    drop(field);
  }
  measure();
}

void Table::begin(std::string& out) {
  std::string line;
  for (const Column& column : columns_)
    append_padded(line, column.title, column.width + kColumnGap);
  if (chosen_.empty())
    line += column_title(Field::kCommand);
  else
    line.erase(line.find_last_not_of(' ') + 1);
  if (screen_.columns != 0) line = cut(line, screen_.columns);
  paint(out, line, Colour::kBold, screen_);
  out += '\n';
}

// Whether the column is cut only at the edge of the screen, not at its own width.
bool Table::cut_at_edge(const Column& column) const {
  return column.field == Field::kEnded || column.field == Field::kKiller ||
         (!chosen_.empty() && &column == &columns_.back());
}

void Table::add_lost(const knell_event& event, std::string& out) const {
  std::string line = clock_text(event.time_ns) + "  " + lost_text(event);
  if (screen_.columns != 0) line = cut(line, screen_.columns);
  paint(out, line, Colour::kMagenta, screen_);
  out += '\n';
}

size_t Table::add_columns(const knell_event& event, std::string& out) const {
  size_t used = 0;
  size_t gap = 0;  // blanks to put before the next value
  for (const Column& column : columns_) {
    if (limit() - used <= gap) break;
    const bool ended = column.field == Field::kEnded;
    const size_t room = limit() - used - gap;
    std::string text = or_dash(table_value(column.field, event));
    if (column.field == Field::kTime) text.resize(std::min(text.size(), column.width));
    if (screen_.columns != 0)
      text = cut(text, cut_at_edge(column) ? room : std::min(room, column.width));
    out.append(gap, ' ');
    paint(out, text, ended ? colour_of(event) : Colour::kNone, screen_);
    const size_t width = display_width(text);
    used += gap + width;
    gap = kColumnGap + (column.width > width ? column.width - width : 0);
  }
  return used;
}

void Table::add(const knell_event& event, std::string& out) {
  if (event.type == KNELL_EVENT_LOST) {
    add_lost(event, out);
    return;
  }
  const size_t used = add_columns(event, out);
  if (chosen_.empty())
    append_command_column(out, used, command_at_, event, command_text(event), colour_of(event),
                          screen_);
  out += '\n';
}

}  // namespace knell::cli
