// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell compat`: executes CMD with libknell-compat.so preloaded. Everything that can be known to
// fail is checked and reported before, because after exec nothing would explain why CMD receives no
// events.
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <knell/knell.hpp>
#include <system_error>

#include "cli/command.h"
#include "cli/daemon_check.h"
#include "cli/find_program.h"
#include "cli/preload.h"
#include "cli/signals.h"

namespace knell::cli {
namespace {

class Compat final : public Command {
 public:
  std::string_view name() const override { return "compat"; }
  std::string_view synopsis() const override { return "[OPTIONS] -- CMD ARG..."; }
  std::string_view summary() const override { return "runs an unmodified client of the connector"; }
  std::string_view notes() const override;
  Tail tail() const override { return Tail::kAfterOptions; }
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<void> set_environment() const;

  std::string rule_ = "released";
  bool direct_ = false, as_root_ = false, force_ = false;
};

std::string_view Compat::notes() const {
  return "CMD's socket of the process events connector becomes a connection to knelld: CMD works\n"
         "in containers, with the pids of the container, and without privilege, with the\n"
         "processes of its user. With --direct CMD keeps the socket of the kernel's connector,\n"
         "and filters of Linux 6.6 work on older kernels.\n"
         "\n"
         "Exit status: CMD's; 3 knell compat cannot work here, and CMD was not run; 126 CMD "
         "cannot\n"
         "be run; 127 CMD is not found.\n"
         "\n"
         "Examples:\n"
         "  knell compat -- forkstat -e exit\n"
         "  knell compat --as-root -- extrace\n"
         "  sudo knell compat --direct -- ./proc_filter -f\n";
}

void Compat::add_options(CommandLine& line) {
  line.add_flag("--direct", direct_, "use the kernel's process connector, not knelld");
  line.add_value("--rule", rule_, "RULE",
                 "released (default), or v6: in a mask NONZERO_EXIT overrides EXIT");
  line.add_flag("--as-root", as_root_, "getuid() and geteuid() of CMD return 0");
  line.add_flag("--force", force_, "allow a Go program, if C code in it opens the socket");
}

bool set(const char* name, const std::string& value) {
  return (value.empty() ? ::unsetenv(name) : ::setenv(name, value.c_str(), 1)) == 0;
}

Outcome<void> Compat::set_environment() const {
  const auto library = compat_library();
  if (!library) return fail(kNothingHere, library.error().message());
  const char* before = std::getenv("LD_PRELOAD");
  const std::string others = before != nullptr && *before != '\0' ? fmt::format(":{}", before) : "";
  // CMD may change its working directory, so a relative path is made absolute.
  const std::string socket = daemon_socket();
  std::error_code error;
  const bool relative = !socket.empty() && socket.front() != '/';
  const std::string there =
      relative ? std::filesystem::absolute(socket, error).string() : std::string();
  const bool done = set("LD_PRELOAD", *library + others) &&
                    (there.empty() || set("KNELL_SOCKET", there)) &&
                    set("KNELL_COMPAT_DIRECT", direct_ ? "1" : "") &&
                    set("KNELL_COMPAT_RULE", rule_ == "v6" ? "v6" : "") &&
                    set("KNELL_COMPAT_AS_ROOT", as_root_ ? "1" : "");
  if (!done) return failed("cannot set the environment: {}", std::strerror(errno));
  return {};
}

Outcome<int> execute_program(const std::string& program, std::vector<std::string>& words,
                             const Signals& signals) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  signals.restore();
  ::execvp(program.c_str(), pointers.data());  // a script without #! is run by the shell
  return fail(errno == ENOENT ? kNotFound : kCannotRun,
              fmt::format("cannot run {}: {}", printable(program), std::strerror(errno)));
}

Outcome<int> Compat::execute(std::vector<std::string> tail) {
  if (rule_ != "released" && rule_ != "v6")
    return usage("--rule must be released or v6, not '{}'", printable(rule_));
  if (tail.empty()) return usage("missing command; use knell compat [OPTIONS] -- CMD ARG...");
  const auto program = find_program(tail.front());
  if (!program)
    return fail(program.error().code == ENOENT ? kNotFound : kCannotRun, program.error().message());
  if (const auto can = check_preloadable(*program, force_ ? Go::kAllow : Go::kRefuse); !can)
    return fail(kNothingHere, can.error().message());
  if (!direct_) KNELL_TRY(check_daemon(daemon_socket(), ", or use --direct"));
  KNELL_ASSIGN(const Signals signals, Signals::create({}, {}));
  KNELL_TRY(set_environment());
  return execute_program(*program, tail, signals);
}

}  // namespace

std::unique_ptr<Command> make_compat() { return std::make_unique<Compat>(); }

}  // namespace knell::cli
