// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/listener.h"

#include <string>

#include "client/connection_to_server.h"
#include "lib/daemon_listener.h"
#include "lib/live_listener.h"
#include "lib/replay.h"
#include "lib/sized.h"
#include "watch/proc_reader.h"

namespace knell::lib {
namespace {

constexpr double kMostSpeed = 1e9;

Result<void> check(const knell_options& options) {
  if (options.level > KNELL_LEVEL_RAW)
    return say(EINVAL, "level is KNELL_LEVEL_PROCESS or KNELL_LEVEL_RAW");
  if (options.details > KNELL_DETAILS_STATUS)
    return say(EINVAL, "details is one of KNELL_DETAILS_*");
  if (options.latency_ns < 0 || options.latency_ns > INT64_C(60'000'000'000))
    return say(EINVAL, "the latency budget is between 0 and 60 s");
  if (options.args_bytes > watch::kArgsBytes)
    return say(EINVAL, "args_bytes is at most " + std::to_string(watch::kArgsBytes));
  if (!(options.speed >= 0) || options.speed > kMostSpeed)
    return say(EINVAL, "speed is 0, for as fast as it can be read, or above it and at most 1e9");
  if (options.durable != nullptr) return say(ENOTSUP, "durable listeners are not in this build");
  return {};
}

std::string_view via_of(const knell_options& options) {
  return options.via == nullptr ? "auto" : options.via;
}

// The daemon where it answers and takes us, else this process's own sources. Errors: those of what
// was insisted on; else of the sources.
Result<std::unique_ptr<knell_listener>> open_live(const knell_options& options) {
  const std::string_view via = via_of(options);
  const bool insists = via == "daemon";
  const std::string path = client::socket_path();
  if (insists && path.empty())
    return say(ENOENT, "via daemon: KNELL_SOCKET is empty, so there is none to be used; unset it");
  if (insists) return DaemonListener::create(options, path);
  if (via == "auto" && !path.empty())
    if (auto there = DaemonListener::create(options, path)) return there;
  return LiveListener::create(options);
}

}  // namespace

Result<std::unique_ptr<knell_listener>> open_listener(const knell_options* given) {
  KNELL_ASSIGN(const knell_options options, copy_request(given));
  KNELL_TRY(check(options));
  const bool replay = via_of(options) == "recording";
  if (replay && options.recording == nullptr)
    return say(EINVAL, "via recording: knell_options.recording says which");
  if (options.recording == nullptr) return open_live(options);
  if (!replay && via_of(options) != "auto")
    return say(EINVAL, "a recording is not read via " + std::string(options.via));
  return Replay::create(options);
}

}  // namespace knell::lib
