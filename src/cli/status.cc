// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell status`: shows the status of knelld.
#include <fmt/format.h>
#include <unistd.h>

#include <knell/knell.hpp>

#include "cli/command.h"
#include "cli/daemon_check.h"
#include "cli/format.h"
#include "cli/output_buffer.h"
#include "cli/status_text.h"

namespace knell::cli {
namespace {

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
  KNELL_ASSIGN(const Format format,
               parse_format(format_, {Format::kTable, Format::kJson, Format::kPrometheus}));
  if (codes_ && format != Format::kPrometheus) return usage("--codes needs -o prometheus");
  KNELL_ASSIGN(const std::string json, ask_status());
  const auto parsed = parse_json_object(json);
  if (!parsed) return failed("the status of knelld is not a JSON object");
  OutputBuffer out(STDOUT_FILENO, "standard output");
  if (format == Format::kTable)
    append_status_table(out.buffer(), *parsed, Screen::of(STDOUT_FILENO));
  else if (format == Format::kJson)
    out.buffer() = json + "\n";
  else
    append_prometheus(out.buffer(), *parsed, codes_ ? Codes::kYes : Codes::kNo);
  KNELL_TRY(out.flush());
  return kDone;
}

}  // namespace

std::unique_ptr<Command> make_status() { return std::make_unique<Status>(); }

}  // namespace knell::cli
