// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "filter/predicates.h"
#include "lib/predicate_parser.h"

namespace {

class EvenPids : public knell::filter::Ancestry {
 public:
  bool is_under(const knell::filter::Root& root, const knell_event& event) const override {
    return (root.pid + event.pid) % 2 == 0;
  }
};

knell_string some(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

// The input is lines of `key=value`. Checks that nothing crashes or hangs, that a rejected value
// changes nothing, and that lost events always pass.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace knell::filter;
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  Predicates predicates;
  std::vector<Predicate> taken;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, equals), value = line.substr(equals + 1);
    // Do not query the user database for random names.
    const bool names = key == "user" || key == "uid";
    if (names && value.find_first_not_of("0123456789, !") != std::string_view::npos) continue;
    const auto parsed = knell::lib::parse_predicate(key, value);
    const bool was_empty = predicates.empty();
    if (const auto added = parsed ? predicates.add(*parsed) : std::unexpected(parsed.error());
        !added) {
      KNELL_CHECK(added.error().sentence && !added.error().context.empty());
      KNELL_CHECK(predicates.empty() == was_empty);
    } else {
      taken.insert(taken.end(), parsed->begin(), parsed->end());
    }
    // Parsed values are within the limits of check().
    for (size_t i = 0; parsed && i < parsed->size(); ++i) KNELL_CHECK(check((*parsed)[i]));
  }
  const Interest needs = predicates.needs();
  // Adding all predicates at once gives the same result as adding them one by one.
  const auto at_once = Predicates::create(taken);
  KNELL_CHECK(at_once && at_once->needs() == needs && at_once->values() == predicates.values());
  KNELL_CHECK(text_of(predicates.values(), 256).size() < 256 + 2 * kMaxValueBytes);
  KNELL_CHECK(needs.possible != 0);

  knell_event event{};
  event.type = KNELL_EVENT_EXIT;
  event.pid = 4;
  const bool unknown = predicates.matches(event, EvenPids());
  KNELL_CHECK(unknown || !predicates.empty());
  // An event that passes with unknown details must also pass if the details were lost.
  event.flags = KNELL_FLAG_DETAILS_LOST;
  KNELL_CHECK(!unknown || predicates.matches(event, EvenPids()));
  event.flags = 0;
  event.has = KNELL_HAS_UID | KNELL_HAS_STATUS | KNELL_HAS_DURATION;
  event.comm = some("grep");
  event.exe = some("/usr/bin/grep");
  event.unit = some("cron.service");
  event.cgroup = some("/system.slice/cron.service");
  event.container_id = some("3f2a9c");
  for (const int status : {0, 0x100, 9, 0x8b, 0x7f}) {
    event.wait_status = status;
    const bool passed = predicates.matches(event, EvenPids());
    // An event that needs().possible excludes must not pass.
    const bool zero_possible = (needs.possible & KNELL_EVENT_EXIT) != 0;
    KNELL_CHECK(!passed || status != 0 || zero_possible);
  }
  event.type = KNELL_EVENT_LOST;
  KNELL_CHECK(predicates.matches(event, EvenPids()));
  return 0;
}
