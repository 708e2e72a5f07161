// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/options.h"

#include <fmt/format.h>
#include <sys/un.h>

#include <algorithm>
#include <cstdlib>

#include "base/command_line.h"
#include "base/nearest.h"
#include "event/printable.h"

namespace knell::daemon {
namespace {

constexpr std::string_view kHelp =
    "knelld [OPTIONS]\n"
    "\n"
    "reads the process events of this machine once, and sends each listener those it requested\n"
    "\n"
    "Options:\n"
    "  -h,--help               this text\n"
    "  --version               prints the version\n"
    "  --config FILE           the configuration (default /etc/knell/knelld.toml, may be missing)\n"
    "  --check-config [FILE]   prints ok, or what is wrong in the file and where\n"
    "  --socket PATH           where to listen, instead of /run/knell/knell.sock\n"
    "  --supervise             restarts knelld when it dies, and holds its connections and events\n"
    "                          meanwhile, as systemd does with its descriptor store\n"
    "  --foreground            has no effect: knelld always stays in the foreground\n"
    "\n"
    "On SIGHUP knelld reads its configuration again and keeps all listeners; SIGTERM and SIGINT\n"
    "end it.\n"
    "Under systemd: systemctl enable --now knelld.socket knelld.service\n"
    "\n"
    "Exit status: 0 success; 1 failed, or --check-config found mistakes; 2 wrong usage.\n"
    "\n"
    "Examples:\n"
    "  knelld --check-config && systemctl reload knelld\n"
    "  knelld --socket /tmp/knell.sock & KNELL_SOCKET=/tmp/knell.sock knell status\n";

std::string describe_error(const CommandLine::Error& error) {
  if (error.kind != CommandLine::Error::Kind::kUnexpectedWord) {
    std::string text = error.text;
    std::ranges::replace(text, '\n', ' ');
    return event::printable(text) + "; see knelld --help";
  }
  constexpr std::string_view kKnown[] = {"--help",   "--version",   "--config",    "--check-config",
                                         "--socket", "--supervise", "--foreground"};
  const std::string& word = error.subject;
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
  CommandLine line("knelld");
  line.add_flag("-h,--help", help);
  line.add_flag("--version", version);
  line.add_flag("--foreground", foreground);
  line.add_flag(kSupervise, out.supervise);
  line.add_value("--config", config);
  line.add_optional_value("--check-config", check);
  line.add_value("--socket", out.socket_path);
  if (const auto parsed = line.parse(words); !parsed)
    return say(EINVAL, describe_error(parsed.error()));
  if (help || version) {
    out.action = Options::Action::kPrint;
    out.text = help ? std::string(kHelp) : fmt::format("knelld {}\n", KNELL_VERSION);
    return out;
  }
  if (line.given("--config")) out.config_file = config;
  if (line.given("--check-config")) out.action = Options::Action::kCheckConfig;
  if (!check.empty()) out.config_file = check;
  if (line.given("--socket") && out.socket_path.empty())
    return say(EINVAL, "--socket needs a path");
  if (out.socket_path.size() >= sizeof(sockaddr_un::sun_path)) {
    return say(EINVAL, fmt::format("--socket must have at most {} bytes",
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
  } else {
    return read;
  }
  // A second daemon, for a test or in a container: the default journal belongs to the first one.
  if (read.config.journal.path == kDefaultJournal) read.config.journal.enabled = false;
  return read;
}

}  // namespace knell::daemon
