// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A static picture: title, failures, the longest steps of the critical chain, a scale, the bars. It
// has no script. Colour is never the only mark: a failure has a black corner and its text.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <unordered_map>
#include <utility>

#include "cli/text.h"
#include "cli/timeline/timeline.h"

namespace knell::cli {
namespace {

using End = PastProcess::End;

// Pixels.
constexpr double kWidth = 1200, kMargin = 16, kChart = kWidth - 2 * kMargin;
constexpr double kLane = 18, kBar = 15, kLine = 17, kCharacter = 6.3, kLeastWidth = 0.8;
constexpr double kLeastFailure = 4;  // of a failure, so that its mark can be seen
constexpr size_t kMostListed = 20;

constexpr std::string_view kStyle = R"(
text{font:11px "DejaVu Sans",Verdana,sans-serif;fill:#1b1f24}
.title{font-size:17px;font-weight:bold}.head{font-weight:bold}.dim{fill:#57606a}
rect{stroke:#fff;stroke-width:.5}a:hover text{text-decoration:underline}
.ok{fill:#9cc5e3}.failure{fill:#f0a350}.signal{fill:#e5705f}.oom{fill:#c08be0}
.running{fill:#d6dbe0;stroke:#57606a;stroke-dasharray:3 2}.unknown{fill:#c4cad0;stroke:#57606a}
.merged{fill:#e3ded2;stroke:#a39a85}
.mark,.chain{fill:#1b1f24;stroke:none}.grid{stroke:#d0d7de;stroke-width:1}
.page{fill:#fff;stroke:none}.open{stroke:#1b1f24;stroke-width:2;stroke-dasharray:2 2}
@media screen and (prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#9aa4ae}
.page{fill:#14181d}rect{stroke:#14181d}.open{stroke:#e6edf3}.grid{stroke:#30363d}.mark,.chain{fill:#e6edf3}
.ok{fill:#2f5f80}.failure{fill:#93570f}.signal{fill:#9a3327}.oom{fill:#6f3f92}
.running{fill:#30363d;stroke:#9aa4ae}.unknown{fill:#40474f;stroke:#9aa4ae}
.merged{fill:#39352b;stroke:#7d745f}}
)";

// For text and for values of attributes.
std::string xml_text(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    // U+FFFE and U+FFFF are UTF-8, but not allowed in XML.
    const std::string_view three = text.substr(i, 3);
    if (three == "\xef\xbf\xbe" || three == "\xef\xbf\xbf") {
      out += "\xef\xbf\xbd";
      i += 2;
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view class_of(End end) {
  static constexpr std::array<std::string_view, 6> kNames = {"running", "unknown", "ok",
                                                             "failure", "signal",  "oom"};
  return kNames[static_cast<size_t>(end)];
}

// 1, 2 or 5 times a power of ten, at least `least`.
uint64_t round_step(uint64_t least) {
  for (uint64_t step = 1;; step *= 10)
    for (const uint64_t factor : {1U, 2U, 5U})
      if (step * factor >= least) return step * factor;
}

class SvgWriter {
 public:
  SvgWriter(const Timeline& timeline, Picture picture, BufferedWriter& writer)
      : timeline_(timeline),
        picture_(std::move(picture)),
        labels_(timeline.labels(picture_)),
        writer_(writer),
        out_(writer.buffer()) {
    for (uint32_t i = 0; i < picture_.bars.size(); ++i)
      if (!picture_.bars[i].merged()) bar_of_[picture_.bars[i].process] = i;
  }

  Outcome<void> write() {
    write_head();
    write_failures();
    write_chain();
    write_legend();
    write_scale();
    for (uint32_t i = 0; i < picture_.bars.size(); ++i) {
      write_bar(i);
      KNELL_TRY(writer_.spill());
    }
    out_ += "</svg>\n";
    return writer_.finish();
  }

 private:
  double x_of(uint64_t ns) const {
    return kMargin + kChart * static_cast<double>(ns) /
                         static_cast<double>(std::max<uint64_t>(1, picture_.span_ns));
  }
  size_t listed_failures() const { return std::min(kMostListed, timeline_.failures().size()); }

  void text(std::string_view style, double x, std::string_view words) {
    out_ += fmt::format("<text class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n", style, x, y_,
                        xml_text(words));
  }
  void line(std::string_view style, std::string_view words) {
    y_ += kLine;
    constexpr auto kColumns = static_cast<size_t>(kChart / kCharacter);
    text(style, kMargin, cut(words, kColumns));
  }
  // A line that is a link to the bar of the process, if it has one.
  void linked_line(uint32_t process, std::string_view words) {
    const auto bar = bar_of_.find(process);
    if (bar == bar_of_.end()) return line("", words);
    out_ += fmt::format("<a href=\"#b{}\">", bar->second);
    line("", words);
    out_ += "</a>\n";
  }

  void write_head() {
    const size_t failures = timeline_.failures().size();
    const size_t more = failures > kMostListed ? 1 : 0;
    const size_t steps = timeline_.longest_steps(kSteps).size();
    const size_t lines =
        3 + (failures == 0 ? 0 : listed_failures() + more + 1) + (steps == 0 ? 0 : steps + 1) + 1;
    top_ = 2 * kMargin + kLine * static_cast<double>(lines) + 2 * kGap + kLine;
    const double height = top_ + kLane * picture_.lanes + kMargin;
    out_ += fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1:.0f}\" width=\"{0}\" "
        "height=\"{1:.0f}\" role=\"img\">\n<title>{2}</title>\n<style>{3}</style>\n"
        "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n",
        kWidth, height, xml_text(timeline_.title()), kStyle);
    y_ = kMargin;
    line("title", timeline_.title());
    line("", timeline_.facts(&picture_));
    line("dim", timeline_.origin());
  }

  void write_failures() {
    const auto failures = timeline_.failures();
    if (failures.empty()) return;
    y_ += kGap;
    line("head", "Failed");
    for (size_t at = 0; at < listed_failures(); ++at) {
      const uint32_t i = failures[at];
      const std::string_view cause = timeline_.history().text(timeline_[i].cause);
      const std::string label = labels_.label(i),
                        command = timeline_.history().command(timeline_[i]);
      linked_line(
          i, fmt::format("✗ {}{}{} · {} · {}{}{}{}", timeline_.ended(i), cause.empty() ? "" : ", ",
                         cause, timeline_.life_text(i), label, timeline_.ancestors(i),
                         command == label ? "" : " · ", command == label ? "" : command));
    }
    if (failures.size() > kMostListed)
      line("dim", fmt::format("and {} more", failures.size() - kMostListed));
  }

  void write_chain() {
    const auto steps = timeline_.longest_steps(kSteps);
    if (steps.empty()) return;
    y_ += kGap;
    line("head", "Critical chain: the longest steps, without the time of their children");
    for (const ChainStep& step : steps)
      linked_line(step.process,
                  fmt::format("{} · {}{}", length_text(step.own_ns), labels_.label(step.process),
                              timeline_.ancestors(step.process)));
  }

  void write_legend() {
    constexpr std::pair<std::string_view, std::string_view> kLegend[] = {
        {"ok", "exit 0"},
        {"failure", "other exit code"},
        {"signal", "killed by a signal"},
        {"oom", "out of memory"},
        {"running", "still running"},
        {"unknown", "status unknown"},
        {"merged", "short ones, merged"}};
    y_ += kLine;
    double x = kMargin;
    for (const auto& [style, words] : kLegend) {
      out_ +=
          fmt::format("<rect class=\"{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"10\"/>\n",
                      style, x, y_ - 9);
      text("dim", x + 16, words);
      x += 34 + kCharacter * static_cast<double>(words.size());
    }
    out_ += fmt::format(
        "<rect class=\"chain\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"12\" height=\"3\"/>\n", x, y_ - 4);
    text("dim", x + 16, "critical chain");
  }

  void write_scale() {
    y_ = top_ - 6;
    const uint64_t step = round_step(picture_.span_ns / 12);
    for (uint64_t at = 0; at <= picture_.span_ns; at += step) {
      const double x = x_of(at);
      out_ += fmt::format(
          "<line class=\"grid\" x1=\"{0:.1f}\" x2=\"{0:.1f}\" y1=\"{1:.1f}\" y2=\"{2:.1f}\"/>\n", x,
          top_, top_ + kLane * picture_.lanes);
      if (x < kWidth - kMargin - 5 * kCharacter) text("dim", x, scale_text(at, step));
      if (picture_.span_ns == 0) break;
    }
  }

  static std::string scale_text(uint64_t ns, uint64_t step) {
    constexpr uint64_t kMs = 1'000'000, kS = 1'000 * kMs;
    if (step >= kS) return fmt::format("{}s", ns / kS);
    if (step >= kMs) return fmt::format("{}ms", ns / kMs);
    return fmt::format("{}us", ns / 1000);
  }

  std::string hover(const Bar& bar) const {
    if (bar.merged()) {
      std::string out = fmt::format("{} short processes within {}", bar.count,
                                    length_text(bar.end_ns - bar.start_ns));
      return bar.failed == 0 ? out : out + fmt::format(", {} of them failed", bar.failed);
    }
    const PastProcess& process = timeline_[bar.process];
    std::string out =
        fmt::format("{}\n{}, {}, pid {}", timeline_.history().command(process),
                    timeline_.ended(bar.process), timeline_.life_text(bar.process), process.pid);
    if (process.cause != 0) out += fmt::format("\n<- {}", timeline_.history().text(process.cause));
    return out;
  }

  // The edge of a bar whose process started before it, or went on after it.
  void write_open_edge(double x, double y) {
    out_ += fmt::format("<path class=\"open\" d=\"M{:.1f} {:.0f}v{}\"/>\n", x, y, kBar);
  }

  void write_bar(uint32_t index) {
    const Bar& bar = picture_.bars[index];
    const double x = x_of(bar.start_ns), y = top_ + kLane * bar.lane;
    const double least = bar.failed != 0 ? kLeastFailure : kLeastWidth;
    const double width = std::max(x_of(bar.end_ns) - x, least);
    const std::string_view style = bar.merged() ? "merged" : class_of(timeline_[bar.process].end);
    out_ += fmt::format(
        "<rect id=\"b{}\" class=\"{}\" x=\"{:.1f}\" y=\"{:.0f}\" width=\"{:.1f}\" height=\"{}\">"
        "<title>{}</title></rect>\n",
        index, style, x, y, width, kBar, xml_text(hover(bar)));
    if (bar.on_chain)
      out_ += fmt::format(
          "<rect class=\"chain\" x=\"{:.1f}\" y=\"{:.0f}\" width=\"{:.1f}\" height=\"2.5\"/>\n", x,
          y + kBar - 2.5, width);
    if (!bar.merged() && timeline_.history().started_before(timeline_[bar.process]))
      write_open_edge(x, y);
    if (!bar.merged() && timeline_[bar.process].end == End::kRunning) write_open_edge(x + width, y);
    if (bar.failed != 0)
      out_ += fmt::format("<path class=\"mark\" d=\"M{:.1f} {:.0f}h6l-6 6z\"/>\n", x, y);
    const auto room = static_cast<size_t>(std::max(0.0, width - 10) / kCharacter);
    if (room < 3) return;
    std::string label =
        bar.merged() ? fmt::format("{} short", bar.count) : labels_.label(bar.process);
    if (bar.failed != 0)
      label = bar.merged() ? fmt::format("✗ {}, {} failed", label, bar.failed)
                           : fmt::format("✗ {} · {}", label, timeline_.ended(bar.process));
    out_ += fmt::format("<text x=\"{:.1f}\" y=\"{:.0f}\">{}</text>\n", x + 7, y + 11,
                        xml_text(cut(label, room)));
  }

  static constexpr size_t kSteps = 10;
  static constexpr double kGap = 6;
  const Timeline& timeline_;
  const Picture picture_;
  const CommandLabels labels_;
  BufferedWriter& writer_;
  std::string& out_;
  std::unordered_map<uint32_t, uint32_t> bar_of_;  // process to bar
  double y_ = 0, top_ = 0;                         // the line being written; the first lane
};

}  // namespace

Outcome<void> write_svg(const Timeline& timeline, size_t most, BufferedWriter& writer) {
  // A bar of less than a pixel cannot be seen.
  const uint64_t span = timeline.history().end_ns() - timeline.history().begin_ns();
  const MergeRule rule{.most = most, .shortest_ns = span / static_cast<uint64_t>(kChart)};
  return SvgWriter(timeline, timeline.picture(rule), writer).write();
}

}  // namespace knell::cli
