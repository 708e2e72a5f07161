// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/diagnosis.h"

#include <cerrno>

#include "source/bpf/bpf.h"
#include "source/connector/diagnosis.h"

namespace knell::source {

BpfDiagnosis diagnose_bpf() {
  BpfDiagnosis found;
  if (!read_environment().initial_pid()) {
    found.reason = "another pid namespace: bpf programs report the pids of the initial one";
    found.advice = "run it outside the container";
    return found;
  }
  OneExit unread;
  const auto bpf = Bpf::create(
      {}, {.mask = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_FULL}, unread.out());
  found.works = static_cast<bool>(bpf);
  if (found.works) return found;
  found.log = bpf_log();
  found.reason = bpf.error().message();
  if (bpf.error().code == EPERM) {
    found.reason = "needs CAP_BPF+CAP_PERFMON";
    found.advice = "sudo";
  }
  return found;
}

}  // namespace knell::source
