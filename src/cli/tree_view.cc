// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/tree_view.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <knell/knell.hpp>
#include <utility>

#include "base/duration.h"
#include "cli/command_column.h"
#include "cli/summary.h"
#include "cli/table.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using std::chrono::nanoseconds;

// On a terminal at least this wide, USER and UNIT are wide.
constexpr size_t kWideScreen = 116;
constexpr size_t kLevelColumns = 2;
// Columns reserved for the command, beside the lines of the tree; chosen, not measured, as in
// table.cc.
constexpr size_t kCommandColumns = 26;
// limit of the depth if lines are not cut; chosen, not measured
constexpr size_t kMostLevels = 40;

struct Branches {
  std::string_view child, last, through, past;
};
constexpr Branches kUtf8{.child = "├─", .last = "└─", .through = "│ ", .past = "  "};
constexpr Branches kAscii{.child = "|-", .last = "`-", .through = "| ", .past = "  "};

// kthreadd, the parent of all kernel threads, and a kernel thread: they have no program, so no
// arguments.
bool is_kthreadd(const knell_event& event) {
  return event.pid == 2 && event.ppid == 0 && event.args.data == nullptr &&
         view(event.comm) == "kthreadd";
}

bool is_kernel_thread(const knell_event& event) {
  return event.ppid == 2 && event.args.data == nullptr && view(event.parent_comm) == "kthreadd";
}

std::string ended_text(const knell_event& event, uint64_t now_ns) {
  const auto ago =
      nanoseconds(now_ns > event.mono_ns ? static_cast<int64_t>(now_ns - event.mono_ns) : 0);
  return fmt::format("{}, {} ago", event_text(event), duration_text(ago));
}

}  // namespace

bool is_utf8_locale() {
  const locale_t locale = ::newlocale(LC_CTYPE_MASK, "", nullptr);
  if (locale == nullptr) return false;
  const bool utf8 = std::string_view(::nl_langinfo_l(CODESET, locale)) == "UTF-8";
  ::freelocale(locale);
  return utf8;
}

void TreeView::lay_out(const ProcessTree& tree) {
  const bool wide = options_.screen.columns == 0 || options_.screen.columns >= kWideScreen;
  columns_ = {{Field::kPid, "PID", 7},
              {Field::kUser, "USER", wide ? size_t{10} : 8},
              {Field::kUnit, "UNIT", wide ? size_t{16} : 10},
              {Field::kAge, "AGE", 6}};
  const auto drop = [&](Field field) {
    std::erase_if(columns_, [&](const Column& column) { return column.field == field; });
  };
  bool units = false;
  for (uint32_t i = 0; i < tree.size() && !units; ++i) units = !short_unit(tree[i].event()).empty();
  if (!units) drop(Field::kUnit);
  const auto measure = [&] {
    command_at_ = 0;
    for (const Column& column : columns_) command_at_ += column.width + kColumnGap;
    return command_at_;
  };
  for (const Field field : {Field::kUnit, Field::kUser, Field::kAge}) {
    if (measure() + kCommandColumns <= limit()) break;
    drop(field);
  }
  measure();
  const size_t taken = command_at_ + kCommandColumns;
  most_levels_ = limit() > taken ? (limit() - taken) / kLevelColumns : 1;
  most_levels_ = std::clamp<size_t>(most_levels_, 1, kMostLevels);
}

void TreeView::add_header(std::string& out) const {
  std::string line;
  for (const Column& column : columns_)
    append_padded(line, column.title, column.width + kColumnGap);
  line += "COMMAND";
  if (options_.screen.columns != 0) line = cut(line, options_.screen.columns);
  paint(out, line, Colour::kBold, options_.screen);
  out += '\n';
}

int64_t TreeView::age_ns(const knell_event& event) const {
  if ((event.has & KNELL_HAS_DURATION) != 0)
    return static_cast<int64_t>(event.duration_ns & INT64_MAX);
  if (event.id.kind != KNELL_ID_START) return -1;
  static const auto ticks_per_second = static_cast<uint64_t>(::sysconf(_SC_CLK_TCK));
  const uint64_t born_ns = event.id.start * (1'000'000'000 / ticks_per_second);
  const uint64_t then_ns = event.mono_ns + options_.boot_ahead_ns;
  return then_ns > born_ns ? static_cast<int64_t>(then_ns - born_ns) : 0;
}

std::string TreeView::value(const Column& column, const ProcessTree::Node& node) const {
  const knell_event& event = node.event();
  switch (column.field) {
    case Field::kPid:
      return node.repeats == 1 ? fmt::format("{}", event.pid) : std::string();
    case Field::kUser:
      return user_text(event);
    case Field::kUnit: {
      const std::string unit = short_unit(event);
      return unit.empty() ? "-" : unit;
    }
    case Field::kAge: {
      if (node.repeats != 1 && !node.alive()) return {};
      const int64_t age = age_ns(event);
      return age < 0 ? "-" : duration_text(nanoseconds(age));
    }
  }
  return {};
}

std::string TreeView::branches(const ProcessTree::Place& place) const {
  const Branches& lines = options_.utf8 ? kUtf8 : kAscii;
  std::string text;
  if (place.depth == 0) return text;
  if (place.depth > most_levels_)
    return fmt::format("+{}{}", place.depth, place.more.back() ? lines.child : lines.last);
  for (size_t level = 0; level + 1 < place.depth; ++level)
    text += place.more[level] ? lines.through : lines.past;
  return text += place.more.back() ? lines.child : lines.last;
}

// Marks failures with a character, so that they are visible without colours.
std::string TreeView::mark_of(const knell_event& event) const {
  if (!is_failure(event)) return {};
  return options_.utf8 ? "✗ " : "! ";
}

void TreeView::add_line(const ProcessTree& tree, const ProcessTree::Node& node,
                        const ProcessTree::Place& place, std::string_view note,
                        std::string& out) const {
  const Screen& screen = options_.screen;
  const knell_event& event = node.event();
  size_t used = 0;
  const auto add = [&](std::string_view text, Colour colour) {
    const std::string fits = screen.columns != 0 ? cut(text, limit() - used) : std::string(text);
    paint(out, fits, colour, screen);
    used += display_width(fits);
  };
  for (const Column& column : columns_) {
    const size_t end = std::min(used + column.width + kColumnGap, limit());
    const std::string text = value(column, node);
    add(screen.columns != 0 ? cut(text, column.width) : text, Colour::kNone);
    if (used < end) out.append(end - used, ' ');
    used = std::max(used, end);
  }
  add(branches(place), Colour::kDim);
  const auto add_ended = [&](const std::string& before, const knell_event& exit) {
    const Colour colour = colour_of(exit);
    add(before + ended_text(exit, options_.now_ns), colour);
    append_command_column(out, used, used + kColumnGap, exit,
                          command_text(exit) + std::string(note), colour, screen);
  };
  const std::string times = fmt::format(" {} {}", options_.utf8 ? "×" : "x", node.repeats);
  if (node.alive()) {
    add(command_text(event) + (node.repeats == 1 ? std::string(note) : times), Colour::kNone);
  } else if (node.repeats == 1) {
    add_ended(mark_of(event), event);
  } else if (node.failed != 0) {
    const knell_event& failed = tree[node.last_failed].event();
    add_ended(fmt::format("{}{}{}, {} failed, the last: ", mark_of(failed), printable(event.comm),
                          times, node.failed),
              failed);
  } else {
    add(fmt::format("{}{}, the last {}", printable(event.comm), times,
                    ended_text(tree[node.last].event(), options_.now_ns)),
        colour_of(event));
  }
  out += '\n';
}

void TreeView::show(ProcessTree& tree, std::string& out, size_t most_lines) {
  const size_t hidden = tree.hide([&](const knell_event& event) {
    return !options_.kernel_threads && is_kernel_thread(event);
  });
  const size_t all = tree.size() - hidden;
  if (!options_.each) {
    tree.collapse([](const knell_event& event) {
      // Processes that ended are grouped by name only: their arguments differ.
      std::string key(view(event.comm));
      if (event.type != KNELL_EVENT_EXIT) key.append(1, '\0').append(view(event.args));
      return key.append(1, '\0').append(user_text(event));
    });
  }
  lay_out(tree);
  add_header(out);
  size_t lines = 1, shown = 0;
  tree.walk([&](const ProcessTree::Node& node, const ProcessTree::Place& place) {
    std::string note;
    if (hidden != 0 && is_kthreadd(node.event()))
      note = fmt::format("  ({} kernel threads: --all shows them)", hidden);
    const size_t before = out.size();
    add_line(tree, node, place, note, out);
    lines += static_cast<size_t>(std::ranges::count(std::string_view(out).substr(before), '\n'));
    // The last line is reserved for the number of processes that are not shown.
    if (most_lines != 0 && lines >= most_lines) {
      out.resize(before);
      return ProcessTree::Next::kStop;
    }
    shown += node.repeats;
    return ProcessTree::Next::kGoOn;
  });
  if (shown == all) return;
  std::string line =
      fmt::format("{} more below; use predicates or --under to show fewer", all - shown);
  if (options_.screen.columns != 0) line = cut(line, options_.screen.columns);
  paint(out, line, Colour::kDim, options_.screen);
  out += '\n';
}

void TreeView::show_json(ProcessTree& tree, std::string& out) const {
  tree.walk([&](const ProcessTree::Node& node, const ProcessTree::Place& place) {
    const int64_t age = age_ns(node.event());
    out += fmt::format("{{\"alive\":{},\"depth\":{},\"age_ns\":{},", node.alive(), place.depth,
                       age < 0 ? "null" : std::to_string(age));
    const std::string json = knell::json(node.event());
    // Omits the members before `time`: `type` and `seq` are meaningless here.
    out += std::string_view(json).substr(json.find("\"time\":"));
    out += '\n';
    return ProcessTree::Next::kGoOn;
  });
}

}  // namespace knell::cli
