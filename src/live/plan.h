// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"
#include "live/interest.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"

namespace knell::live {

// Which source, and how it is set up.
struct SourceOptions {
  uint32_t via = KNELL_VIA_AUTO;  // enum knell_via
  size_t buffer_bytes = 0;        // 0: as the source has it; so is args_bytes
  size_t args_bytes = 0;
};

struct Opened {
  std::unique_ptr<source::Source> source;
  source::PidfdSource* pidfds = nullptr;  // `source`, when that is what it is
  bool whole = false;                     // it sends whole processes
  source::Wanted wanted;                  // what it was asked for
};

// The plan: the best source that works here, or the one that `options.via` insists on. Errors: that
// of the one insisted on; else of the one that needs least, in words.
Result<Opened> open_source(const SourceOptions& options, const Interest& interest);

}  // namespace knell::live
