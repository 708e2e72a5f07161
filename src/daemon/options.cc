// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>

#include "base/nearest.h"
#include "event/printable.h"

namespace knell::daemon {
namespace {

constexpr std::string_view kHelp =
    "knelld [OPTIONS]\n"
    "\n"
    "reads this machine's process events once, and tells each listener what it asked for\n"
    "\n"
    "Options:\n"
    "  -h,--help               this text\n"
    "  --version               prints the version\n"
    "  --config FILE           instead of /etc/knell/knelld.toml, which may be missing\n"
    "  --check-config [FILE]   prints ok, or what is wrong in the file and where\n"
    "  --socket PATH           where to listen, instead of /run/knell/knell.sock\n"
    "  --foreground            the default: it never goes into the background\n"
    "\n"
    "SIGHUP reads the configuration again, and listeners stay; SIGTERM and SIGINT end it.\n"
    "Under systemd: systemctl enable --now knelld.socket knelld.service\n"
    "\n"
    "Exit status: 0 ended as asked; 1 failed, or --check-config found mistakes; 2 wrong usage.\n"
    "\n"
    "Examples:\n"
    "  knelld --check-config && systemctl reload knelld\n"
    "  knelld --socket /tmp/knell.sock & KNELL_SOCKET=/tmp/knell.sock knell status\n";

std::string in_one_line(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> rest = app.remaining();
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr || rest.empty()) {
    std::string text = error.what();
    std::ranges::replace(text, '\n', ' ');
    return event::printable(text) + "; see knelld --help";
  }
  constexpr std::string_view kKnown[] = {"--help",         "--version", "--config",
                                         "--check-config", "--socket",  "--foreground"};
  const std::string& word = rest.front();
  const std::string_view near = nearest(word, kKnown);
  const std::string what = fmt::format("unknown option {}", event::printable(word));
  return near.empty() ? what + "; see knelld --help"
                      : fmt::format("{}; did you mean {}?", what, near);
}

}  // namespace

Result<Options> parse_options(const std::vector<std::string>& words) {
  Options out;
  std::string config, check;
  bool help = false, version = false, foreground = false;
  CLI::App app;
  app.set_help_flag();
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_flag("-h,--help", help);
  app.add_flag("--version", version);
  app.add_flag("--foreground", foreground);
  const CLI::Option* const configured = app.add_option("--config", config);
  const CLI::Option* const checked = app.add_option("--check-config", check)->expected(0, 1);
  const CLI::Option* const socket = app.add_option("--socket", out.socket_path);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return say(EINVAL, in_one_line(app, error));
  }
  if (help || version) {
    out.action = Options::Action::kPrint;
    out.text = help ? std::string(kHelp) : fmt::format("knelld {}\n", KNELL_VERSION);
    return out;
  }
  if (configured->count() != 0) out.config_file = config;
  if (checked->count() != 0) out.action = Options::Action::kCheckConfig;
  // CLI11 gives "{}" for an optional value that is not there.
  if (checked->count() != 0 && !check.empty() && check != "{}") out.config_file = check;
  if (socket->count() != 0 && out.socket_path.empty()) return say(EINVAL, "--socket needs a path");
  if (out.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return say(EINVAL, fmt::format("--socket: too long, at most {} bytes",
                                   sizeof(sockaddr_un::sun_path) - 1));
  }
  return out;
}

Result<ReadConfig> configuration(const Options& options) {
  const std::string file = options.config_file.value_or(std::string(kDefaultConfigFile));
  const auto when_missing = options.config_file ? WhenMissing::kError : WhenMissing::kDefaults;
  KNELL_ASSIGN(ReadConfig read, read_config(file, when_missing));
  const char* const environment = std::getenv("KNELL_SOCKET");
  if (!options.socket_path.empty()) {
    read.config.socket.path = options.socket_path;
  } else if (environment != nullptr && *environment != '\0') {
    read.config.socket.path = environment;
  }
  return read;
}

}  // namespace knell::daemon
