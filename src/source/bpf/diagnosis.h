// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell::source {

// All there is to know about bpf here, for doctor: found out by loading the programs.
struct BpfDiagnosis {
  bool works = false;
  std::string sentence;  // why not
  std::string mend;      // what would help; may be empty
  std::string log;       // the loader's own words, many lines; may be empty
};
BpfDiagnosis diagnose_bpf();

}  // namespace knell::source
