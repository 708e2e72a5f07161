// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "journal/store.h"

namespace knell::daemon {

constexpr std::string_view kDefaultConfigFile = "/etc/knell/knelld.toml";
constexpr std::string_view kDefaultJournal = KNELL_JOURNAL_PATH;
constexpr size_t kMebibyte = size_t{1} << 20;

enum class SourceChoice { kAuto, kBpf, kConnector };
enum class LogLevel { kError, kWarning, kInfo, kDebug };

// The configuration, with its defaults. knelld.toml(5) describes each key; packaging/knelld.toml
// has the same defaults. Plain data.
struct Config {
  struct Socket {
    std::string path = "/run/knell/knell.sock";
    mode_t mode = 0666;  // every user may connect; the scope of each peer depends on its user
    std::string group = "knell";  // owns the socket, if the group exists
    bool operator==(const Socket&) const = default;
  };

  // A client that exceeds a limit gets an error, loses events of its own queue, or has to wait.
  // Other clients are not affected.
  struct Limits {
    uint32_t clients = 4096;
    uint32_t clients_per_user = 256;
    size_t queue_bytes = 4 * kMebibyte;             // of one listener
    size_t memory_bytes = 256 * kMebibyte;          // of all queues together
    size_t memory_per_user_bytes = 64 * kMebibyte;  // of the queues of one user
    uint32_t filters_per_user = 4096;               // values of predicates
    uint32_t filter_steps_per_user = 1 << 17;       // cost of matching one event against them
    uint32_t requests_per_second = 1000;            // by one client
    uint32_t durable_per_user = 16;                 // durable listeners; root: 256, all together
    bool operator==(const Limits&) const = default;
  };

  // Users and groups, besides root, that may see the processes of all users. Names are looked up
  // when the file is read. Unknown names are ignored.
  struct Visibility {
    std::vector<uid_t> users;
    std::vector<gid_t> groups;
    bool operator==(const Visibility&) const = default;
  };

  // Secrets in arguments are redacted before events are queued.
  struct Redact {
    bool enabled = true;
    std::vector<std::string> flags;   // additional flags whose value is a secret: "--my-secret"
    std::vector<std::string> except;  // built-in flags whose value is not redacted
    bool operator==(const Redact&) const = default;
  };

  // The events that are stored for `knell history`.
  struct Journal {
    bool enabled = true;
    std::string path{kDefaultJournal};
    uint32_t mask = KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_COREDUMP;
    // enum knell_details; nullopt: full over bpf, else names, because over the connector full
    // details cost a wakeup for each fork and exec.
    std::optional<uint32_t> details;
    knell::journal::Sync sync = knell::journal::Sync::kProcess;
    size_t size_bytes = 1024 * kMebibyte;  // the oldest events are deleted beyond it
    int64_t age_ns = int64_t{30} * 86'400 * 1'000'000'000;  // and beyond this age
    size_t queue_bytes = 16 * kMebibyte;                    // of events that are not written yet
    bool operator==(const Journal&) const = default;
  };

  // Additional labels of the exit counters, besides unit and how the process ended.
  struct CountBy {
    bool comm = false;
    bool container = false;
    bool operator==(const CountBy&) const = default;
  };

  Socket socket;
  SourceChoice source = SourceChoice::kAuto;
  // The kernel's buffer for events that are not read yet, and over bpf a second one for exits that
  // do not fit in it; 0: the source's default.
  size_t buffer_bytes = 0, reserve_bytes = 0;
  Limits limits;
  Visibility visibility;
  Redact redact;
  // The events that are counted for `knell status`, even without any listener; 0: none.
  uint32_t count_mask = KNELL_EVENT_NONZERO_EXIT;
  CountBy count_by;
  Journal journal;
  LogLevel log_level = LogLevel::kInfo;
  bool operator==(const Config&) const = default;
};

// The defaults, with the gid of group knell in `visibility` if the group exists.
Config default_config();

// Lowers the sizes of the queues so that all of them together take at most three eighths of the
// memory limit of knelld's cgroup; the rings of the source take a twentieth. Returns whether a size
// was lowered.
bool fit_into_memory(Config& config, uint64_t limit);

struct ReadConfig {
  Config config;
  std::vector<std::string> warnings;  // one for each harmless mistake: "FILE:LINE:COLUMN: ..."
};

// `name` is used in messages only. Errors: EINVAL, with all mistakes at once, one line for each:
// "FILE:LINE:COLUMN: the mistake; a valid value".
Result<ReadConfig> parse_config(std::string_view text, std::string_view name);

enum class WhenMissing { kDefaults, kError };
Result<ReadConfig> read_config(const std::string& path, WhenMissing when_missing);

}  // namespace knell::daemon
