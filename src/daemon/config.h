// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace knell::daemon {

constexpr std::string_view kDefaultConfigFile = "/etc/knell/knelld.toml";
constexpr size_t kMebibyte = size_t{1} << 20;

enum class SourceChoice { kAuto, kBpf, kConnector };
enum class LogLevel { kError, kWarning, kInfo, kDebug };

// What the administrator may choose, with the defaults. knelld.toml(5) tells each key; the file of
// the package, packaging/knelld.toml, spells out the same values. Plain data: copied freely.
struct Config {
  struct Socket {
    std::string path = "/run/knell/knell.sock";
    mode_t mode = 0666;           // everybody may connect; who sees what is decided for each peer
    std::string group = "knell";  // owns the socket, where there is such a group
    bool operator==(const Socket&) const = default;
  };

  // Bounds. What breaks one is refused or disconnected in words; nobody else notices.
  struct Limits {
    uint32_t clients = 4096;
    uint32_t clients_per_user = 256;
    size_t queue_bytes = 4 * kMebibyte;             // of one listener
    size_t memory_bytes = 256 * kMebibyte;          // of all queues together
    size_t memory_per_user_bytes = 64 * kMebibyte;  // of the queues of one user
    uint32_t filters_per_user = 4096;               // values of predicates
    uint32_t filter_steps_per_user = 1 << 17;       // of judging one event by them
    uint32_t requests_per_second = 1000;            // of one client
    bool operator==(const Limits&) const = default;
  };

  // Who sees the processes of all users, besides root: names of the file, looked up when it was
  // read. Names that nobody has grant nothing.
  struct Visibility {
    std::vector<uid_t> users;
    std::vector<gid_t> groups;
    bool operator==(const Visibility&) const = default;
  };

  // Secrets in arguments, made unreadable before any queue.
  struct Redact {
    bool enabled = true;
    std::vector<std::string> flags;   // besides the usual ones: "--my-secret"
    std::vector<std::string> except;  // of the usual ones, those to leave readable
    bool operator==(const Redact&) const = default;
  };

  // What exits are counted by besides unit and how they ended.
  struct CountBy {
    bool comm = false;
    bool container = false;
    bool operator==(const CountBy&) const = default;
  };

  Socket socket;
  SourceChoice source = SourceChoice::kAuto;
  Limits limits;
  Visibility visibility;
  Redact redact;
  // The events that are counted for `knell status` even while nobody listens; 0: none.
  uint32_t count_mask = KNELL_EVENT_NONZERO_EXIT;
  CountBy count_by;
  LogLevel log_level = LogLevel::kInfo;
  bool operator==(const Config&) const = default;
};

// The defaults, with group knell looked up.
Config default_config();

struct ReadConfig {
  Config config;
  std::vector<std::string> warnings;  // "FILE:LINE:COLUMN: ...", of what is odd but harmless
};

// `name` is for messages only. All that is wrong is told at once: the error is a whole sentence, a
// line for each mistake, "FILE:LINE:COLUMN: what is wrong; what would be right".
Result<ReadConfig> parse_config(std::string_view text, std::string_view name);

enum class WhenMissing { kDefaults, kError };
Result<ReadConfig> read_config(const std::string& path, WhenMissing when_missing);

}  // namespace knell::daemon
