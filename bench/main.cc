// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-bench CASE [OPTIONS]
#include <fmt/ranges.h>
#include <knell/knell.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <sstream>

#include "base/nearest.h"
#include "bench/cases/case.h"

namespace knell::bench {
namespace {

using Words = std::vector<std::string>;
using Names = std::vector<std::string_view>;

struct Case {
  std::string_view name;
  const char* summary;
  size_t rounds, processes;  // defaults
  Result<void> (*run)(Run&);
};
constexpr Case kCases[] = {
    {"table", "exits, forks, execs and pidfds, for each way to listen", 6, 8000, run_table},
    {"storm", "slowdown, CPU and losses of knell and rivals", 6, 8000, run_storms},
    {"fanout", "many listeners at once", 6, 2000, run_fanout},
    {"latency", "from the kernel's time stamp to the listener", 6, 50'000, run_latency},
    {"soak", "one listener, many storms: no loss, no growth", 20, 50'000, run_soak},
    {"kill", "from SIGKILL to the confirmed death of a process", 25, 1, run_kill},
};

std::string printable(std::string_view text) {
  std::string out(text.size() * 4 + 1, '\0');
  out.resize(static_cast<size_t>(
      std::max<ssize_t>(knell_printable(text.data(), text.size(), out.data(), out.size()), 0)));
  return out;
}

std::unexpected<Error> unknown(std::string_view what, std::string_view word, const Names& known) {
  if (const std::string_view near = nearest(word, known); !near.empty())
    return refuse(EINVAL, "unknown {} '{}'; did you mean {}?", what, printable(word), near);
  return refuse(EINVAL, "unknown {} '{}'; there are {}", what, printable(word),
                fmt::join(known, ", "));
}

using Setter = std::function<Result<void>(const std::string& name, const std::string& value)>;

template <class Number>
Setter number(Number& to, size_t low, size_t high) {
  return [&to, low, high](const std::string& name, const std::string& value) -> Result<void> {
    size_t typed = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), typed);
    if (error != std::errc() || *end != '\0' || typed < low || typed > high)
      return refuse(EINVAL, "{} {}: not a number from {} to {}", name, printable(value), low, high);
    to = typed;
    return {};
  };
}

// Parses names separated by commas; if `known` is not empty, each name must be in it.
Setter words(Words& to, const Names& known = {}) {
  return [&to, known](const std::string& name, const std::string& value) -> Result<void> {
    to.clear();
    std::istringstream list(value + ",");
    for (std::string word; std::getline(list, word, ',');) {
      if (!known.empty() && std::ranges::find(known, word) == known.end())
        return unknown(name, word, known);
      to.push_back(word);
    }
    return {};
  };
}

struct Option {
  // only: the case that has this option; empty: all cases
  std::string_view name, only, value, help;
  Setter set;
};

std::vector<Option> make_options(Options& o) {
  const Names kinds{std::begin(kStormNames), std::end(kStormNames)};
  const Names rivals{"forkstat", "extrace", "exitsnoop", "execsnoop", "none"};
  return {
      {"--rounds", "", "N", "or -r; from 6 on with a 95 % interval", number(o.rounds, 1, 1000)},
      {"--processes", "", "N", "or -p; of one storm", number(o.processes, 1, 1'000'000)},
      {"--kind", "storm", "KIND,...", "vfork, fork, exec", words(o.kinds, kinds)},
      {"--rival", "storm", "NAME,...", "which ones; none", words(o.rivals, rivals)},
      {"--knell", "storm", "FILE,...", "knell commands to measure, for example of two builds",
       words(o.knell)},
      {"--program", "storm", "FILE", "what an exec storm executes", words(o.program)},
      {"--failing", "storm", "N", "one in N exits with 1; 0: none", number(o.failing, 0, 1000)},
      {"--latency", "table", "MS", "fixed latency of knell; default: that of libknell, 1 to 10 ms",
       number(o.latency_ms, 0, 1000)},
      {"--listeners", "fanout", "N,...", "how many, up to 1000", words(o.listeners)},
      {"--load", "latency", "LOAD,...", "idle, 1k, 50k", words(o.loads, {"idle", "1k", "50k"})},
      {"--via", "soak", "SOURCE", "bpf or connector", words(o.via, {"bpf", "connector"})},
      {"--memory", "kill", "MIB,...", "memory of the processes that are killed", words(o.memory)},
      {"--most", "soak", "MIB", "RSS allowed", number(o.most_mib, 1, 65'536)},
      {"--growth", "soak", "MIB", "growth of RSS allowed", number(o.growth_mib, 0, 65'536)},
  };
}

std::string help_text() {
  Options defaults;
  std::string out = "Measures what process events cost, of knell and others in turns.\n\n";
  for (const Case& c : kCases) {
    out += fmt::format("  knell-bench {:<8} {} (-r {} -p {})\n", c.name, c.summary, c.rounds,
                       c.processes);
  }
  out += "\nOptions:\n";
  for (const Option& option : make_options(defaults)) {
    out += fmt::format("  {:<22}{}{}{}\n", fmt::format("{} {}", option.name, option.value),
                       option.only, option.only.empty() ? "" : ": ", option.help);
  }
  return out +
         "\nFor figures to publish: knell-bench storm --kind vfork,exec -r 25\n"
         "Exit status: 0 done, 1 failed, 2 wrong usage, 3 cannot be measured here,\n"
         "130 interrupted, after the results so far.\n";
}

Result<void> parse(const Case& a_case, const Words& typed, Options& options) {
  const std::vector<Option> all = make_options(options);
  Names names;
  for (const Option& option : all) {
    if (option.only.empty() || option.only == a_case.name) names.push_back(option.name);
  }
  for (size_t i = 1; i < typed.size(); ++i) {
    std::string name = typed[i] == "-r" ? "--rounds" : typed[i] == "-p" ? "--processes" : typed[i];
    if (std::ranges::find(names, name) == names.end()) return unknown("option", name, names);
    if (++i == typed.size()) return refuse(EINVAL, "{} needs a value", name);
    KNELL_TRY(std::ranges::find(all, std::string_view(name), &Option::name)->set(name, typed[i]));
  }
  return {};
}

// The programs named in the options; otherwise knell in the directory of this program.
Result<void> find_programs(Options& options) {
  char self[4096] = {};
  (void)!::readlink("/proc/self/exe", self, sizeof self - 1);
  const std::string path = self;
  if (options.knell.empty()) options.knell = {path.substr(0, path.rfind('/') + 1) + "knell"};
  for (const Words& programs : {options.knell, options.program}) {
    for (const std::string& name : programs) {
      if (find_program(name).empty()) return refuse(EINVAL, "no such program: {}", printable(name));
    }
  }
  return {};
}

Result<int> print(const std::string& text, int status) {
  if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
    return errno_error("write standard output");
  return status;
}

Result<int> run_program(const Words& typed) {
  Names names;
  for (const Case& a_case : kCases) names.push_back(a_case.name);
  if (typed.empty())
    return refuse(EINVAL, "missing case: {}; see knell-bench --help", fmt::join(names, ", "));
  if (std::ranges::find(typed, "--help") != typed.end()) return print(help_text(), 0);
  const auto a_case = std::ranges::find(kCases, std::string_view(typed[0]), &Case::name);
  if (a_case == std::end(kCases)) return unknown("case", typed[0], names);
  Run run;
  run.options.rounds = a_case->rounds;
  run.options.processes = a_case->processes;
  KNELL_TRY(parse(*a_case, typed, run.options));
  KNELL_TRY(find_programs(run.options));
  KNELL_ASSIGN(run.cores, choose_cores());
  if (::geteuid() != 0)
    return refuse(ENOTSUP, "only root can listen to every process: sudo knell-bench");
  if (run.cores.storm == run.cores.listeners)
    run.report.note("storm and listeners shared one core: the ratios are meaningless");
  catch_interrupts();
  KNELL_TRY(a_case->run(run));
  const int status = interrupted()         ? 128 + SIGINT
                     : run.report.empty()  ? 3
                     : run.report.failed() ? 1
                                           : 0;
  return print(fmt::format("{}, {} rounds of {}\n\n{}", machine_text(run.cores), run.options.rounds,
                           run.options.processes, run.report.to_text()),
               status);
}

}  // namespace
}  // namespace knell::bench

int main(int argc, char** argv) {
  (void)::signal(SIGPIPE, SIG_IGN);
  const auto done = knell::bench::run_program({argv + std::min(argc, 1), argv + argc});
  if (done) return *done;
  (void)std::fprintf(stderr, "knell-bench: %s\n", done.error().message().c_str());
  return done.error().code == EINVAL ? 2 : done.error().code == ENOTSUP ? 3 : 1;
}
