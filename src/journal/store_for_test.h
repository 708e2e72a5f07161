// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "journal/event_for_test.h"
#include "journal/reader.h"
#include "journal/store.h"

namespace knell::journal {

// A new folder, which is removed at the end with its content.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(
      const std::filesystem::path& below = std::filesystem::temp_directory_path()) {
    std::string name = (below / "knell-journal-XXXXXX").string();
    KNELL_CHECK(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }

 private:
  std::string path_;
};

// Copies of events that were read.
struct Seen {
  int64_t seq = 0;
  uint32_t type = 0;
  int32_t pid = 0, status = 0;
  std::string comm;
  std::optional<uint64_t> lost;  // count of a lost event
};

inline Result<std::vector<Seen>> read_all(Reader& reader, EventFilter& filter, size_t batch = 64) {
  std::vector<Seen> all;
  std::vector<knell_event> events(batch);
  for (;;) {
    KNELL_ASSIGN(const Reader::Read read, reader.read(events, filter));
    for (size_t i = 0; i < read.count; ++i) {
      const knell_event& e = events[i];
      Seen one{.seq = static_cast<int64_t>(e.seq),
               .type = e.type,
               .pid = e.pid,
               .status = e.wait_status,
               .comm = e.comm.data == nullptr ? "" : std::string(e.comm.data, e.comm.size),
               .lost = {}};
      if ((e.has & KNELL_HAS_COUNT) != 0) one.lost = e.lost_count;
      all.push_back(one);
    }
    if (read.end) return all;
  }
}

}  // namespace knell::journal
