// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/external.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <knell/knell.hpp>
#include <utility>

#include "cli/find_program.h"
#include "cli/signals.h"

namespace knell::cli {
namespace {

constexpr ExternalCommand kCommands[] = {
    {"export", "knell-export", "sends events to Prometheus, OpenTelemetry or the systemd journal"},
    {"fleet", "knell-fleet", "shows the events of many hosts, over NATS JetStream"},
};

Result<std::string> find(const std::string& program, const std::string& self) {
  const size_t slash = self.rfind('/');
  if (slash != std::string::npos) {
    auto beside = find_program(self.substr(0, slash + 1) + program);
    if (beside) return beside;
  }
  return find_program(program);
}

}  // namespace

std::span<const ExternalCommand> external_commands() { return kCommands; }

Outcome<int> execute_external(const ExternalCommand& command, const std::string& self,
                              std::vector<std::string> words) {
  const std::string program(command.program);
  const auto path = find(program, self);
  if (!path && path.error().code == ENOENT)
    return failed("{} is not installed; knell {} needs the package {}: apt install {}", program,
                  command.name, program, program);
  if (!path) return failed("{}", path.error().message());
  words.insert(words.begin(), program);
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  Signals::restore_failing_writes();
  ::execv(path->c_str(), arguments.data());
  const int error = errno;
  Signals::ignore_failing_writes();
  return failed("cannot execute {}: {}", printable(*path), std::strerror(error));
}

}  // namespace knell::cli
