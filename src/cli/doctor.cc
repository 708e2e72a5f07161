// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell doctor`: what works here and what does not, with a fix for each problem.
#include <fmt/format.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <knell/knell.hpp>

#include "base/privilege.h"
#include "cli/command.h"
#include "cli/listen.h"
#include "cli/output_buffer.h"
#include "cli/screen.h"
#include "cli/text.h"

namespace knell::cli {
namespace {

struct Finding {
  uint32_t level;
  std::string subject, text, fix;
};

std::string_view level_word(uint32_t level) {
  switch (level) {
    case KNELL_FINDING_OK:
      return "ok";
    case KNELL_FINDING_WARN:
      return "warn";
    case KNELL_FINDING_NO:
      return "no";
    default:
      return "note";
  }
}

Colour level_colour(uint32_t level) {
  switch (level) {
    case KNELL_FINDING_WARN:
      return Colour::kYellow;
    case KNELL_FINDING_NO:
      return Colour::kRed;
    default:
      return Colour::kNone;
  }
}

// "knell 0.1.0, Linux 6.18 x86_64, uid 1000, no capabilities"
std::string head_line() {
  utsname system{};
  ::uname(&system);
  const auto capabilities = effective_capabilities();
  return fmt::format("knell {}, {} {} {}, uid {}, {}", knell_version(), system.sysname,
                     system.release, system.machine, ::getuid(),
                     capabilities ? capabilities_text(*capabilities) : "capabilities unknown");
}

std::string last_line(const std::vector<Finding>& findings) {
  const auto works = [&](std::string_view subject) {
    return std::ranges::any_of(findings, [&](const Finding& f) {
      return f.subject == subject && (f.level == KNELL_FINDING_OK || f.level == KNELL_FINDING_WARN);
    });
  };
  if (works("knelld")) return "watch will use knelld";
  if (works("bpf")) return "watch will use bpf";
  if (works("connector")) {
    return "watch will use the connector: args of short-lived processes may be missing";
  }
  const std::string_view wait = works("pidfd") ? "; wait works" : "";
  if (works("ptrace"))
    return fmt::format("watch has no event source here; run traces its command{}", wait);
  if (!wait.empty()) return "watch and run have no event source here; wait works";
  return "nothing can be observed here";
}

void add_table(std::string& out, const std::vector<Finding>& findings, const Screen& screen) {
  constexpr size_t kLevel = 6, kLeastSubject = 9, kGap = 2, kMostText = 60;
  size_t subject = kLeastSubject;
  size_t text = 0;
  for (const Finding& f : findings) {
    subject = std::max(subject, display_width(f.subject));
    const size_t width = display_width(f.text);
    if (!f.fix.empty() && width <= kMostText) text = std::max(text, width);
  }
  for (const Finding& f : findings) {
    std::string word;
    append_padded(word, level_word(f.level), kLevel);
    paint(out, word, level_colour(f.level), screen);
    std::string line;
    append_padded(line, f.subject, subject + kGap);
    if (f.fix.empty()) {
      line += f.text;
    } else {
      const size_t start = kLevel + subject + kGap;
      const bool narrow =
          screen.columns != 0 && start + text + kGap + display_width(f.fix) > screen.columns;
      append_padded(line, f.text, narrow ? 0 : text);
      // Where the right column has no room, the fix is printed below.
      line += narrow ? "\n" + std::string(start, ' ') + "-> " : std::string(kGap, ' ');
      line += f.fix;
    }
    out += line;
    out += '\n';
  }
}

void add_json(std::string& out, const Finding& f) {
  out += fmt::format(R"({{"level":"{}","subject":{},"text":{},"fix":{}}})", level_word(f.level),
                     json_string(f.subject), json_string(f.text),
                     f.fix.empty() ? "null" : json_string(f.fix));
  out += '\n';
}

class Doctor final : public Command {
 public:
  std::string_view name() const override { return "doctor"; }
  std::string_view synopsis() const override { return "[OPTIONS]"; }
  std::string_view summary() const override { return "shows which event sources work here"; }
  std::string_view notes() const override {
    return "One line for each check: ok, warn (works with a limit), no, note; and a fix.\n"
           "\n"
           "Exit status: 0 something can be observed here; 3 nothing; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell doctor\n"
           "  knell doctor -o json | jq -r 'select(.level == \"no\") | .fix'\n";
  }
  void add_options(CommandLine& line) override {
    line.add_value("-o,--output", format_, "FORMAT", "table (default) or json, an object a line");
    line.add_flag("--verbose", verbose_, "show notes as well: facts that are neither good nor bad");
  }
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  std::string format_;
  bool verbose_ = false;
};

Outcome<int> Doctor::execute(std::vector<std::string>) {
  KNELL_ASSIGN(const bool json, wants_json(format_));
  std::vector<Finding> findings;
  const auto collect = [](const knell_finding* f, void* context) {
    static_cast<std::vector<Finding>*>(context)->push_back(
        {f->level, printable(f->subject), printable(f->text),
         f->fix != nullptr ? printable(f->fix) : ""});
    return 0;
  };
  const bool observable = knell_doctor(collect, &findings) == 0;
  if (!verbose_ && !json)
    std::erase_if(findings, [](const Finding& f) { return f.level == KNELL_FINDING_NOTE; });
  const std::string last = last_line(findings);
  OutputBuffer out(STDOUT_FILENO, "standard output");
  if (json) {
    add_json(out.buffer(), {KNELL_FINDING_NOTE, "knell", head_line(), ""});
    for (const Finding& finding : findings) add_json(out.buffer(), finding);
    add_json(out.buffer(), {observable ? uint32_t{KNELL_FINDING_OK} : uint32_t{KNELL_FINDING_NO},
                            "watch", last, ""});
  } else {
    out.buffer() = head_line() + "\n";
    add_table(out.buffer(), findings, Screen::of(STDOUT_FILENO));
    out.buffer() += last + "\n";
  }
  KNELL_TRY(out.flush());
  return observable ? kDone : kNothingHere;
}

}  // namespace

std::unique_ptr<Command> make_doctor() { return std::make_unique<Doctor>(); }

}  // namespace knell::cli
