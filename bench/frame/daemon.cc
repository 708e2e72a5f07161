// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/daemon.h"

#include <knell/knell.h>

#include <string_view>

#include "bench/frame/contender.h"
#include "bench/frame/rapidjson.h"

namespace knell::bench {
namespace {

// What it says of itself may have grown between the two calls; then once more.
std::string status() {
  std::string text;
  for (ssize_t size = knell_status(nullptr, 0); size > 0;) {
    text.resize(static_cast<size_t>(size) + 1);
    size = knell_status(text.data(), text.size());
    if (size < 0 || static_cast<size_t>(size) >= text.size()) continue;
    text.resize(static_cast<size_t>(size));
    return text;
  }
  return {};
}

// Takes the number "pid" of the outermost object.
struct PidOf : rapidjson::BaseReaderHandler<rapidjson::UTF8<>, PidOf> {
  bool StartObject() { return ++depth > 0; }
  bool EndObject(rapidjson::SizeType) { return --depth >= 0; }
  bool Key(const char* name, rapidjson::SizeType size, bool) {
    is_pid = depth == 1 && std::string_view(name, size) == "pid";
    return true;
  }
  bool Uint(unsigned number) {
    if (is_pid) pid = static_cast<pid_t>(number);
    is_pid = false;
    return true;
  }
  int depth = 0;
  bool is_pid = false;
  pid_t pid = 0;
};

}  // namespace

std::expected<pid_t, std::string> find_daemon() {
  if (const auto why = why_no_source("daemon")) return std::unexpected(*why);
  const std::string text = status();
  rapidjson::StringStream stream(text.c_str());
  PidOf said;
  if (rapidjson::Reader().Parse(stream, said).IsError() || said.pid == 0)
    return std::unexpected("it does not say its pid");
  return said.pid;
}

Pinned::Pinned(pid_t pid, const std::vector<int>& cores) : pid_(pid) {
  if (pid_ == 0 || ::sched_getaffinity(pid_, sizeof before_, &before_) != 0) {
    pid_ = 0;
    return;
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<size_t>(core), &set);
  (void)::sched_setaffinity(pid_, sizeof set, &set);
}

Pinned::~Pinned() {
  if (pid_ != 0) (void)::sched_setaffinity(pid_, sizeof before_, &before_);
}

}  // namespace knell::bench
