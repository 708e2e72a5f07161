// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace knell::daemon {

// What the daemon tells of itself: `knell status` shows it. Plain data, filled by the daemon for
// the one who asks: whoever may not see everything gets the totals, and of the listeners and users
// its own. docs/status.md tells each field; the JSON has the same names. nullopt is JSON's null:
// unknown.
struct Status {
  static constexpr size_t kMostPredicatesText = 256;  // bytes shown; picked, never tuned
  struct Source {
    std::string name;                  // "bpf", "connector"
    bool used = false;                 // some event comes from it now
    std::string why;                   // "the best there is"; not used: what it lacks here
    uint32_t types = 0;                // mask of the types that come from it now
    uint64_t buffer_bytes = 0;         // room the kernel keeps for what is not yet read
    uint64_t received = 0;             // events taken from it
    std::optional<uint64_t> lost = 0;  // nullopt: some, nobody knows how many
    uint64_t healed = 0;               // times that a deaf connector was mended
  };
  struct Withheld {                  // events not shown to a listener that asked for them, because
    uint64_t unknown_uid = 0;        // whose process it was is not known
    uint64_t unknown_namespace = 0;  // its pid in the listener's namespace is not known
  };
  enum class Protocol { kCompat, kNative };
  struct Listener {
    uint64_t id = 0;  // counts up from the start of the daemon
    pid_t pid = 0;    // as the daemon sees it
    uid_t uid = 0;
    std::string user;  // empty: no name
    std::string comm;  // any bytes
    Protocol protocol = Protocol::kNative;
    std::string scope;       // "everything", "uid 1000", "pid namespace"
    uint32_t mask = 0;       // 0: it has not asked for anything
    std::string predicates;  // "unit=cron.service ended=1-255"; empty: none
    std::string level;       // "process", "raw"
    std::string details;     // "status", "names", "full"
    int64_t latency_ns = 0;
    uint64_t delivered = 0;  // events
    uint64_t lost = 0;       // events its own queue had no room for
    uint64_t queued = 0;     // events waiting to be read
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
    uint32_t roots = 0;  // processes that its `under` name
  };
  struct Limits {
    uint32_t clients = 0, clients_per_user = 0;
    uint64_t queue_bytes = 0, memory_bytes = 0, memory_per_user_bytes = 0;
    uint32_t filters_per_user = 0, filter_steps_per_user = 0, requests_per_second = 0;
  };
  struct Longest {           // since the start, in CPU time
    int64_t request_ns = 0;  // that a request of anybody but root took
    int64_t turn_ns = 0;     // that all clients took between two looks at the sources
  };
  struct Memory {
    uint64_t queue_bytes = 0;  // of all listeners
    uint64_t rss_bytes = 0;    // resident, of the process; rings count
  };
  struct Exits {
    std::string unit;   // "cron.service", "" where there is none, "_other" beyond the bound
    std::string ended;  // "exit 1", "SIGKILL oom"
    std::string comm, container;  // "" where it is not counted by
    uint64_t count = 0;
  };

  std::string version;
  pid_t pid = 0;
  int64_t started_ns = 0;  // CLOCK_REALTIME
  int64_t uptime_ns = 0;
  std::string kernel;  // "Linux 6.18.1 x86_64"
  std::vector<Source> sources;
  uint64_t drains = 0;                      // times the sources were read
  uint64_t wakeups = 0;                     // times the daemon woke up
  uint64_t events = 0;                      // taken from all sources
  std::optional<double> events_per_second;  // over the last minute
  uint64_t delivered = 0;                   // to all listeners, those that have gone included
  uint64_t lost = 0;                        // by full queues of listeners, likewise
  Withheld withheld;
  uint32_t clients = 0;  // connections, those that listen to nothing included
  uint64_t refused = 0;  // connections that were turned away
  Longest longest;
  std::vector<Listener> listeners;
  std::vector<User> users;
  Limits limits;
  Memory memory;
  std::vector<Exits> exits;    // of what is counted (`count` of the configuration)
  uint64_t nonzero_exits = 0;  // their sum, without those that ended with 0
};

// Fills version, pid, kernel and rss of the running process.
void describe_process(Status& status);

// One object, one line, without a newline; valid UTF-8 whatever the names hold.
std::string to_json(const Status& status);

}  // namespace knell::daemon
