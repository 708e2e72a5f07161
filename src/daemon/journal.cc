// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/journal.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <string>

#include "daemon/log.h"
#include "journal/reader.h"

namespace knell::daemon {
namespace {
constexpr uint64_t kSlowNs = 1'000'000'000;  // chosen, not measured
}  // namespace

Result<void> make_journal_folder(const Config::Journal& journal,
                                 const std::optional<UserIds>& become) {
  if (!journal.enabled || journal.path != kDefaultJournal) return {};
  const std::string folder = std::filesystem::path(journal.path).parent_path();
  if (::mkdir(folder.c_str(), 0750) != 0) {
    if (errno == EEXIST) return {};
    return errno_error("create " + folder);
  }
  if (become && ::lchown(folder.c_str(), become->uid, become->gid) != 0)
    return errno_error("change the owner of " + folder);
  return {};
}

std::unique_ptr<journal::Recorder> start_recorder(const Config::Journal& journal,
                                                  journal::Recorder::OnProgress on_progress,
                                                  journal::Recorder::CountWritten count_written) {
  journal::RecorderOptions options;
  options.store.path = journal.path;
  options.store.sync = journal.sync;
  options.store.most_bytes = journal.size_bytes;
  options.store.most_age_ns = journal.age_ns;
  options.queue_bytes = journal.queue_bytes;
  const auto say = [](const std::string& line) { log_warning("journal: {}", line); };
  return std::make_unique<journal::Recorder>(std::move(options), say, system_clock(),
                                             std::move(on_progress), std::move(count_written));
}

std::optional<int64_t> last_time(const std::string& path) {
  auto reader = journal::Reader::open(journal::journal_file(path));
  if (!reader) return std::nullopt;
  journal::EveryEvent every;
  std::array<knell_event, 1> last{};
  if (!reader->seek_last(1, every)) return 0;
  const auto read = reader->read(last, every);
  return read && read->count != 0 ? last[0].time_ns : 0;
}

Status::Journal describe(const Config::Journal& journal, const journal::Recorder& recorder) {
  const journal::Recorder::Status now = recorder.status();
  Status::Journal status;
  status.path = journal.path;
  switch (now.state) {
    case journal::Recorder::State::kOpening:
      status.state = "opening";
      break;
    case journal::Recorder::State::kWorking:
      status.state = now.writing_ns < kSlowNs ? "working" : "slow";
      break;
    case journal::Recorder::State::kFailing:
      status.state = "failing";
      break;
  }
  status.problem = now.problem;
  if (status.problem.empty() && now.writing_ns >= kSlowNs)
    status.problem = "the disk has not completed a write for " +
                     std::to_string(now.writing_ns / 1'000'000'000) + " s; events wait";
  status.id = now.id;
  status.mask = journal.mask;
  status.written = now.written;
  status.lost_queue = now.lost_queue;
  status.lost_disk = now.lost_disk;
  status.commits = now.commits;
  status.bytes = now.bytes;
  status.queued_bytes = now.queued_bytes;
  status.oldest_seq = now.oldest_seq;
  status.next_seq = now.next_seq;
  if (now.oldest_ns != 0) status.oldest_ns = now.oldest_ns;
  return status;
}

}  // namespace knell::daemon
