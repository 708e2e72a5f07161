// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/diagnosis.h"

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>

#include "source/bpf/bpf.h"
#include "source/connector/diagnosis.h"

namespace knell::source {
namespace {

// The last lines of the loader's log say why it failed.
void add_log(std::vector<Finding>& findings, std::string_view log) {
  constexpr size_t kMostLog = 4000;
  if (log.size() > kMostLog) log.remove_prefix(log.find('\n', log.size() - kMostLog) + 1);
  while (!log.empty()) {
    const size_t end = std::min(log.find('\n'), log.size());
    if (end > 0) findings.push_back({KNELL_FINDING_NOTE, "bpf", std::string(log.substr(0, end))});
    log.remove_prefix(std::min(end + 1, log.size()));
  }
}

}  // namespace

std::vector<Finding> examine_bpf() {
  if (!read_environment().initial_pid()) {
    return {{KNELL_FINDING_NO, "bpf",
             "another pid namespace: bpf programs report the pids of the initial one",
             "run it outside the container"}};
  }
  OneExit unread;
  std::string log;
  const auto bpf = Bpf::create({.load_all = true},
                               {.mask = KNELL_EVENT_NONZERO_EXIT, .details = KNELL_DETAILS_FULL},
                               unread.out(), &log);
  if (bpf) {
    return {
        {KNELL_FINDING_OK, "bpf",
         "fork, exec, exit and comm, filtered in the kernel, with arguments and signal senders"}};
  }
  std::vector<Finding> findings;
  if (bpf.error().code == EPERM)
    findings.push_back({KNELL_FINDING_NO, "bpf", "needs CAP_BPF+CAP_PERFMON", "sudo"});
  else
    findings.push_back({KNELL_FINDING_NO, "bpf", bpf.error().message()});
  add_log(findings, log);
  return findings;
}

}  // namespace knell::source
