// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/harness/contender.h"
#include "bench/harness/report.h"

namespace knell::bench {

// The options of all cases, with their defaults; main.cc describes them.
struct Options {
  size_t rounds = 0, processes = 0;
  std::vector<std::string> kinds{"vfork", "fork", "exec"}, rivals{}, knell{}, program{};
  size_t failing = 10;
  std::optional<size_t> latency_ms{};  // empty: the default of the library
  std::vector<std::string> listeners{"1", "10", "100"}, loads{"idle", "1k", "50k"}, via{},
      memory{"16", "1024"};
  size_t most_mib = 64, growth_mib = 4;
};

struct Run {
  Options options;
  Cores cores;
  Report report;
};

// Each case measures and fills run.report. After an interrupt it returns the results so far.
Result<void> run_table(Run& run);
Result<void> run_storms(Run& run);
Result<void> run_fanout(Run& run);
Result<void> run_latency(Run& run);
Result<void> run_soak(Run& run);
Result<void> run_kill(Run& run);

// The row "exits by pidfd" of the table: a supervisor that creates children in batches, subscribes
// to the exit of each pid, lets a batch exit at once and handles every exit with its status. The
// time is measured from the moment when a batch may exit to its last exit. The supervisor uses
// knell_add(), or, if the options have no source, pidfd_open, epoll and waitid.
std::unique_ptr<Contender> make_supervisor(std::string name, LibraryOptions options);

}  // namespace knell::bench
