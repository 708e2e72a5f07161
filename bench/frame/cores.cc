// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/cores.h"

#include <fmt/ranges.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace knell::bench {
namespace {

Outcome<std::vector<int>> allowed_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0)
    return std::unexpected(errno_error("ask for the cores").error());
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(static_cast<size_t>(core), &set)) cores.push_back(core);
  }
  return cores;
}

std::optional<int> number(std::string_view word) {
  int value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || value < 0) return std::nullopt;
  return value;
}

// "1,3-5", each of them in `allowed`.
Outcome<std::vector<int>> parse(std::string_view text, const std::vector<int>& allowed) {
  std::vector<int> cores;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(',', at), text.size());
    const std::string_view word = text.substr(at, end - at);
    const size_t dash = word.find('-');
    const auto first = number(word.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : number(word.substr(dash + 1));
    if (!first || !last || *last < *first || *last >= CPU_SETSIZE)
      return fail(kUsage, "'{}' is no list of cores; right is 1 or 1,3-5", text);
    for (int core = *first; core <= *last; ++core) {
      if (std::ranges::find(allowed, core) == allowed.end())
        return fail(kUsage, "core {} is not there for us; there are {}", core, cores_text(allowed));
      cores.push_back(core);
    }
    at = end + 1;
  }
  return cores;
}

}  // namespace

std::string cores_text(const std::vector<int>& cores) {
  return fmt::format("{}", fmt::join(cores, ","));
}

Outcome<Cores> choose_cores(const std::string& storm, const std::string& listeners, bool share) {
  KNELL_ASSIGN(const std::vector<int> allowed, allowed_cores());
  if (allowed.size() < 2 && !share) {
    return fail(
        kCannotMeasure,
        "one core for the storm and one for the listeners are needed, here is only core {}; "
        "--share-core measures on one, which tells CPU but no slowdown",
        cores_text(allowed));
  }
  Cores cores;
  cores.storm = allowed.front();
  if (!storm.empty()) {
    KNELL_ASSIGN(const std::vector<int> chosen, parse(storm, allowed));
    if (chosen.size() != 1) return fail(kUsage, "--storm-core takes one core");
    cores.storm = chosen.front();
  }
  if (!listeners.empty()) {
    KNELL_ASSIGN(cores.listeners, parse(listeners, allowed));
  } else {
    std::ranges::remove_copy(allowed, std::back_inserter(cores.listeners), cores.storm);
    if (cores.listeners.empty()) cores.listeners = {cores.storm};
  }
  if (!share && std::ranges::find(cores.listeners, cores.storm) != cores.listeners.end()) {
    return fail(kUsage,
                "core {} cannot be the storm's and a listener's; --share-core if that is meant",
                cores.storm);
  }
  return cores;
}

void pin(const std::vector<int>& cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (const int core : cores) CPU_SET(static_cast<size_t>(core), &set);
  (void)::sched_setaffinity(0, sizeof set, &set);  // choose_cores() knows they are ours
}

}  // namespace knell::bench
