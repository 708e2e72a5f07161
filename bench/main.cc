// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-bench CASE [OPTIONS]: the words, the one run of a case, and its report in two forms.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <knell/knell.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/nearest.h"
#include "base/unique_fd.h"
#include "bench/cases/case.h"
#include "bench/frame/machine.h"
#include "bench/frame/program.h"
#include "bench/frame/time.h"
#include "cli/parse_error.h"

namespace knell::bench {
namespace {

using Words = std::vector<std::string>;

constexpr size_t kMostRounds = 10'000;
constexpr size_t kMostProcesses = 1'000'000;  // in one storm

struct Shared {
  size_t rounds = 0, processes = 0;
  std::string storm_core, listener_cores, knell, json;
  bool share_core = false;
};

std::string printable(const std::string& text) {
  std::string out(text.size() * 4 + 1, '\0');
  const ssize_t size = knell_printable(text.data(), text.size(), out.data(), out.size());
  out.resize(size < 0 ? 0 : static_cast<size_t>(size));
  return out;
}

Outcome<void> write_all(int fd, std::string_view text, std::string_view where) {
  while (!text.empty()) {
    const ssize_t wrote = ::write(fd, text.data(), text.size());
    if (wrote < 0 && errno == EINTR) continue;
    if (wrote < 0)
      return std::unexpected(errno_error(fmt::format("cannot write {}", where)).error());
    text.remove_prefix(static_cast<size_t>(wrote));
  }
  return {};
}

Outcome<void> print(std::string_view text) {
  return write_all(STDOUT_FILENO, text, "standard output");
}

std::string overview() {
  std::string out =
      "knell-bench measures what it costs to hear of processes: knell, a naive client of the\n"
      "process connector, and other programs, in the same run.\n\nUsage:\n";
  for (const auto& a_case : all_cases())
    out += fmt::format("  knell-bench {:<9} [OPTIONS]  {}\n", a_case->name(), a_case->summary());
  out +=
      "  knell-bench --version\n"
      "\n"
      "`knell-bench CASE --help` tells the options of a case, with examples.\n"
      "\n"
      "Examples:\n"
      "  knell-bench table                            the 8K table, in under a minute\n"
      "  knell-bench storm -r 25 --json storm.json    for figures to publish\n"
      "\n"
      "Exit status: 0 done, 1 failed, 2 wrong usage, 3 cannot be measured here,\n"
      "130 interrupted, after the table so far.\n";
  return out;
}

void add_shared_options(CLI::App& app, Shared& shared, const Case& a_case) {
  shared.rounds = a_case.default_rounds();
  shared.processes = a_case.default_processes();
  app.add_option("-r,--rounds", shared.rounds,
                 fmt::format("6 give a 95 % interval, 25 are for publishing ({})", shared.rounds))
      ->check(CLI::Range(size_t{1}, kMostRounds))
      ->option_text("N");
  app.add_option("-p,--processes", shared.processes,
                 fmt::format("processes in a storm ({})", shared.processes))
      ->check(CLI::Range(size_t{1}, kMostProcesses))
      ->option_text("N");
  app.add_option("--storm-core", shared.storm_core, "where storms blow (the first core)")
      ->option_text("CORE");
  app.add_option("--listener-cores", shared.listener_cores, "where listeners listen (the others)")
      ->option_text("CORES");
  app.add_flag("--share-core", shared.share_core, "allow one core for both");
  app.add_option("--knell", shared.knell, "the command to measure (beside knell-bench, or in PATH)")
      ->option_text("PROGRAM");
  app.add_option("--json", shared.json,
                 "also everything as JSON, into a file; - in place of the table")
      ->option_text("FILE");
}

std::string own_folder() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path);
  const std::string_view whole(path, size < 0 ? 0 : static_cast<size_t>(size));
  return std::string(whole.substr(0, whole.rfind('/') + 1));
}

Outcome<std::string> choose_knell(const std::string& asked) {
  if (!asked.empty()) {
    std::string path = find_program(asked);
    if (path.empty()) return fail(kUsage, "--knell {}: no such program", printable(asked));
    return path;
  }
  std::string beside = own_folder() + "knell";
  return ::access(beside.c_str(), X_OK) == 0 ? beside : find_program("knell");
}

// Opened before anything is measured: an hour's figures are not to be lost to a missing folder.
Outcome<UniqueFd> open_json(const std::string& path) {
  if (path.empty() || path == "-") return UniqueFd();
  UniqueFd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!file) {
    const auto error = errno_error(fmt::format("cannot write {}", printable(path))).error();
    return fail(kUsage, "{}", error.message());
  }
  return file;
}

Outcome<int> measure(Case& a_case, const Shared& shared, int argc, char** argv) {
  Run run;
  run.rounds = shared.rounds;
  run.processes = shared.processes;
  KNELL_ASSIGN(run.cores,
               choose_cores(shared.storm_core, shared.listener_cores, shared.share_core));
  KNELL_ASSIGN(run.knell, choose_knell(shared.knell));
  KNELL_ASSIGN(const UniqueFd json, open_json(shared.json));
  if (::geteuid() != 0) {
    return fail(
        kCannotMeasure,
        "only root may listen to everything and make receive buffers large: sudo knell-bench");
  }
  catch_interrupts();
  KNELL_TRY(a_case.run(run));
  const std::string as_json =
      shared.json.empty() ? "" : run.report.to_json(machine_json(run, a_case.name(), argc, argv));
  if (shared.json == "-") {
    KNELL_TRY(print(as_json));
  } else {
    KNELL_TRY(print(machine_text(run) + "\n" + run.report.to_text()));
    if (json) KNELL_TRY(write_all(json.get(), as_json, shared.json));
  }
  if (interrupted()) return kInterrupted;
  if (run.report.empty()) return fail(kCannotMeasure, "nothing could be measured here");
  return run.report.failed() ? kFailed : kDone;
}

std::string help_of(const Case& a_case, const CLI::App& app) {
  std::string options = app.help();
  // CLI11 begins with the description and a usage line of its own.
  options.erase(0, std::min(options.size(), options.find("\nOptions:") + 1));
  return fmt::format("knell-bench {} [OPTIONS]\n\n{}\n\n{}\n{}", a_case.name(), a_case.summary(),
                     options, a_case.notes());
}

Outcome<int> parse_and_measure(Case& a_case, Words words, int argc, char** argv) {
  CLI::App app(std::string(a_case.summary()), fmt::format("knell-bench {}", a_case.name()));
  app.set_help_flag("-h,--help", "this text");
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.get_formatter()->column_width(30);
  Shared shared;
  add_shared_options(app, shared, a_case);
  a_case.add_options(app);
  std::reverse(words.begin(), words.end());
  try {
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    KNELL_TRY(print(help_of(a_case, app)));
    return kDone;
  } catch (const CLI::ParseError& error) {
    return fail(kUsage, "{}", cli::in_one_line(app, error));
  }
  return measure(a_case, shared, argc, argv);
}

Outcome<int> dispatch(int argc, char** argv) {
  Words words(argv + std::min(argc, 1), argv + argc);
  const auto cases = all_cases();
  std::vector<std::string_view> names;
  names.reserve(cases.size());
  for (const auto& a_case : cases) names.push_back(a_case->name());
  if (words.empty())
    return fail(kUsage, "which case? There are {}; knell-bench --help tells more",
                fmt::join(names, ", "));
  const std::string first = words.front();
  words.erase(words.begin());
  if (first == "--help" || first == "-h" || first == "--version") {
    KNELL_TRY(print(first == "--version" ? fmt::format("knell-bench {}\n", knell_version())
                                         : overview()));
    return kDone;
  }
  if (first.starts_with("-"))
    return fail(kUsage, "unknown option {}; a case comes first: knell-bench --help",
                printable(first));
  for (const auto& a_case : cases) {
    if (a_case->name() == first) return parse_and_measure(*a_case, std::move(words), argc, argv);
  }
  const std::string_view near = nearest(first, names);
  if (!near.empty()) return fail(kUsage, "no case '{}'; did you mean {}?", printable(first), near);
  return fail(kUsage, "no case '{}'; there are {}", printable(first), fmt::join(names, ", "));
}

}  // namespace
}  // namespace knell::bench

int main(int argc, char** argv) {
  using namespace knell::bench;
  (void)::signal(SIGPIPE, SIG_IGN);
  const auto done = dispatch(argc, argv);
  if (done) return *done;
  const std::string line = fmt::format("knell-bench: {}\n", done.error().line);
  (void)!::write(STDERR_FILENO, line.data(), line.size());
  return done.error().status;
}
