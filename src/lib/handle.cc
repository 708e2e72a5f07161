// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/handle.h"

#include <string>

#include "client/connection_to_server.h"
#include "journal/cursor.h"
#include "journal/durable_name.h"
#include "lib/daemon_listener.h"
#include "lib/live_listener.h"
#include "lib/replay_listener.h"
#include "lib/structure_size.h"
#include "process/proc_reader.h"

namespace knell::lib {
namespace {

constexpr double kMostSpeed = 1e9;

Result<void> check_only_added(uint32_t only_added) {
  if (only_added > 1) return say(EINVAL, "only_added must be 0 or 1");
  return {};
}

Result<void> check_durable(const knell_options& options) {
  if (options.durable == nullptr) {
    if (options.cursor != nullptr || options.from != 0 || options.max_unacked != 0)
      return say(EINVAL, "cursor, from and max_unacked need `durable`, the name of the listener");
    return {};
  }
  KNELL_TRY(journal::check_durable_name(options.durable));
  if (options.level == KNELL_LEVEL_RAW || options.only_added != 0)
    return say(EINVAL, "a durable listener needs level KNELL_LEVEL_PROCESS and only_added 0");
  if (options.via != KNELL_VIA_AUTO && options.via != KNELL_VIA_DAEMON)
    return say(EINVAL, "a durable listener needs knelld: via must be KNELL_VIA_AUTO or _DAEMON");
  if (options.from > KNELL_FROM_NEWEST) return say(EINVAL, "from must be one of KNELL_FROM_*");
  if (options.cursor != nullptr && !journal::parse_cursor(options.cursor))
    return say(EINVAL, "cursor is not one of an event: it looks like k1:JOURNAL:NUMBER");
  if (options.max_unacked > wire::kMostUnackedEvents)
    return say(EINVAL, "max_unacked must be at most " + std::to_string(wire::kMostUnackedEvents));
  return {};
}

Result<void> check(const knell_options& options) {
  if (options.level > KNELL_LEVEL_RAW)
    return say(EINVAL, "level must be KNELL_LEVEL_PROCESS or KNELL_LEVEL_RAW");
  if (options.details > KNELL_DETAILS_STATUS)
    return say(EINVAL, "details must be one of KNELL_DETAILS_*");
  if (options.via > KNELL_VIA_PTRACE || options.via == KNELL_VIA_PROC)
    return say(EINVAL, "via must be KNELL_VIA_AUTO, _DAEMON, _BPF, _CONNECTOR, _PIDFD or _PTRACE");
  if (options.via == KNELL_VIA_RECORDING)
    return say(EINVAL,
               "via must not be KNELL_VIA_RECORDING: open a recording with knell_open_recording()");
  if (options.latency_ns < KNELL_LATENCY_NONE || options.latency_ns > INT64_C(60'000'000'000))
    return say(EINVAL, "latency_ns must be from 0 (the default) to 60 s, or KNELL_LATENCY_NONE");
  if (options.args_bytes > process::kArgsBytes)
    return say(EINVAL, "args_bytes must be at most " + std::to_string(process::kArgsBytes));
  if (options.recover > 1) return say(EINVAL, "recover must be 0 or 1");
  if (options.recover != 0 && options.level == KNELL_LEVEL_RAW)
    return say(EINVAL, "recover needs KNELL_LEVEL_PROCESS: events of threads cannot be recovered");
  if (options.reserved != 0) return say(EINVAL, "reserved must be 0");
  KNELL_TRY(check_durable(options));
  return check_only_added(options.only_added);
}

knell_options resolved(knell_options options) {
  if (options.via == KNELL_VIA_PIDFD) options.only_added = 1;
  if (options.durable != nullptr) {
    options.via = KNELL_VIA_DAEMON;
    options.recover = 1;
  }
  return options;
}

// Opens a listener through the daemon if the daemon accepts it, otherwise with sources in this
// process. Errors: with KNELL_VIA_DAEMON those of the daemon, otherwise those of the sources.
Result<std::unique_ptr<knell_listener>> open_live(const knell_options& options) {
  const bool insists = options.via == KNELL_VIA_DAEMON;
  const std::string path = client::socket_path();
  if (insists && path.empty())
    return say(ENOENT, std::string(options.durable != nullptr ? "durable" : "via daemon") +
                           ": KNELL_SOCKET is empty, which disables the daemon; unset it");
  if (insists) return DaemonListener::create(options, path);
  if (options.via == KNELL_VIA_AUTO && !path.empty())
    if (auto there = DaemonListener::create(options, path)) return there;
  return LiveListener::create(options);
}

}  // namespace

Result<std::unique_ptr<knell_listener>> open_listener(const knell_options* given) {
  KNELL_ASSIGN(const knell_options options, copy_request(given));
  KNELL_TRY(check(options));
  return open_live(resolved(options));
}

Result<std::unique_ptr<knell_listener>> open_recording(const char* path,
                                                       const knell_replay_options* given) {
  KNELL_ASSIGN(const knell_replay_options options, copy_request(given));
  if (!(options.speed >= 0) || options.speed > kMostSpeed)
    return say(EINVAL, "speed must be from 0 (as fast as possible) to 1e9");
  KNELL_TRY(check_only_added(options.only_added));
  return ReplayListener::create(path, options);
}

}  // namespace knell::lib
