// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The configuration file. Each table is a list of keys with functions that read their values. A
// walk over the file finds unknown keys and wrong values, and continues after each, so that all
// mistakes are reported at once, each with its line and column.
#include "daemon/config.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <tuple>
#include <utility>

#include "base/duration.h"
#include "base/nearest.h"
#include "base/numbers.h"
#include "base/unique_fd.h"
#include "daemon/user_database.h"
#include "event/mask.h"
#include "event/printable.h"

#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace knell::daemon {
namespace {

constexpr std::string_view kGroup = "knell";
// Chosen, not measured: a thousand times the usual size of the file.
constexpr size_t kMostFile = kMebibyte;
constexpr uint64_t kLeastQueue = 64 << 10, kMostMemory = uint64_t{1} << 40;

template <class T>
struct Word {
  std::string_view word;
  T value;
};

class ConfigReader {
 public:
  explicit ConfigReader(std::string_view file) : file_(event::printable(file)) {}

  void read(const toml::table& root, Config& config);
  // Sorted by line and column.
  std::vector<std::string> take_errors() { return in_order(errors_); }
  std::vector<std::string> take_warnings() { return in_order(warnings_); }

 private:
  using Reader = std::function<void(const toml::node&)>;
  struct Key {
    std::string_view name;
    Reader read;
  };
  using Keys = std::vector<Key>;

  void walk(const toml::table& table, std::string_view name, const Keys& keys);
  Reader table(std::string_view name, Keys keys);

  Reader number(uint32_t& out, uint32_t low, uint32_t high);
  Reader size(size_t& out, uint64_t low, uint64_t high, std::string_view or_else = "");
  Reader size_or_auto(size_t& out, uint64_t low, uint64_t high);  // auto: 0
  Reader flag(bool& out);
  Reader text(std::string& out);
  Reader path(std::string& out);
  Reader mode(mode_t& out);
  Reader events(uint32_t& out);
  Reader file(std::string& out);
  Reader duration(int64_t& out);
  template <class T>
  Reader one_of(T& out, std::vector<Word<T>> words);
  Reader words(std::vector<std::string>& out);
  Reader count_by(Config::CountBy& out);
  Reader users(std::vector<uid_t>& out);
  Reader groups(std::vector<gid_t>& out);
  template <class Id>
  Reader ids(std::vector<Id>& out, std::string_view what,
             std::optional<Id> (*find)(const std::string&));

  void check_sizes(const Config::Limits& limits);
  struct Remark {
    toml::source_position at;
    std::string text;
  };
  static std::vector<std::string> in_order(std::vector<Remark>& remarks);
  void remark(std::vector<Remark>& to, const toml::source_region& source, std::string_view text) {
    const toml::source_position& at = source.begin;
    to.push_back({at, fmt::format("{}:{}:{}: {}", file_, at.line, at.column, text)});
  }
  template <class... Args>
  void wrong(const toml::node& at, fmt::format_string<Args...> format, Args&&... args) {
    remark(errors_, at.source(), key_ + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  std::string file_;
  std::string key_;  // the key whose value is being read

  std::vector<Remark> errors_, warnings_;
};

// Sorts by position, since toml++ visits the keys of a table in the order of their names.
std::vector<std::string> ConfigReader::in_order(std::vector<Remark>& remarks) {
  std::ranges::sort(remarks, [](const Remark& a, const Remark& b) {
    return std::tie(a.at.line, a.at.column, a.text) < std::tie(b.at.line, b.at.column, b.text);
  });
  std::vector<std::string> texts;
  texts.reserve(remarks.size());
  for (Remark& one : remarks) texts.push_back(std::move(one.text));
  return texts;
}

std::string unknown_key(std::string_view key, std::string_view table,
                        const std::vector<std::string_view>& known) {
  std::string out = fmt::format("unknown key '{}'", event::printable(key));
  if (!table.empty()) out += fmt::format(" in [{}]", table);
  const std::string_view near = nearest(key, known);
  if (!near.empty()) return out + fmt::format("; did you mean {}?", near);
  return out + fmt::format("; the keys are {}", fmt::join(known, ", "));
}

void ConfigReader::walk(const toml::table& table, std::string_view name, const Keys& keys) {
  for (const auto& [key, value] : table) {
    const auto at = std::ranges::find(keys, key.str(), &Key::name);
    if (at != keys.end()) {
      key_ = key.str();
      at->read(value);
      continue;
    }
    std::vector<std::string_view> known;
    for (const Key& one : keys) known.push_back(one.name);
    remark(errors_, key.source(), unknown_key(key.str(), name, known));
  }
}

ConfigReader::Reader ConfigReader::table(std::string_view name, Keys keys) {
  return [this, name, keys = std::move(keys)](const toml::node& node) {
    const toml::table* const inner = node.as_table();
    if (inner == nullptr) return wrong(node, "must be a table; write [{}]", name);
    walk(*inner, name, keys);
  };
}

ConfigReader::Reader ConfigReader::number(uint32_t& out, uint32_t low, uint32_t high) {
  return [this, &out, low, high](const toml::node& node) {
    const auto value = node.value_exact<int64_t>();
    if (!value || *value < low || *value > high)
      return wrong(node, "must be a whole number from {} to {}", low, high);
    out = static_cast<uint32_t>(*value);
  };
}

ConfigReader::Reader ConfigReader::size(size_t& out, uint64_t low, uint64_t high,
                                        std::string_view or_else) {
  return [this, &out, low, high, or_else](const toml::node& node) {
    std::optional<uint64_t> bytes;
    if (const auto text = node.value_exact<std::string_view>()) bytes = parse_size(*text);
    if (const auto number = node.value_exact<int64_t>(); number && *number >= 0)
      bytes = static_cast<uint64_t>(*number);
    if (!bytes || *bytes < low || *bytes > high) {
      return wrong(node, "must be {}a size from {} to {}, for example \"4M\"", or_else,
                   size_text(low), size_text(high));
    }
    out = *bytes;
  };
}

ConfigReader::Reader ConfigReader::size_or_auto(size_t& out, uint64_t low, uint64_t high) {
  return [this, &out, low, high](const toml::node& node) {
    if (node.value_exact<std::string_view>() == "auto")
      out = 0;
    else
      size(out, low, high, "\"auto\" or ")(node);
  };
}

ConfigReader::Reader ConfigReader::flag(bool& out) {
  return [this, &out](const toml::node& node) {
    const auto value = node.value_exact<bool>();
    if (!value) return wrong(node, "must be true or false");
    out = *value;
  };
}

ConfigReader::Reader ConfigReader::text(std::string& out) {
  return [this, &out](const toml::node& node) {
    const auto value = node.value_exact<std::string_view>();
    if (!value || value->empty()) return wrong(node, "must be a string in \"quotes\"");
    out = *value;
  };
}

ConfigReader::Reader ConfigReader::path(std::string& out) {
  return [this, &out](const toml::node& node) {
    constexpr size_t kMost = sizeof(sockaddr_un::sun_path) - 1;
    const auto value = node.value_exact<std::string_view>();
    if (!value || !value->starts_with('/') || value->find('\0') != std::string_view::npos)
      return wrong(node, "must be an absolute path, for example \"/run/knell/knell.sock\"");
    if (value->size() > kMost)
      return wrong(node, "the path of a socket must have at most {} bytes, not {}", kMost,
                   value->size());
    out = *value;
  };
}

ConfigReader::Reader ConfigReader::file(std::string& out) {
  return [this, &out](const toml::node& node) {
    const auto value = node.value_exact<std::string_view>();
    if (!value || !value->starts_with('/') || value->ends_with('/') ||
        value->find('\0') != std::string_view::npos)
      return wrong(node, "must be the absolute path of a file, for example \"{}\"",
                   kDefaultJournal);
    out = *value;
  };
}

ConfigReader::Reader ConfigReader::duration(int64_t& out) {
  return [this, &out](const toml::node& node) {
    const auto text = node.value_exact<std::string_view>();
    if (!text) return wrong(node, "must be a time in quotes, for example \"30d\"");
    const auto time = parse_duration(*text);
    if (!time) return wrong(node, "{}", time.error().message());
    if (time->count() < 60'000'000'000) return wrong(node, "must be at least \"1m\"");
    out = time->count();
  };
}

ConfigReader::Reader ConfigReader::mode(mode_t& out) {
  return [this, &out](const toml::node& node) {
    // A string, since 0666 is not a valid number in TOML, and 666 would be decimal.
    const auto text = node.value_exact<std::string_view>();
    const bool octal = text && text->size() >= 3 && text->size() <= 4 &&
                       text->find_first_not_of("01234567") == std::string_view::npos &&
                       (text->size() == 3 || text->front() == '0');
    if (!octal) return wrong(node, "must be a file mode in quotes, for example \"0660\"");
    out = 0;
    for (const char digit : *text) out = out * 8 + static_cast<mode_t>(digit - '0');
  };
}

ConfigReader::Reader ConfigReader::events(uint32_t& out) {
  return [this, &out](const toml::node& node) {
    const auto text = node.value_exact<std::string_view>();
    if (!text) return wrong(node, "must be a list of events, for example \"nonzero-exit\"");
    if (*text == "none") {
      out = 0;
      return;
    }
    const auto mask = event::parse_mask(*text);
    if (!mask) return wrong(node, "{}, or \"none\"", mask.error().message());
    out = *mask;
  };
}

template <class T>
ConfigReader::Reader ConfigReader::one_of(T& out, std::vector<Word<T>> words) {
  return [this, &out, words = std::move(words)](const toml::node& node) {
    const auto text = node.value_exact<std::string_view>();
    std::vector<std::string_view> known;
    for (const auto& [word, value] : words) {
      if (text == word) {
        out = value;
        return;
      }
      known.push_back(word);
    }
    const std::string_view near = text ? nearest(*text, known) : std::string_view();
    if (!near.empty())
      return wrong(node, "must not be '{}'; did you mean \"{}\"?", event::printable(*text), near);
    wrong(node, "must be one of \"{}\"", fmt::join(known, "\", \""));
  };
}

ConfigReader::Reader ConfigReader::words(std::vector<std::string>& out) {
  return [this, &out](const toml::node& node) {
    const toml::array* const list = node.as_array();
    if (list == nullptr) return wrong(node, "must be a list, for example [\"--my-secret\"]");
    out.clear();
    for (const toml::node& one : *list) {
      std::string word;
      text(word)(one);
      out.push_back(std::move(word));
    }
  };
}

ConfigReader::Reader ConfigReader::count_by(Config::CountBy& out) {
  return [this, &out](const toml::node& node) {
    const toml::array* const list = node.as_array();
    if (list == nullptr) return wrong(node, "must be a list: [], [\"comm\"] or [\"container\"]");
    out = {};
    for (const toml::node& one : *list) {
      bool ignored = false;
      const auto word = one.value_exact<std::string_view>();
      bool& asked = word == "comm" ? out.comm : word == "container" ? out.container : ignored;
      one_of<bool>(asked, {{"comm", true}, {"container", true}})(one);
    }
  };
}

template <class Id>
ConfigReader::Reader ConfigReader::ids(std::vector<Id>& out, std::string_view what,
                                       std::optional<Id> (*find)(const std::string&)) {
  return [this, &out, what, find](const toml::node& node) {
    const toml::array* const list = node.as_array();
    if (list == nullptr)
      return wrong(node, "must be a list of {0}s, such as [\"name\"] or []", what);
    out.clear();
    for (const toml::node& one : *list) {
      const auto number = one.value_exact<int64_t>();
      const auto name = one.value_exact<std::string>();
      if (number && *number >= 0 && *number < UINT32_MAX) {
        out.push_back(static_cast<Id>(*number));
      } else if (!name) {
        wrong(one, "must be the name or the number of a {0}", what);
      } else if (const auto id = find(*name)) {
        out.push_back(*id);
      } else {
        remark(
            warnings_, one.source(),
            fmt::format("there is no {} '{}'; the name is ignored", what, event::printable(*name)));
      }
    }
  };
}

ConfigReader::Reader ConfigReader::users(std::vector<uid_t>& out) {
  return ids<uid_t>(out, "user", [](const std::string& name) -> std::optional<uid_t> {
    const auto account = find_user(name);
    if (!account) return std::nullopt;
    return account->uid;
  });
}

ConfigReader::Reader ConfigReader::groups(std::vector<gid_t>& out) {
  return ids<gid_t>(out, "group", find_group);
}

void ConfigReader::check_sizes(const Config::Limits& limits) {
  const auto check = [&](size_t part, std::string_view name, size_t whole, std::string_view of) {
    if (part <= whole) return;
    errors_.push_back({{},
                       fmt::format("{}: {} ({}) is more than {} ({})", file_, name, size_text(part),
                                   of, size_text(whole))});
  };
  check(limits.queue_bytes, "queue", limits.memory_per_user_bytes, "memory_per_user");
  check(limits.memory_per_user_bytes, "memory_per_user", limits.memory_bytes, "memory");
}

void ConfigReader::read(const toml::table& root, Config& config) {
  constexpr uint32_t kMany = 1'000'000, kSteps = 1'000'000'000;
  constexpr uint64_t kLeastBuffer = 4 << 10,
                     kMostBuffer = 1023 << 20;  // as for knell watch --buffer
  Config::Limits& limits = config.limits;
  walk(root, "",
       {{"source", one_of<SourceChoice>(config.source, {{"auto", SourceChoice::kAuto},
                                                        {"bpf", SourceChoice::kBpf},
                                                        {"connector", SourceChoice::kConnector}})},
        {"buffer", size_or_auto(config.buffer_bytes, kLeastBuffer, kMostBuffer)},
        {"reserve", size_or_auto(config.reserve_bytes, kLeastBuffer, kMostBuffer)},
        {"count", events(config.count_mask)},
        {"count_by", count_by(config.count_by)},
        {"log_level", one_of<LogLevel>(config.log_level, {{"error", LogLevel::kError},
                                                          {"warning", LogLevel::kWarning},
                                                          {"info", LogLevel::kInfo},
                                                          {"debug", LogLevel::kDebug}})},
        {"socket", table("socket", {{"path", path(config.socket.path)},
                                    {"mode", mode(config.socket.mode)},
                                    {"group", text(config.socket.group)}})},
        {"limits",
         table("limits",
               {{"clients", number(limits.clients, 1, kMany)},
                {"clients_per_user", number(limits.clients_per_user, 1, kMany)},
                {"queue", size(limits.queue_bytes, kLeastQueue, kMostMemory)},
                {"memory", size(limits.memory_bytes, kLeastQueue, kMostMemory)},
                {"memory_per_user", size(limits.memory_per_user_bytes, kLeastQueue, kMostMemory)},
                {"filters_per_user", number(limits.filters_per_user, 0, kMany)},
                {"filter_steps_per_user", number(limits.filter_steps_per_user, 0, kSteps)},
                {"requests_per_second", number(limits.requests_per_second, 1, kMany)},
                {"durable_per_user", number(limits.durable_per_user, 0, 256)}})},
        {"visibility", table("visibility", {{"see_all_users", users(config.visibility.users)},
                                            {"see_all_groups", groups(config.visibility.groups)}})},
        {"journal",
         table("journal",
               {{"enabled", flag(config.journal.enabled)},
                {"path", file(config.journal.path)},
                {"events", events(config.journal.mask)},
                {"details", one_of<std::optional<uint32_t>>(config.journal.details,
                                                            {{"auto", std::nullopt},
                                                             {"full", KNELL_DETAILS_FULL},
                                                             {"names", KNELL_DETAILS_NAMES},
                                                             {"status", KNELL_DETAILS_STATUS}})},
                {"sync",
                 one_of<journal::Sync>(config.journal.sync, {{"process", journal::Sync::kProcess},
                                                             {"always", journal::Sync::kAlways}})},
                {"size", size(config.journal.size_bytes, kMebibyte, kMostMemory)},
                {"age", duration(config.journal.age_ns)},
                {"queue", size(config.journal.queue_bytes, kLeastQueue, kMostMemory)}})},
        {"redact", table("redact", {{"enabled", flag(config.redact.enabled)},
                                    {"flags", words(config.redact.flags)},
                                    {"except", words(config.redact.except)}})}});
  if (errors_.empty()) check_sizes(limits);
}

}  // namespace

// Queues count twice if a keeper holds a copy of their content in the state for the next knelld;
// the journal has two queues.
bool fit_into_memory(Config& config, uint64_t limit) {
  const Config before = config;
  const auto lower = [](size_t& size, uint64_t most) {
    size = static_cast<size_t>(std::min<uint64_t>(size, std::max(most, kLeastQueue)));
  };
  lower(config.limits.memory_bytes, limit / 8);
  lower(config.limits.memory_per_user_bytes, config.limits.memory_bytes);
  lower(config.limits.queue_bytes, config.limits.memory_per_user_bytes);
  lower(config.journal.queue_bytes, limit / 64);
  return config != before;
}

Config default_config() {
  Config config;
  if (const auto gid = find_group(std::string(kGroup))) config.visibility.groups = {*gid};
  return config;
}

Result<ReadConfig> parse_config(std::string_view text, std::string_view name) {
  const toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    // The usual mistake, which the message of the library does not name.
    const bool bare = error.description().find("determine value type") != std::string_view::npos;
    return say(EINVAL,
               fmt::format("{}:{}:{}: {}{}", event::printable(name), error.source().begin.line,
                           error.source().begin.column, event::printable(error.description()),
                           bare ? "; a string must be in quotes, as in count = \"exit\"" : ""));
  }
  ReadConfig out{default_config(), {}};
  ConfigReader reader(name);
  reader.read(parsed.table(), out.config);
  if (const auto errors = reader.take_errors(); !errors.empty())
    return say(EINVAL, fmt::format("{}", fmt::join(errors, "\n")));
  out.warnings = reader.take_warnings();
  return out;
}

Result<ReadConfig> read_config(const std::string& path, WhenMissing when_missing) {
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!file && errno == ENOENT && when_missing == WhenMissing::kDefaults)
    return ReadConfig{default_config(), {}};
  if (!file) return errno_error("open " + event::printable(path));
  std::string text(kMostFile + 1, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error("read " + event::printable(path));
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  if (size > kMostFile)
    return say(EFBIG,
               fmt::format("{}: more than {}", event::printable(path), size_text(kMostFile)));
  text.resize(size);
  return parse_config(text, path);
}

}  // namespace knell::daemon
