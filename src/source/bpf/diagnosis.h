// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell::source {

// What can be found out about bpf here, for knell doctor. Loads the programs to find out.
struct BpfDiagnosis {
  bool works = false;
  std::string reason;  // why it does not work
  std::string advice;  // may be empty
  std::string log;     // bpf_log(), many lines; may be empty
};
BpfDiagnosis diagnose_bpf();

}  // namespace knell::source
