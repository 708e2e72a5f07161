// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "process/births.h"
#include "source/finding.h"
#include "source/kept.h"
#include "source/output.h"
#include "source/source.h"

namespace knell::source {

// Which source to use, and its settings.
struct SourceOptions {
  uint32_t via = KNELL_VIA_AUTO;  // enum knell_via
  size_t buffer_bytes = 0;        // 0: the default of the source; also for the sizes below
  size_t reserve_bytes = 0;       // over bpf: for exits that do not fit in the buffer
  size_t args_bytes = 0;
  process::Births* births = nullptr;  // see ConnectorSourceOptions
  bool load_all = false;              // see BpfOptions
  // Stores the source for the next process, and takes over the one of the earlier process: bpf, and
  // the connector at raw level. Must outlive the source.
  Kept* kept = nullptr;
};

// A kind of source. Adding one is a row in registry.cc; its name is event::via_name().
struct Kind {
  uint32_t via;  // enum knell_via
  // Its place in the order in which KNELL_VIA_AUTO tries the kinds, for events of processes and of
  // threads; 0: it is not tried.
  int for_processes, for_threads;
  // Opens the source; the first set_request() follows. Errors: a sentence.
  Result<std::unique_ptr<Source>> (*open)(const SourceOptions& options, const SourceRequest& wanted,
                                          Output& out);
  // Tests which parts of it work here; the first finding states whether it works at all.
  std::vector<Finding> (*examine)();
};
std::span<const Kind> kinds();

struct Opened {
  std::unique_ptr<Source> source;
  uint32_t via;
};

// Opens the best source that works here, or the one named by `options.via`. Errors: that of the
// named source; otherwise that of the source with the fewest requirements.
Result<Opened> open_source(const SourceOptions& options, const SourceRequest& wanted, Output& out);

}  // namespace knell::source
