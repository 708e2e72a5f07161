// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/record.h"

#include <gtest/gtest.h>

#include <string>

#include "journal/event_for_test.h"
#include "journal/shared_strings.h"
#include "journal/varint.h"

namespace knell::journal {
namespace {

constexpr uint32_t kEveryType[] = {
    KNELL_EVENT_FORK,   KNELL_EVENT_EXEC, KNELL_EVENT_UID,  KNELL_EVENT_GID,      KNELL_EVENT_SID,
    KNELL_EVENT_PTRACE, KNELL_EVENT_COMM, KNELL_EVENT_EXIT, KNELL_EVENT_COREDUMP, KNELL_EVENT_LOST};
constexpr TimeBase kBase{.mono_ns = 1'000'000'000, .epoch_ns = kEpochNs};

class NoTexts final : public TextNumbers {
  std::optional<uint32_t> number_of(std::string_view) override { return std::nullopt; }
};

class StoredTexts final : public Texts {
 public:
  explicit StoredTexts(const SharedStrings& strings) {
    strings.for_each_new([&](int64_t, std::string_view text) { texts_.emplace_back(text); });
  }
  Result<std::string_view> text(uint64_t number) override {
    if (number >= texts_.size()) return make_error(EBADMSG, "find a text");
    return std::string_view(texts_[number]);
  }

 private:
  std::vector<std::string> texts_;
};

std::string encoded(const knell_event& event, TextNumbers& texts) {
  std::string out(record_bound(event), '\0');
  out.resize(static_cast<size_t>(encode_record(out.data(), event, kBase, texts) - out.data()));
  return out;
}

Result<knell_event> decoded(std::string_view bytes, Texts& texts,
                            std::string_view layout = own_layout()) {
  Record record;
  if (!take_record(bytes, record) || !bytes.empty() || !read_times(record, kBase))
    return make_error(EBADMSG, "take the record");
  KNELL_ASSIGN(const Layout fields, Layout::parse(layout));
  knell_event event;
  KNELL_TRY(decode_record(record, fields, texts, event));
  return event;
}

TEST(Varint, RoundTrip) {
  for (const uint64_t value :
       {UINT64_C(0), UINT64_C(127), UINT64_C(128), UINT64_C(1) << 35, UINT64_MAX}) {
    char buffer[kMostVarint];
    std::string_view bytes(buffer, static_cast<size_t>(put_varint(buffer, value) - buffer));
    uint64_t read = 1;
    ASSERT_TRUE(take_varint(bytes, read));
    EXPECT_EQ(read, value);
    EXPECT_TRUE(bytes.empty());
    EXPECT_EQ(unzigzag(zigzag(static_cast<int64_t>(value))), static_cast<int64_t>(value));
  }
}

TEST(Varint, RefusesWhatIsCutOrTooLong) {
  uint64_t value = 0;
  for (std::string_view bytes : {std::string_view(), std::string_view("\x80\x80"),
                                 std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")})
    EXPECT_FALSE(take_varint(bytes, value));
}

TEST(Record, KeepsEveryFieldOfEveryType) {
  NoTexts none;
  SharedStrings strings(1);
  StoredTexts no_texts(strings);
  for (const uint32_t type : kEveryType) {
    const knell_event event = full_event(type);
    const std::string bytes = encoded(event, none);
    const auto read = decoded(bytes, no_texts);
    ASSERT_TRUE(read) << type;
    EXPECT_TRUE(same(*read, event)) << type;
  }
}

TEST(Record, KeepsUnknownAndEmptyTextsApart) {
  knell_event event = exit_event(7);
  event.tty = bytes("");
  event.cwd = {};
  NoTexts none;
  SharedStrings strings(1);
  StoredTexts no_texts(strings);
  const std::string bytes = encoded(event, none);
  const auto read = decoded(bytes, no_texts);
  ASSERT_TRUE(read);
  EXPECT_NE(read->tty.data, nullptr);
  EXPECT_EQ(read->cwd.data, nullptr);
}

TEST(Record, StoresATextOnceFromItsSecondUseOn) {
  SharedStrings strings(1);
  const knell_event event = exit_event(7);
  const std::string first = encoded(event, strings), second = encoded(event, strings),
                    third = encoded(event, strings);
  EXPECT_GT(first.size(), third.size() + 60);
  EXPECT_EQ(second.size(), third.size());
  StoredTexts texts(strings);
  for (const std::string& bytes : {first, second, third}) {
    const auto read = decoded(bytes, texts);
    ASSERT_TRUE(read);
    EXPECT_TRUE(same(*read, event));
  }
}

TEST(Record, SaysWhetherAnExitIsNonzeroWithoutDecoding) {
  NoTexts none;
  knell_event unknown = exit_event(1, 0);
  unknown.has &= ~KNELL_HAS_STATUS;
  for (const auto& [event, nonzero] :
       {std::pair{exit_event(1, 0), false}, {exit_event(1, 0x100), true}, {unknown, true}}) {
    const std::string bytes = encoded(event, none);
    std::string_view rest = bytes;
    Record record;
    ASSERT_TRUE(take_record(rest, record));
    EXPECT_EQ(record.type, KNELL_EVENT_EXIT);
    EXPECT_EQ(record.nonzero, nonzero);
    ASSERT_TRUE(read_times(record, kBase));
    EXPECT_EQ(record.time_ns, event.time_ns);
  }
}

// A field that a later version added, at any place in its layout, is skipped.
TEST(Record, SkipsFieldsOfALaterVersion) {
  constexpr size_t kName = 9;
  NoTexts none;
  SharedStrings strings(1);
  StoredTexts no_texts(strings);
  const knell_event event = full_event(KNELL_EVENT_EXIT);
  const std::string bytes = encoded(event, none);
  int differing = 0;
  for (size_t at = 0; at + kName <= own_layout().size(); at += kName) {
    std::string layout = own_layout();
    layout[at] = '\xf0';  // its attribute
    const auto read = decoded(bytes, no_texts, layout);
    ASSERT_TRUE(read) << at;
    differing += same(*read, event) ? 0 : 1;
    knell_event repaired = *read;
    if (repaired.pid == 0) {
      repaired.pid = event.pid;
      EXPECT_TRUE(same(repaired, event));
    }
  }
  EXPECT_GT(differing, 30);  // the fields that an exit has
}

TEST(Record, NeverReadsBeyondItsBytes) {
  NoTexts none;
  SharedStrings strings(1);
  StoredTexts no_texts(strings);
  const std::string bytes = encoded(full_event(KNELL_EVENT_EXIT), none);
  for (size_t size = 0; size < bytes.size(); ++size)
    EXPECT_FALSE(decoded(std::string_view(bytes).substr(0, size), no_texts)) << size;
  for (size_t at = 0; at < bytes.size(); ++at) {
    std::string wrong = bytes;
    wrong[at] = static_cast<char>(wrong[at] ^ 0x40);
    (void)decoded(wrong, no_texts);  // sanitizers judge it
  }
}

}  // namespace
}  // namespace knell::journal
