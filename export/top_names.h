// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace knell::exporter {

// Chooses the names that get a series of their own: those configured, and the most frequent of the
// others. All others share the label "_other". The number of labels is bounded at every moment, and
// so is their number over time: each new label is a new series that the database keeps. Not
// thread-safe.
class TopNames {
 public:
  using Time = std::chrono::steady_clock::time_point;

  static constexpr std::string_view kOther = "_other";
  // All frequencies are halved after this time, so that a name of the past makes way. At most as
  // many labels as there are places are replaced in this time. Chosen, not measured.
  static constexpr std::chrono::hours kHalfLife{1};
  // Names without a place whose frequency is followed.
  static constexpr size_t kMostCandidates = 1024;
  // Longer names are cut for the label: a systemd unit has at most 255 bytes.
  static constexpr size_t kMostBytes = 256;

  // `configured` names have places in addition to the `places` others.
  TopNames(size_t places, const std::vector<std::string>& configured, Time now);

  // Counts one occurrence of `name`. Returns the label that has lost its place to it, if one has:
  // its series must be removed, and must begin at 0 if it comes back.
  std::optional<std::string> count(std::string_view name, Time now);
  // The label of a name: itself, or "_other".
  std::string_view label(std::string_view name) const;
  const std::set<std::string, std::less<>>& configured() const { return configured_; }
  uint64_t replaced() const { return replaced_; }

 private:
  using Frequencies = std::map<std::string, uint64_t, std::less<>>;

  void age(Time now);
  uint64_t count_candidate(std::string_view name);
  std::optional<std::string> replace_the_rarest(std::string_view name, uint64_t frequency);

  const size_t places_;
  std::set<std::string, std::less<>> configured_;
  Frequencies shown_;
  Frequencies candidates_;
  Time aged_;
  size_t replaced_since_aged_ = 0;
  uint64_t replaced_ = 0;
};

}  // namespace knell::exporter
