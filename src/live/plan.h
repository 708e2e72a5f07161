// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "live/source_request.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"

namespace knell::live {

// Which source to use, and its settings.
struct SourceOptions {
  uint32_t via = KNELL_VIA_AUTO;  // enum knell_via
  size_t buffer_bytes = 0;        // 0: the source's default; the same for args_bytes
  size_t args_bytes = 0;
};

struct Opened {
  std::unique_ptr<source::Source> source;
  source::PidfdSource* pidfds = nullptr;  // `source`, if it is a pidfd source
  bool full_events = false;               // it reports whole processes
  source::SourceRequest wanted;           // what was requested from it
};

// Opens the best source that works here, or the one named by `options.via`. Errors: that of the
// named source; otherwise that of the source with the fewest requirements, as a sentence.
Result<Opened> open_source(const SourceOptions& options, const Interest& interest);

}  // namespace knell::live
