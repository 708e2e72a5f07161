// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "daemon/config.h"

namespace knell::daemon {

// The status of the daemon, as `knell status` shows it. Plain data. It depends on the client that
// requests it: a client that may not see all processes gets the totals and the listeners of its own
// user. docs/status.md describes each field; the JSON has the same names. nullopt (unknown) is null
// in JSON.
struct Status {
  static constexpr size_t kMostPredicatesText = 256;  // bytes shown; chosen, not measured
  struct Source {
    std::string name;   // "bpf", "connector"
    bool used = false;  // some events come from this source now
    // the purpose of the source: "events of processes"; or why it is not used
    std::string why;
    uint32_t types = 0;                // mask of the event types that come from it now
    uint64_t buffer_bytes = 0;         // the kernel's buffer for unread events
    uint64_t received = 0;             // events read from it
    std::optional<uint64_t> lost = 0;  // nullopt: events were lost, their number is unknown
    // `lost` by the mask of the types that the lost events may have
    std::vector<std::pair<uint32_t, uint64_t>> lost_by_types;
    uint64_t recovered = 0;  // events that were lost and recovered
    uint64_t repaired = 0;   // times the connector stopped sending and was repaired
  };
  // Requested events that were not sent to a listener, by the reason
  struct Withheld {
    uint64_t unknown_uid = 0;        // the uid of the process is unknown
    uint64_t unknown_namespace = 0;  // its pid in the listener's namespace is unknown
  };
  enum class Protocol { kCompat, kNative };
  struct Listener {
    uint64_t id = 0;  // number of the connection since the start of the daemon
    pid_t pid = 0;    // in the daemon's namespace; 0 if the requesting client is in another one
    uid_t uid = 0;
    std::string user;  // empty: no name
    std::string comm;  // any bytes
    Protocol protocol = Protocol::kNative;
    std::string scope;       // "everything", "uid 1000", "pid namespace"
    uint32_t mask = 0;       // the mask it subscribed to; 0: none
    std::string predicates;  // "unit=cron.service ended=1-255"; empty: none
    std::string level;       // "process", "raw"
    std::string details;     // "status", "names", "full"
    int64_t latency_ns = 0;
    uint64_t delivered = 0;  // events
    uint64_t lost = 0;       // events that did not fit in its queue
    uint64_t queued = 0;     // events in its queue
    uint64_t queued_bytes = 0;
    int64_t since_ns = 0;  // CLOCK_REALTIME when it connected
  };
  struct User {
    uid_t uid = 0;
    std::string user;
    uint32_t listeners = 0;
    uint64_t bytes = 0;    // in its queues
    uint32_t filters = 0;  // values of predicates
    uint64_t filter_steps = 0;
    uint32_t roots = 0;  // processes in its `under` predicates
  };
  struct Longest {           // maxima of CPU time since the start
    int64_t request_ns = 0;  // of one request by a user other than root
    int64_t turn_ns = 0;     // of serving all clients between two reads of the sources
  };
  struct Memory {
    uint64_t queue_bytes = 0;  // of all listeners
    uint64_t rss_bytes = 0;    // resident size of the process, including ring buffers
  };
  struct Exits {
    std::string unit;             // "cron.service"; "" if there is none; "_other" beyond the bound
    std::string ended;            // "exit 1", "SIGKILL oom"
    std::string comm, container;  // "" if not configured
    uint64_t count = 0;
  };

  struct Journal {
    std::string path;
    std::string state;    // "opening", "working", "slow", "failing"
    std::string problem;  // why it is slow or failing; otherwise empty
    std::string id;       // id of the journal; empty: it is not open yet
    uint32_t mask = 0;    // mask of the events that are written
    uint64_t written = 0;
    uint64_t lost_queue = 0;  // events dropped because the queue was full
    uint64_t lost_disk = 0;   // the same, while writes failed
    uint64_t commits = 0;
    uint64_t bytes = 0;  // size of the pages in use
    uint64_t queued_bytes = 0;
    int64_t oldest_seq = 0, next_seq = 0;
    std::optional<int64_t> oldest_ns;  // CLOCK_REALTIME, approximate; nullopt: there are no events
  };

  struct Restart {
    bool lost = false;          // events were lost
    uint64_t clients = 0;       // connections that were kept
    uint64_t clients_lost = 0;  // connections that could not be kept
    std::string text;           // what was taken over, or why nothing was
  };

  struct Durable {  // a durable listener, with or without a connection
    std::string name;
    uid_t uid = 0;  // its owner
    std::string user;
    pid_t pid = 0;  // the process that uses it; 0: none
    uint32_t mask = 0;
    std::string predicates;     // as in Listener
    std::string cursor;         // the last acknowledged event
    uint64_t pending = 0;       // events in the journal that are not acknowledged
    bool pending_exact = true;  // false: `pending` is an upper bound
    // CLOCK_REALTIME: a lower bound for the oldest of these events
    std::optional<int64_t> oldest_ns;
    uint64_t in_flight = 0;  // events that were sent and are not acknowledged
    uint64_t redelivered = 0;
    uint64_t failed = 0;   // number of failures reported by the listener
    uint64_t dropped = 0;  // pending events that the retention deleted
    bool dropped_exact = true;
    int64_t used_ns = 0;                // CLOCK_REALTIME of the last use
    std::optional<int64_t> expires_ns;  // CLOCK_REALTIME; nullopt: the name is in use
  };

  std::string version;
  pid_t pid = 0;
  int64_t started_ns = 0;  // CLOCK_REALTIME
  int64_t uptime_ns = 0;
  std::string kernel;  // "Linux 6.18.1 x86_64"
  std::vector<Source> sources;
  uint64_t drains = 0;                      // times the sources were read
  uint64_t wakeups = 0;                     // times the daemon woke up
  uint64_t events = 0;                      // events read from all sources
  std::optional<double> events_per_second;  // rate of events over the last minute
  // events delivered to all listeners, including disconnected ones
  uint64_t delivered = 0;
  // Events lost because a queue was full, for all these listeners
  uint64_t lost = 0;
  Withheld withheld;
  uint32_t clients = 0;  // connections, including those without a subscription
  uint64_t refused = 0;  // refused connections
  Longest longest;
  std::vector<Listener> listeners;
  std::vector<User> users;
  Config::Limits limits;
  Memory memory;
  std::optional<Journal> journal;  // nullopt: no journal is written
  std::optional<Restart> restart;  // nullopt: no earlier daemon left a state or descriptors
  std::vector<Durable> durable;    // of this user; of all users for one that may see everything
  std::vector<Exits> exits;        // counts of the events in `count` of the configuration
  uint64_t nonzero_exits = 0;      // the sum of `exits` without those with status 0
};

// Fills version, pid, kernel and rss of the running process.
void describe_process(Status& status);

// One JSON object on one line, without a newline; always valid UTF-8.
std::string to_json(const Status& status);

}  // namespace knell::daemon
