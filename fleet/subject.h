// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace knell::fleet {

// The names of a fleet's subjects, streams and buckets. A subject is tokens with dots between them;
// readers select by token, so each token means one thing:
//
//   knell.ev.SHARD.HOST.TYPE.ENDED  events: TYPE is the name of the type, ENDED how a process ended
//   knell.hb.HOST                   presence of a host, once every heartbeat interval
//   knell.ctl.all                   the interest of the fleet, whenever it changes
//   knell.rq.HOST                   requests for past events of the host: see history_query.h
//   knell.rp.HOST.QUERY             answers of the host to the reader that has this query
//
// The events are in one or more streams, the shards: KNELL_EVENTS_3 has the subjects knell.ev.3.>.
// A host sends to the shard that shard_of() returns for its name and the number of shards, which is
// part of the interest of the fleet. The number can grow, so a reader reads all shards that exist.
constexpr const char* kEventStream = "KNELL_EVENTS_0";  // exists in every fleet
constexpr const char* kEventSubjects = "knell.ev.0.>";
// chosen, not measured; with 5,000 hosts about 80 in each shard
constexpr uint32_t kMostShards = 64;
constexpr const char* kHostStream = "KNELL_HOSTS";
constexpr const char* kHostSubjects = "knell.hb.*";
constexpr const char* kControlSubject = "knell.ctl.all";
// The bucket of the interest has one key; see interest.h.
constexpr const char* kInterestBucket = "knell_interest";
constexpr const char* kInterestKey = "_all";
constexpr const char* kInterestStream = "KV_knell_interest";
constexpr const char* kInterestSubject = "$KV.knell_interest._all";

constexpr size_t kMostHostBytes = 64;  // chosen, not measured: a DNS label has up to 63

// Checks a name of a host: letters, digits, `-` and `_`. Errors: EINVAL.
Result<std::string> parse_host(std::string_view name);
// Makes the name of a host from the name of a machine: other characters become `_`, and a name that
// is too long is cut. "host" if it is empty.
std::string host_of_machine(std::string_view nodename);

// "ok", "nz" (non-zero exit code), "sig", "core", "oom" or "unknown" for an exit, "lost" for a lost
// event, "none" for other types.
std::string_view ended_token(const knell_event& event);
std::string event_stream(uint32_t shard);
uint32_t shard_of(std::string_view host, uint32_t shards);
std::string event_subject(uint32_t shard, std::string_view host, const knell_event& event);
// The host of an event_subject(); "": it is another subject.
std::string host_of_event(std::string_view subject);
std::string presence_subject(std::string_view host);
std::string request_subject(std::string_view host);
// `host` may be "*".
std::string reply_subject(std::string_view host, std::string_view query);
// The host of a reply_subject(); "": it is another subject.
std::string host_of_reply(std::string_view subject);
// The subjects of one shard with the events of the hosts that match the glob: exact for a plain
// name; otherwise of all hosts, since NATS has no globs within a token.
std::string subjects_of_hosts(uint32_t shard, std::string_view host_glob);

// Whether the name of a host matches the glob of fnmatch(3).
bool host_matches(const std::string& glob, const std::string& host);

}  // namespace knell::fleet
