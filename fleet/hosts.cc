// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-fleet hosts`: lists the hosts, and which of them are silent.
#include "fleet/hosts.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <knell/knell.hpp>

#include "base/clock.h"
#include "base/duration.h"
#include "fleet/command.h"
#include "fleet/selection.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kPatience(5000);
// lag_ms of a host is not trusted
constexpr uint64_t kMostLagMs = uint64_t{1000} * 86'400 * 365 * 100;
constexpr const char* kRow = "{:<20} {:>8} {:>9} {:>7} {:>7} {:>7} {:>6}  {:<24} {}\n";

std::string or_dash(const std::string& text) { return text.empty() ? "-" : printable(text); }

class Hosts final : public Command {
 public:
  std::string_view name() const override { return "hosts"; }
  std::string_view summary() const override {
    return "shows the hosts of the fleet, the events that they send, and their problems";
  }
  std::string_view notes() const override {
    return "A host is silent when it missed two and a half heartbeats. UNSENT are the events that "
           "wait\n"
           "at the forwarder, LAG is the age of the oldest of them; UNACKED are the events that "
           "its\n"
           "journal keeps until they are safe at the server; LOST are the events that it lost.\n"
           "\n"
           "Exit status: 0 shown; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell fleet hosts\n"
           "  knell fleet hosts -H 'db*' -o json\n";
  }
  void add_options(CommandLine& line) override {
    server_.add(line);
    line.add_value("-H,--host", glob_, "GLOB", "these hosts only");
    line.add_value("-o,--output", output_, "FORMAT", "table (default) or json");
  }
  Result<void> check() override {
    KNELL_TRY(server_.check());
    KNELL_ASSIGN(json_, is_json(output_));
    return {};
  }
  Result<int> execute() override;

 private:
  std::string row(const HostSeen& host) const;

  ServerOptions server_;
  std::string glob_, output_;
  bool json_ = false;
};

std::string Hosts::row(const HostSeen& host) const {
  const Presence& p = host.presence;
  const nanoseconds age = host.age();
  const bool silent = host.is_silent();
  if (json_) {
    std::string line = presence_json(p);
    line.pop_back();
    return line + fmt::format(R"(,"age_ns":{},"silent":{}}})", age.count(), silent) + '\n';
  }
  std::string asked = or_dash(p.asked);
  if (!p.predicates.empty()) asked += " " + printable(p.predicates);
  const std::string lag =
      p.lag_ms == 0 ? "-" : duration_text(milliseconds(std::min(p.lag_ms, kMostLagMs)));
  std::string state = silent ? "silent for " + duration_text(age) : printable(p.state);
  for (size_t at = 0, end; (end = p.refused.find('\n', at)) != p.refused.npos; at = end + 1)
    state += "; refuses " + printable(std::string_view(p.refused).substr(at, end - at));
  return fmt::format(kRow, p.host, duration_text(age), p.events, p.unsent, lag, p.unacked, p.lost,
                     asked, state);
}

Result<int> Hosts::execute() {
  KNELL_ASSIGN(const auto connection, Connection::create(server_.get()));
  KNELL_ASSIGN(const auto hosts, read_hosts(*connection));
  std::string out;
  if (!json_)
    out = fmt::format(kRow, "HOST", "SEEN", "EVENTS", "UNSENT", "LAG", "UNACKED", "LOST", "ASKED",
                      "STATE");
  for (const auto& [name, host] : hosts) {
    if (!glob_.empty() && !host_matches(glob_, name)) continue;
    out += row(host);
  }
  if (::write(STDOUT_FILENO, out.data(), out.size()) < 0) return errno_error("write the output");
  return kDone;
}

}  // namespace

nanoseconds HostSeen::age() const {
  return nanoseconds(std::max<int64_t>(system_clock().realtime_ns() - seen_ns, 0));
}

bool HostSeen::is_silent() const {
  return fleet::is_silent(presence, std::chrono::duration_cast<milliseconds>(age()));
}

Result<HostsReader> HostsReader::create(Connection& connection) {
  KNELL_ASSIGN(auto reader, StreamReader::create(connection, kHostStream, kHostSubjects,
                                                 StreamReader::From::kOldest));
  return HostsReader(std::move(reader));
}

bool HostsReader::next(milliseconds timeout) {
  const auto message = reader_->next(timeout);
  if (!message) return false;
  // A host can publish only under its own name; the name in the message is not trusted.
  const auto presence = parse_presence(message->data);
  if (presence && presence_subject(presence->host) == message->subject)
    hosts_[presence->host] = {*presence, message->time_ns};
  return true;
}

Result<std::map<std::string, HostSeen>> read_hosts(Connection& connection) {
  KNELL_ASSIGN(auto reader, HostsReader::create(connection));
  while (!reader.at_end())
    if (!reader.next(kPatience)) {
      const std::string refused = connection.refusal();
      return say(refused.empty() ? ETIMEDOUT : EACCES,
                 fmt::format("the server does not send the presence of the hosts{}{}",
                             refused.empty() ? "" : ": ", refused));
    }
  return reader.hosts();
}

std::unique_ptr<Command> make_hosts() { return std::make_unique<Hosts>(); }

}  // namespace knell::fleet
