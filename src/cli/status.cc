// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell status`: shows the status of knelld.
#include <fmt/format.h>
#include <unistd.h>

#include <knell/knell.hpp>

#include "cli/command.h"
#include "cli/daemon_check.h"
#include "cli/output_buffer.h"
#include "cli/status_text.h"

namespace knell::cli {
namespace {

enum class Format { kTable, kJson, kPrometheus };

Outcome<Format> format_of(const std::string& word) {
  if (word.empty() || word == "table") return Format::kTable;
  if (word == "json") return Format::kJson;
  if (word == "prometheus") return Format::kPrometheus;
  return usage("-o takes table, json or prometheus, not '{}'", printable(word));
}

class Status final : public Command {
 public:
  std::string_view name() const override { return "status"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override {
    return "shows the state and the listeners of knelld";
  }
  std::string_view notes() const override {
    return "Root and group knell see all listeners; others see their own, and the totals.\n"
           "\n"
           "Exit status: 0 shown; 3 there is no daemon; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell status\n"
           "  knell status -o json | jq '.listeners[] | select(.lost > 0)'\n"
           "  knell status -o prometheus >knell.prom.new && mv knell.prom.new knell.prom\n";
  }
  void add_options(CommandLine& line) override {
    line.add_value("-o,--output", format_, "FORMAT",
                   "table (default), json, or prometheus, for a textfile collector");
    line.add_flag(
        "--codes", codes_,
        "with prometheus: a series for each exit code and signal,\nnot for each class of them");
  }
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  std::string format_;
  bool codes_ = false;
};

Outcome<int> Status::execute(std::vector<std::string>) {
  KNELL_ASSIGN(const Format format, format_of(format_));
  if (codes_ && format != Format::kPrometheus) return usage("--codes needs -o prometheus");
  KNELL_ASSIGN(const std::string json, ask_status());
  const auto parsed = parse_json_object(json);
  if (!parsed) return failed("the status of knelld is not a JSON object");
  OutputBuffer out(STDOUT_FILENO, "standard output");
  switch (format) {
    case Format::kTable:
      append_status_table(out.buffer(), *parsed, Screen::of(STDOUT_FILENO));
      break;
    case Format::kJson:
      out.buffer() = json + "\n";
      break;
    case Format::kPrometheus:
      append_prometheus(out.buffer(), *parsed, codes_ ? Codes::kYes : Codes::kNo);
      break;
  }
  KNELL_TRY(out.flush());
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_status() { return std::make_unique<Status>(); }

}  // namespace knell::cli
