// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/durable_name.h"

#include <algorithm>

#include "event/mask.h"
#include "filter/rule.h"

namespace knell::journal {

Result<void> check_durable_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '@' || c == '-';
  };
  if (!name.empty() && name.size() <= kMostNameBytes && std::ranges::all_of(name, is_allowed))
    return {};
  return say(EINVAL, "the name of a durable listener must be 1 to " +
                         std::to_string(kMostNameBytes) + " letters, digits or characters of ._@-");
}

Result<DurableFilter> DurableFilter::create(const DurableName& name) {
  DurableFilter filter;
  KNELL_ASSIGN(filter.predicates_, filter::Predicates::create(name.predicates));
  if (!filter.predicates_.needs().roots.empty())
    return say(EINVAL, "a durable listener cannot be limited to processes under another one");
  filter.mask_ = name.mask;
  filter.uid_ = name.owner;
  filter.every_user_ = name.every_user;
  filter.excluded_ = exclusion_bit(name.exclusion);
  filter.excluded_since_ = name.excluded_since;
  return filter;
}

bool DurableFilter::may_want(const Record& record) const {
  return filter::passes(filter::Rule::kReleased, mask_, record.type, record.nonzero ? 1 : 0);
}

bool DurableFilter::wants(const knell_event& event, int64_t seq) const {
  if (event.type == KNELL_EVENT_LOST)
    return (event::types_of(mask_) & event::types_of(event.lost_types)) != 0;
  if (!filter::passes(filter::Rule::kReleased, mask_, event)) return false;
  if (!every_user_ && ((event.has & KNELL_HAS_UID) == 0 || event.uid != uid_)) return false;
  if ((event.flags & excluded_) != 0 && seq >= excluded_since_) return false;
  return predicates_.matches(event, filter::NoAncestry());
}

}  // namespace knell::journal
