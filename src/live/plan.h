// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <memory>

#include "base/result.h"
#include "live/interest.h"
#include "source/pidfd/pidfd.h"
#include "source/source.h"

namespace knell::live {

struct Opened {
  std::unique_ptr<source::Source> source;
  source::PidfdSource* pidfds = nullptr;  // `source`, when that is what it is
  bool whole = false;                     // it sends whole processes
  source::Wanted wanted;                  // what it was asked for
};

// The plan: the best source that works here, or the one that `options.via` insists on. Errors: that
// of the one insisted on; else of the one that needs least, in words.
Result<Opened> open_source(const knell_options& options, const Interest& interest);

}  // namespace knell::live
