// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/intake.h"

#include <cstdlib>
#include <utility>

#include "base/container.h"

namespace knell::exporter {
namespace {

using Match = std::pair<std::string, std::string>;

Outcome<std::vector<Match>> parse(const std::vector<std::string>& matches) {
  std::vector<Match> out;
  for (const std::string& text : matches) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos)
      return fail(kUsage, "--match takes KEY=VALUE, such as unit=postgresql, not '{}'",
                  printable(text));
    Match match(text.substr(0, equals), text.substr(equals + 1));
    if (check_match(match.first, match.second)) return fail(kUsage, "--match: {}", explain());
    out.push_back(std::move(match));
  }
  return out;
}

// Why the listener could not be opened, and how to start knelld if there is none.
std::string why_not_opened(const std::error_code& error) {
  std::string why = printable(explain());
  const char* const named = std::getenv("KNELL_SOCKET");
  const std::string path = named != nullptr ? named : "/run/knell/knell.sock";
  const bool none =
      error == std::errc::no_such_file_or_directory || error == std::errc::connection_refused;
  if (none && !path.empty()) why += "; " + start_daemon_hint(path);
  return why;
}

}  // namespace

Outcome<Intake> Intake::create(const Options& options) {
  auto matches = parse(options.matches);
  if (!matches) return std::unexpected(std::move(matches).error());
  knell::Options open;
  open.events = options.events;
  open.details = options.details;
  open.via = KNELL_VIA_DAEMON;
  open.set_latency(options.latency);
  if (!options.durable.empty()) open.durable = options.durable.c_str();
  std::error_code error;
  Listener listener = Listener::open(open, error);
  if (error) return fail(kNothingHere, "{}", why_not_opened(error));
  for (const auto& [key, value] : *matches) {
    if (listener.match(key, value)) return fail(kFailed, "{}", printable(explain()));
  }
  Intake intake(std::move(listener), !options.durable.empty());
  // Subscribes now, because knelld checks the name when a listener subscribes.
  if (!intake.durable_) return intake;
  if (const auto refused = intake.listener_.flush_acks())
    return fail(kNothingHere, "{}{}", printable(explain()),
                refused == std::errc::operation_not_supported ? "; or use --plain" : "");
  return intake;
}

Outcome<Events> Intake::take() {
  std::error_code error;
  const auto read = listener_.read(pointers_, error);
  taken_ = read.size();
  // ENOMEM: the library reports the events that it could not store as lost.
  if (error && error != std::errc::not_enough_memory)
    return fail(kNothingHere, "{}", printable(explain()));
  return Events(read);
}

void Intake::delivered() {
  for (const knell_event& event : Events(std::span(pointers_).first(taken_))) {
    if (event.type != KNELL_EVENT_LOST) {
      ++counts_.delivered;
      continue;
    }
    ++counts_.losses;
    counts_.lost += event.lost_count;  // 0 if it is unknown
  }
  if (durable_ && taken_ != 0) (void)listener_.ack(*pointers_[taken_ - 1]);
  taken_ = 0;
}

void Intake::settle() {
  if (durable_) (void)listener_.flush_acks();
}

bool Intake::connected() const {
  knell_stats stats{};
  stats.size = sizeof stats;
  return knell_get_stats(listener_.get(), &stats) == 0 && stats.daemon == KNELL_DAEMON_HERE;
}

}  // namespace knell::exporter
