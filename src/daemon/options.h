// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/config.h"

namespace knell::daemon {

inline constexpr const char* kSupervise = "--supervise";

// The options of the command line.
struct Options {
  enum class Action { kServe, kCheckConfig, kPrint };
  Action action = Action::kServe;
  std::string text;                        // kPrint: the text to print, help or version
  std::optional<std::string> config_file;  // nullopt: the default file, which may be missing
  std::string socket_path;                 // empty: as in the configuration
  bool supervise = false;                  // run a daemon with the other options; see main.cc
};

// Errors: EINVAL, with a message that says what is wrong.
Result<Options> parse_options(const std::vector<std::string>& words);

// Reads the configuration file. $KNELL_SOCKET overrides its socket path, --socket overrides both.
Result<ReadConfig> configuration(const Options& options);

}  // namespace knell::daemon
