// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "bench/frame/run.h"

namespace knell::bench {

// Where and how a figure was taken: it means nothing without. As one line for people, and as the
// first members of the JSON object.
std::string machine_text(const Run& run);
std::string machine_json(const Run& run, std::string_view case_name, int argc, char** argv);

}  // namespace knell::bench
