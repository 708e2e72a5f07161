// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/subject.h"

#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/wait.h>

#include <algorithm>
#include <knell/knell.hpp>

namespace knell::fleet {
namespace {

bool is_host_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

Result<std::string> parse_host(std::string_view name) {
  if (name.empty() || name.size() > kMostHostBytes || !std::ranges::all_of(name, is_host_byte))
    return say(EINVAL, fmt::format("the name of a host has 1 to {} letters, digits, '-' and '_', "
                                   "not '{}'",
                                   kMostHostBytes, printable(name)));
  return std::string(name);
}

std::string host_of_machine(std::string_view nodename) {
  std::string host(nodename.substr(0, kMostHostBytes));
  std::ranges::replace_if(host, [](char c) { return !is_host_byte(c); }, '_');
  return host.empty() ? "host" : host;
}

std::string_view ended_token(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) return "lost";
  if (event.type != KNELL_EVENT_EXIT) return "none";
  if ((event.has & KNELL_HAS_STATUS) == 0) return "unknown";
  if (WIFEXITED(event.wait_status)) return WEXITSTATUS(event.wait_status) == 0 ? "ok" : "nz";
  if ((event.has & KNELL_HAS_KILLER) != 0 && event.killed_by.cause == KNELL_CAUSE_OOM) return "oom";
  return WCOREDUMP(event.wait_status) ? "core" : "sig";
}

std::string event_stream(uint32_t shard) { return fmt::format("KNELL_EVENTS_{}", shard); }

// FNV-1a with 64 bits. Both halves are joined, since the low bits depend on few bits of the name.
// Must never change: hosts and readers of all versions must agree on it.
uint32_t shard_of(std::string_view host, uint32_t shards) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : host) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return static_cast<uint32_t>((hash ^ (hash >> 32)) % std::max<uint32_t>(shards, 1));
}

std::string event_subject(uint32_t shard, std::string_view host, const knell_event& event) {
  return fmt::format("knell.ev.{}.{}.{}.{}", shard, host, type_name(event.type),
                     ended_token(event));
}

std::string host_of_event(std::string_view subject) {
  constexpr std::string_view kFront = "knell.ev.";
  if (!subject.starts_with(kFront)) return "";
  subject.remove_prefix(kFront.size());
  subject.remove_prefix(std::min(subject.find('.'), subject.size() - 1) + 1);
  return parse_host(subject.substr(0, subject.find('.'))).value_or("");
}

std::string presence_subject(std::string_view host) { return fmt::format("knell.hb.{}", host); }

std::string request_subject(std::string_view host) { return fmt::format("knell.rq.{}", host); }

std::string reply_subject(std::string_view host, std::string_view query) {
  return fmt::format("knell.rp.{}.{}", host, query);
}

std::string host_of_reply(std::string_view subject) {
  constexpr std::string_view kFront = "knell.rp.";
  if (!subject.starts_with(kFront)) return "";
  subject.remove_prefix(kFront.size());
  return parse_host(subject.substr(0, subject.find('.'))).value_or("");
}

std::string subjects_of_hosts(uint32_t shard, std::string_view host_glob) {
  return parse_host(host_glob) ? fmt::format("knell.ev.{}.{}.>", shard, host_glob)
                               : fmt::format("knell.ev.{}.>", shard);
}

bool host_matches(const std::string& glob, const std::string& host) {
  return ::fnmatch(glob.c_str(), host.c_str(), 0) == 0;
}

}  // namespace knell::fleet
