// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/saved_clients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace knell::server {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

// Applies records about the added processes of client 1.
class AddedRecords {
 public:
  void apply(bool anew, std::initializer_list<AddedEntry> entries) {
    const AddedRecord record{.id = 1,
                             .anew = static_cast<uint32_t>(anew),
                             .count = static_cast<uint32_t>(entries.size())};
    std::string payload(reinterpret_cast<const char*>(&record), sizeof record);
    for (const AddedEntry& entry : entries)
      payload.append(reinterpret_cast<const char*>(&entry), sizeof entry);
    ASSERT_TRUE(clients_.apply(state_, kSavedAdded, payload));
  }
  const SavedClient& client() { return clients_.all().at(1); }

 private:
  handover::State state_ = *handover::State::create({.boot = "boot", .pid_ns = 7}, 1 << 20);
  SavedClients clients_;
};

TEST(SavedClients, KeepTheEarlierProcessOfAReusedPid) {
  AddedRecords records;
  records.apply(true, {{.start = 100, .pid = 5, .added = 1}, {.start = 100, .pid = 6, .added = 1}});
  records.apply(false, {{.start = 200, .pid = 5, .added = 1}});
  EXPECT_THAT(records.client().added, ElementsAre(Pair(5, 200), Pair(6, 100)));
  EXPECT_THAT(records.client().replaced, ElementsAre(Pair(5, 100)));
  // The earlier one has ended.
  records.apply(false, {{.start = 0, .pid = 5, .added = 0}, {.start = 200, .pid = 5, .added = 1}});
  EXPECT_THAT(records.client().added, ElementsAre(Pair(5, 200), Pair(6, 100)));
  EXPECT_THAT(records.client().replaced, IsEmpty());
  records.apply(false, {{.start = 300, .pid = 5, .added = 1}, {.start = 0, .pid = 5, .added = 0}});
  EXPECT_THAT(records.client().added, ElementsAre(Pair(6, 100)));
  EXPECT_THAT(records.client().replaced, IsEmpty());
  records.apply(false, {{.start = 200, .pid = 6, .added = 1}});
  records.apply(true, {{.start = 100, .pid = 7, .added = 1}});
  EXPECT_THAT(records.client().added, ElementsAre(Pair(7, 100)));
  EXPECT_THAT(records.client().replaced, IsEmpty());
}

}  // namespace
}  // namespace knell::server
