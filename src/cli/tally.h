// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cli/failure.h"
#include "cli/summary.h"
#include "cli/view.h"

namespace knell::cli {

enum class Key {
  kType,
  kEnded,
  kComm,
  kExe,
  kUnit,
  kUser,
  kUid,
  kCgroup,
  kContainer,
  kParent,
  kPid
};

// "comm,unit,ended". Unknown and repeated names are refused.
Outcome<std::vector<Key>> parse_keys(const std::vector<std::string>& lists);

// --by: counts events of each kind, since the start and since the table was last shown. At most
// kRows kinds; events of further kinds are counted together, as "(other)".
class Tally final : public View {
 public:
  static constexpr size_t kRows = 10'000;  // take about 2 MB with usual names

  Tally(std::vector<Key> keys, bool json, const Screen& screen, size_t rows = kRows)
      : keys_(std::move(keys)), json_(json), screen_(screen), limit_(rows) {}

  void begin(std::string&) override {}
  void add(const knell_event& event, std::string& out) override;
  void tick(std::string& out) override { show(out, Last::kNo); }
  void finish(std::string& out) override { show(out, Last::kYes); }
  void resize(const Screen& screen) override { screen_ = screen; }

 private:
  enum class Last { kNo, kYes };
  struct Count {
    uint64_t total = 0;
    uint64_t shown = 0;  // the total when it was last shown
  };
  // The values of a kind, concatenated; see append_value().
  using Kinds = std::unordered_map<std::string, Count>;
  using Row = Kinds::value_type;

  void show(std::string& out, Last last);
  std::vector<Row*> sorted();
  void show_table(std::string& out, const std::vector<Row*>& rows, Last last);
  void show_json(std::string& out, const std::vector<Row*>& rows, Last last) const;
  std::string json_row(const std::string& kind) const;

  std::vector<Key> keys_;
  bool json_;
  Screen screen_;
  size_t limit_;
  Kinds kinds_;
  Count other_;
  Losses losses_;
  std::string kind_;            // reused
  size_t lines_on_screen_ = 0;  // lines of the last table, which the next table overwrites
};

}  // namespace knell::cli
