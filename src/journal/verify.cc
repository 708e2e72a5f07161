// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "journal/verify.h"

#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "journal/block.h"
#include "journal/database.h"
#include "journal/schema.h"

namespace knell::journal {
namespace {

// The texts of the file whose checksum is right; only whether they are there matters.
class IntactTexts final : public Texts {
 public:
  std::unordered_set<int64_t> ids;
  int64_t base = 0;
  Result<std::string_view> text(uint64_t number) override {
    if (ids.contains(base + static_cast<int64_t>(number))) return std::string_view("");
    return make_error(EBADMSG, "find a text of the journal");
  }
};

class Verifier {
 public:
  Verifier(Database database, Verification& found)
      : database_(std::move(database)), found_(found) {}

  Result<void> run() {
    KNELL_TRY(database_.execute("BEGIN"));
    KNELL_ASSIGN(const Identity identity, read_identity(database_));
    found_.id = identity.id;
    KNELL_TRY(check_pages());
    KNELL_TRY(check_texts());
    KNELL_TRY(check_layouts());
    KNELL_TRY(check_blocks());
    return database_.execute("COMMIT");
  }

 private:
  void problem(std::string text) {
    if (found_.problems.size() < Verification::kMostProblems)
      found_.problems.push_back(std::move(text));
  }

  Result<void> check_pages() {
    KNELL_ASSIGN(Statement check, database_.prepare("PRAGMA integrity_check"));
    for (;;) {
      KNELL_ASSIGN(const bool row, check.step());
      if (!row) return {};
      if (const std::string_view text = check.bytes(0); text != "ok")
        problem("the database: " + std::string(text));
    }
  }

  Result<void> check_texts() {
    KNELL_ASSIGN(Statement select, database_.prepare("SELECT id, text, checksum FROM string"));
    for (;;) {
      KNELL_ASSIGN(const bool row, select.step());
      if (!row) return {};
      const int64_t id = select.number(0);
      ++found_.texts;
      if (checksum_of_text(id, select.bytes(1)) == select.number(2))
        texts_.ids.insert(id);
      else
        problem("the text " + std::to_string(id) + " is damaged");
    }
  }

  Result<void> check_layouts() {
    KNELL_ASSIGN(Statement select, database_.prepare("SELECT id, fields, checksum FROM layout"));
    for (;;) {
      KNELL_ASSIGN(const bool row, select.step());
      if (!row) return {};
      auto layout = Layout::parse(select.bytes(1));
      if (layout && checksum_of_text(0, select.bytes(1)) == select.number(2))
        layouts_.emplace(select.number(0), *std::move(layout));
      else
        problem("the layout " + std::to_string(select.number(0)) + " is damaged");
    }
  }

  Result<void> check_blocks() {
    KNELL_ASSIGN(Statement select,
                 database_.prepare("SELECT first_seq, count, first_ns, text_base, layout, checksum,"
                                   " records FROM block ORDER BY first_seq"));
    for (;;) {
      KNELL_ASSIGN(const bool row, select.step());
      if (!row) return {};
      ++found_.blocks;
      const BlockHead head{.first_seq = select.number(0),
                           .count = select.number(1),
                           .first_ns = select.number(2),
                           .text_base = select.number(3),
                           .layout = select.number(4)};
      check_block(head, select.bytes(6), static_cast<uint64_t>(select.number(5)));
    }
  }

  void check_block(const BlockHead& head, std::string_view bytes, uint64_t checksum) {
    const std::string name = "the block at seq " + std::to_string(head.first_seq);
    BlockReader block;
    if (!block.open(head, bytes, checksum)) return problem(name + " is damaged");
    if (found_.newest_seq != 0 && head.first_seq != found_.newest_seq + 1)
      problem("the events from seq " + std::to_string(found_.newest_seq + 1) + " to " +
              std::to_string(head.first_seq - 1) + " are missing");
    const auto layout = layouts_.find(head.layout);
    if (layout == layouts_.end()) return problem(name + " has no layout");
    if (found_.oldest_seq == 0) found_.oldest_seq = head.first_seq;
    found_.newest_seq = head.first_seq + head.count - 1;
    texts_.base = head.text_base;
    int64_t count = 0;
    for (Record record; block.next(record); ++count) {
      knell_event event;
      if (!block.read_times(record) || !decode_record(record, layout->second, texts_, event))
        problem("the event with seq " + std::to_string(block.seq()) + " is damaged");
      else
        ++found_.events;
    }
    if (count != head.count) problem(name + " has not as many events as it says");
  }

  Database database_;
  Verification& found_;
  IntactTexts texts_;
  std::unordered_map<int64_t, Layout> layouts_;
};

}  // namespace

Result<Verification> verify(const std::string& path) {
  KNELL_ASSIGN(Database database, open_for_reading(path));
  Verification found;
  const auto checked = Verifier(std::move(database), found).run();
  // What SQLite cannot read is a finding, not a failure.
  if (!checked && checked.error().code == EBADMSG)
    found.problems.push_back(checked.error().message());
  else
    KNELL_TRY(checked);
  return found;
}

}  // namespace knell::journal
