// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/timeline/timeline.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "base/duration.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

using End = PastProcess::End;

}  // namespace

std::string length_text(uint64_t ns) {
  const auto length = std::chrono::nanoseconds(static_cast<int64_t>(ns & INT64_MAX));
  constexpr std::chrono::milliseconds kShort(10);  // seconds_text() shows "0.00s"
  return length < kShort ? duration_text(length) : seconds_text(length);
}

Timeline::Timeline(const ProcessHistory& history, std::string title, std::string origin)
    : history_(history),
      title_(std::move(title)),
      origin_(std::move(origin)),
      children_(history),
      chain_(critical_chain(history, children_)) {}

std::string Timeline::name(uint32_t process) const {
  const PastProcess& p = (*this)[process];
  return p.name == 0 ? "?" : name_text(history_.text(p.name));
}

std::string Timeline::ended(uint32_t process) const {
  const PastProcess& p = (*this)[process];
  return p.end == End::kRunning ? "still running" : std::string(history_.text(p.ended));
}

std::string Timeline::ancestors(uint32_t process) const {
  constexpr size_t kDepth = 8;  // chosen, not measured
  std::string out;
  uint32_t at = process;
  for (size_t depth = 1; (*this)[at].parent != kNoProcess; ++depth) {
    if (depth == kDepth) return out + " <- …";
    at = (*this)[at].parent;
    out += " <- " + name(at);
  }
  if ((*this)[at].parent_name != 0)
    out += " <- " + name_text(history_.text((*this)[at].parent_name));
  return out;
}

CommandLabels Timeline::labels(const Picture& picture) const {
  CommandLabels labels(history_);
  for (const Bar& bar : picture.bars)
    if (!bar.merged()) labels.add(bar.process);
  for (const uint32_t process : failures()) labels.add(process);
  for (const ChainStep& step : chain_) labels.add(step.process);
  return labels;
}

std::optional<uint64_t> Timeline::life_ns(uint32_t process) const {
  const PastProcess& p = (*this)[process];
  if (!p.start_known || p.end == End::kRunning) return std::nullopt;
  return p.end_ns - p.start_ns;
}

std::string Timeline::life_text(uint32_t process) const {
  const PastProcess& p = (*this)[process];
  const std::string text = length_text(p.end_ns - p.start_ns);
  return life_ns(process) ? text : "more than " + text;
}

std::vector<uint32_t> Timeline::failures() const {
  std::vector<uint32_t> out;
  for (uint32_t i = 0; i < history_.processes().size(); ++i)
    if ((*this)[i].failed()) out.push_back(i);
  std::ranges::sort(out, {}, [&](uint32_t i) { return std::pair((*this)[i].end_ns, i); });
  return out;
}

std::vector<ChainStep> Timeline::longest_steps(size_t most) const {
  std::vector<ChainStep> out(chain_);
  std::ranges::sort(out, [](const ChainStep& a, const ChainStep& b) {
    return std::pair(b.own_ns, a.process) < std::pair(a.own_ns, b.process);
  });
  if (out.size() > most) out.resize(most);
  return out;
}

std::string Timeline::facts(const Picture* picture) const {
  const auto processes = history_.processes();
  const auto failed = std::ranges::count_if(processes, &PastProcess::failed);
  std::string out = fmt::format(
      "{}, {} process{}, {} failed, {}", length_text(history_.end_ns() - history_.begin_ns()),
      processes.size(), processes.size() == 1 ? "" : "es", failed, history_.losses().text());
  if (history_.left_out() != 0)
    out += fmt::format("; the processes after the first {} are not shown", processes.size());
  if (picture != nullptr && picture->merged != 0)
    out += fmt::format("; {} short processes are merged", picture->merged);
  return out;
}

Outcome<void> write_timeline(const Timeline& timeline, Format format, size_t bars,
                             BufferedWriter& writer) {
  constexpr size_t kMostHtml = 100'000;  // chosen: a page of some 30 MB
  constexpr size_t kMostSvg = 2'000;     // chosen: what can be read on paper
  switch (format) {
    case Format::kSvg:
      return write_svg(timeline, bars == 0 ? kMostSvg : bars, writer);
    case Format::kPerfetto:
      return write_perfetto(timeline, writer);
    default:
      return write_html(timeline, bars == 0 ? kMostHtml : bars, writer);
  }
}

}  // namespace knell::cli
