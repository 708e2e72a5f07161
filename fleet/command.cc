// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <knell/knell.hpp>

#include "base/nearest.h"

namespace knell::fleet {
namespace {

std::vector<std::unique_ptr<Command>> all_commands() {
  std::vector<std::unique_ptr<Command>> all;
  all.push_back(make_init());
  all.push_back(make_forward());
  all.push_back(make_watch());
  all.push_back(make_history());
  all.push_back(make_hosts());
  return all;
}

std::string overview() {
  std::string out =
      "knell-fleet sends process events of many hosts to NATS JetStream: the events that readers "
      "request.\n\nUsage:\n";
  for (const auto& command : all_commands())
    out += fmt::format("  knell fleet {:<8} [OPTIONS]  {}\n", command->name(), command->summary());
  return out +
         "  knell fleet --version\n"
         "\n"
         "`knell fleet COMMAND --help` shows the options of a command, with examples.\n"
         "\n"
         "Exit status: 0 done, 1 failed, 2 wrong usage.\n";
}

// Returns whether all of it was written.
bool print(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDOUT_FILENO, text.data(), text.size());
    if (n < 0 && errno != EINTR) return false;
    if (n > 0) text.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

std::string describe(const CommandLine& line, const CommandLine::Error& error) {
  using Kind = CommandLine::Error::Kind;
  if (error.kind == Kind::kMissingValue) return error.subject + " needs a value";
  if (error.kind == Kind::kUnwantedValue) return error.subject + " takes no value";
  if (error.kind == Kind::kOther) return printable(error.text);
  const std::vector<std::string> names = line.option_names();
  const std::string_view near =
      nearest(error.subject, std::vector<std::string_view>(names.begin(), names.end()));
  if (near.empty())
    return fmt::format("'{}' is not an option; {} --help lists the options",
                       printable(error.subject), line.program());
  return fmt::format("unknown option {}; did you mean {}?", printable(error.subject), near);
}

int run(Command& command, std::vector<std::string> words) {
  CommandLine line(fmt::format("knell fleet {}", command.name()));
  line.add_help("this text");
  command.add_options(line);
  const auto parsed = line.parse(std::move(words));
  if (!parsed) {
    message(describe(line, parsed.error()));
    return kUsage;
  }
  if (*parsed == CommandLine::Parsed::kHelp) {
    const bool printed =
        print(fmt::format("knell fleet {} [OPTIONS]\n\n{}\n\n{}\n{}", command.name(),
                          command.summary(), line.options_text(), command.notes()));
    return printed ? kDone : kFailed;
  }
  if (const std::string empty = line.option_with_empty_value(); !empty.empty()) {
    message(empty + " needs a value");
    return kUsage;
  }
  if (const auto checked = command.check(); !checked) {
    message(checked.error().message());
    return checked.error().code == EINVAL ? kUsage : kFailed;
  }
  const auto status = command.execute();
  if (status) return *status;
  message(status.error().message());
  return kFailed;
}

}  // namespace

void message(std::string_view text) {
  const std::string line = fmt::format("knell-fleet: {}\n", text);
  (void)!::write(STDERR_FILENO, line.data(), line.size());
}

void ServerOptions::add(CommandLine& line) {
  line.add_value("--server", options_.servers, "URL",
                 "nats://HOST:PORT or tls://..., with commas between several; default "
                 "$KNELL_FLEET_SERVER, else nats://127.0.0.1:4222");
  line.add_value("--creds", options_.credentials, "FILE", "credentials with a JWT and a seed");
  line.add_value("--nkey", options_.nkey, "KEY", "public NKey of this user; needs --nkey-seed");
  line.add_value("--nkey-seed", options_.nkey_seed, "FILE", "the seed of --nkey");
  line.add_value("--tls-ca", options_.ca, "FILE", "use TLS, and trust these certificates (PEM)");
  line.add_value("--tls-cert", options_.cert, "FILE", "certificate of this client (PEM)");
  line.add_value("--tls-key", options_.key, "FILE", "the key of --tls-cert (PEM)");
}

Result<void> ServerOptions::check() {
  if (options_.servers.empty()) {
    const char* server = std::getenv("KNELL_FLEET_SERVER");
    options_.servers = server != nullptr && *server != '\0' ? server : "nats://127.0.0.1:4222";
  }
  if (options_.nkey.empty() != options_.nkey_seed.empty())
    return say(EINVAL, "--nkey and --nkey-seed must be used together");
  if (options_.cert.empty() != options_.key.empty())
    return say(EINVAL, "--tls-cert and --tls-key must be used together");
  if (!options_.cert.empty() && options_.ca.empty())
    return say(EINVAL, "--tls-cert needs --tls-ca");
  if (!options_.nkey.empty() && !options_.credentials.empty())
    return say(EINVAL, "--creds and --nkey cannot be used together");
  for (const std::string* file :
       {&options_.credentials, &options_.nkey_seed, &options_.ca, &options_.cert, &options_.key})
    if (!file->empty() && ::access(file->c_str(), R_OK) < 0)
      return errno_error(fmt::format("read {}", printable(*file)));
  return {};
}

int run_fleet(const std::vector<std::string>& words) {
  const std::string first = words.empty() ? "" : words[0];
  if (first == "--help" || first == "-h" || first == "help")
    return print(overview()) ? kDone : kFailed;
  if (first == "--version")
    return print(fmt::format("knell-fleet {}\n", version())) ? kDone : kFailed;
  if (first.empty()) {
    message("missing command; see knell fleet --help");
    return kUsage;
  }
  for (const auto& command : all_commands())
    if (command->name() == first) return run(*command, {words.begin() + 1, words.end()});
  message(fmt::format("unknown command '{}'; see knell fleet --help", printable(first)));
  return kUsage;
}

}  // namespace knell::fleet
