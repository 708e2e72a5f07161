// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// One self-contained page: page.js draws what is in a JSON object. The page loads nothing and works
// from a file. Its content security policy allows the script and the style of this file by their
// hashes and nothing else, so that a name or an argument of a process cannot become a script. The
// JSON is in a script element of another type, which is not executed; `<` is escaped in it, so that
// nothing in it can end the element.
#include <fmt/format.h>

#include <iterator>
#include <utility>
#include <vector>

#include "cli/text.h"
#include "cli/timeline/page_files.h"
#include "cli/timeline/timeline.h"

namespace knell::cli {
namespace {

using End = PastProcess::End;

constexpr uint32_t kMergedKind = 6;  // after those of PastProcess::End

// The Base64 of bytes that are given as hexadecimal digits.
std::string base64_of_hex(std::string_view hex) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const auto digit = [&](size_t i) {
    const char c = i < hex.size() ? hex[i] : '0';
    return static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
  };
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 3) {  // 3 digits are 12 bits
    const uint32_t bits = digit(i) << 8 | digit(i + 1) << 4 | digit(i + 2);
    out += kDigits[bits >> 6];
    if (i + 1 < hex.size()) out += kDigits[bits & 63];
  }
  while (out.size() % 4 != 0) out += '=';
  return out;
}

class HtmlWriter {
 public:
  HtmlWriter(const Timeline& timeline, Picture picture, BufferedWriter& writer)
      : timeline_(timeline),
        picture_(std::move(picture)),
        labels_(timeline.labels(picture_)),
        writer_(writer),
        out_(writer.buffer()),
        bar_of_(timeline.history().processes().size(), kNoBar) {
    for (uint32_t i = 0; i < picture_.bars.size(); ++i)
      if (!picture_.bars[i].merged()) bar_of_[picture_.bars[i].process] = i;
  }

  Outcome<void> write() {
    out_ += fmt::format(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
        "script-src 'sha256-{}'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>knell timeline</title>\n<style>{}</style>\n</head>\n<body>{}",
        base64_of_hex(kPageScriptSha256), base64_of_hex(kPageStyleSha256), kPageStyle, kPageBody);
    out_ += "<script type=\"application/json\" id=\"data\">";
    KNELL_TRY(write_data());
    out_ += fmt::format("</script>\n<script>{}</script>\n</body>\n</html>\n", kPageScript);
    return writer_.finish();
  }

 private:
  // The number of a text in the list `texts` of the page, which is written last.
  uint32_t number_of(std::string_view text) { return texts_.add(text); }

  void append_text(std::string_view text) {
    for (const char c : json_string(text)) {
      if (c == '<')
        out_ += "\\u003c";
      else
        out_ += c;
    }
  }

  template <class F>
  Outcome<void> column(std::string_view name, F value) {
    out_ += fmt::format("\"{}\":[", name);
    for (size_t i = 0; i < picture_.bars.size(); ++i) {
      if (i != 0) out_ += ',';
      fmt::format_to(std::back_inserter(out_), "{}", value(picture_.bars[i]));
      KNELL_TRY(writer_.spill());
    }
    out_ += "],\n";
    return {};
  }
  // A column that merged bars do not have.
  template <class F>
  Outcome<void> process_column(std::string_view name, F value) {
    return column(name, [&](const Bar& bar) {
      using Value = decltype(value(bar.process));
      return bar.merged() ? Value{} : value(bar.process);
    });
  }

  Outcome<void> write_bars() {
    constexpr uint64_t kUs = 1000;
    const ProcessHistory& history = timeline_.history();
    KNELL_TRY(column("start", [](const Bar& bar) { return bar.start_ns / kUs; }));
    KNELL_TRY(column("end", [](const Bar& bar) { return bar.end_ns / kUs; }));
    KNELL_TRY(column("lane", [](const Bar& bar) { return bar.lane; }));
    KNELL_TRY(column("parent", [](const Bar& bar) {
      return bar.parent == kNoBar ? int64_t{-1} : int64_t{bar.parent};
    }));
    KNELL_TRY(column("kind", [&](const Bar& bar) {
      return bar.merged() ? kMergedKind : static_cast<uint32_t>(timeline_[bar.process].end);
    }));
    KNELL_TRY(column("count", [](const Bar& bar) { return bar.count; }));
    KNELL_TRY(column("failed", [](const Bar& bar) { return bar.failed; }));
    KNELL_TRY(column("chain", [](const Bar& bar) {
      return bar.on_chain ? static_cast<int64_t>(bar.chain_ns / kUs) : int64_t{-1};
    }));
    KNELL_TRY(process_column("life", [&](uint32_t i) {
      const auto ns = timeline_.life_ns(i);
      return ns ? static_cast<int64_t>(*ns / kUs) : int64_t{-1};
    }));
    KNELL_TRY(process_column(
        "before", [&](uint32_t i) { return history.started_before(timeline_[i]) ? 1 : 0; }));
    KNELL_TRY(process_column("pid", [&](uint32_t i) { return timeline_[i].pid; }));
    KNELL_TRY(process_column("name", [&](uint32_t i) { return number_of(timeline_.name(i)); }));
    KNELL_TRY(process_column("label", [&](uint32_t i) { return number_of(labels_.label(i)); }));
    KNELL_TRY(process_column("ended", [&](uint32_t i) { return number_of(timeline_.ended(i)); }));
    KNELL_TRY(process_column(
        "cause", [&](uint32_t i) { return number_of(history.text(timeline_[i].cause)); }));
    KNELL_TRY(process_column("command",
                             [&](uint32_t i) { return number_of(history.command(timeline_[i])); }));
    out_.resize(out_.size() - 2);  // the comma
    return {};
  }

  // The line of a process in the lists at the top of the page.
  uint32_t line_of(uint32_t process) {
    return number_of(labels_.label(process) + timeline_.ancestors(process));
  }
  int64_t bar_number(uint32_t process) const {
    return bar_of_[process] == kNoBar ? int64_t{-1} : int64_t{bar_of_[process]};
  }

  Outcome<void> write_data() {
    out_ += "{\"title\":";
    append_text(timeline_.title());
    out_ += ",\"origin\":";
    append_text(timeline_.origin());
    out_ += ",\"facts\":";
    append_text(timeline_.facts(&picture_));
    out_ += fmt::format(",\"span\":{},\"lanes\":{},\n\"bars\":{{", picture_.span_ns / 1000,
                        picture_.lanes);
    KNELL_TRY(write_bars());
    out_ += "},\n\"failures\":[";
    std::string_view comma;
    for (const uint32_t i : timeline_.failures()) {
      out_ += fmt::format("{}{{\"bar\":{},\"ended\":{},\"life\":{},\"cause\":{},\"words\":{}}}",
                          comma, bar_number(i), number_of(timeline_.ended(i)),
                          number_of(timeline_.life_text(i)),
                          number_of(timeline_.history().text(timeline_[i].cause)), line_of(i));
      comma = ",\n";
      KNELL_TRY(writer_.spill());
    }
    out_ += "],\n\"chain\":[";
    comma = "";
    for (const ChainStep& step : timeline_.longest_steps(kSteps)) {
      out_ += fmt::format("{}{{\"bar\":{},\"own\":{},\"words\":{}}}", comma,
                          bar_number(step.process), step.own_ns / 1000, line_of(step.process));
      comma = ",\n";
    }
    out_ += "],\n\"texts\":[";
    for (uint32_t i = 0; i < texts_.size(); ++i) {
      if (i != 0) out_ += ",\n";
      append_text(texts_[i]);
      KNELL_TRY(writer_.spill());
    }
    out_ += "]}";
    return {};
  }

  static constexpr size_t kSteps = 1000;  // chosen: the page shows the first of them
  const Timeline& timeline_;
  const Picture picture_;
  const CommandLabels labels_;
  BufferedWriter& writer_;
  std::string& out_;
  std::vector<uint32_t> bar_of_;  // by process
  StringTable texts_;
};

}  // namespace

Outcome<void> write_html(const Timeline& timeline, size_t most, BufferedWriter& writer) {
  return HtmlWriter(timeline, timeline.picture({.most = most}), writer).write();
}

}  // namespace knell::cli
