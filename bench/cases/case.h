// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "bench/frame/failure.h"
#include "bench/frame/run.h"

namespace CLI {  // NOLINT(readability-identifier-naming): the library's name
class App;
}

namespace knell::bench {

// One case of knell-bench. It measures and fills run.report; main prints it, for people and for
// machines, also when run() was interrupted half way (then it returns kDone's way: no failure, and
// run.report.set_partial()). Options with a bound: CLI::Range.
class Case {
 public:
  Case() = default;
  Case(const Case&) = delete;
  Case& operator=(const Case&) = delete;
  virtual ~Case() = default;

  virtual std::string_view name() const = 0;     // "storm"
  virtual std::string_view summary() const = 0;  // one line of the overview
  virtual std::string_view notes() const = 0;    // below the options of --help: examples
  virtual size_t default_rounds() const = 0;
  virtual size_t default_processes() const = 0;
  virtual void add_options(CLI::App& app) = 0;
  virtual Outcome<void> run(Run& run) = 0;
};

std::unique_ptr<Case> make_table();
std::unique_ptr<Case> make_storm();
std::unique_ptr<Case> make_filtered();
std::unique_ptr<Case> make_latency();
std::unique_ptr<Case> make_limit();
std::unique_ptr<Case> make_fanout();
std::unique_ptr<Case> make_soak();

// In the order of the overview. A new case is added in all.cc.
std::vector<std::unique_ptr<Case>> all_cases();

}  // namespace knell::bench
