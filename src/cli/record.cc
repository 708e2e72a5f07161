// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// `knell record`: writes the events that `watch` would show into a file, for `watch --read`.
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <knell/knell.hpp>
#include <utility>

#include "base/duration.h"
#include "base/numbers.h"
#include "base/scheduling.h"
#include "base/unique_fd.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/text.h"
#include "cli/watching.h"

namespace knell::cli {
namespace {

struct Progress {
  uint64_t recorded = 0;
  uint64_t bytes = 0;          // of the recordings that were closed
  uint64_t earlier_bytes = 0;  // in FILE, with --append
  bool reader_gone = false;
};

// What replaces FILE when it is large; `bytes` 0: nothing.
struct Rotation {
  uint64_t bytes = 0;
  size_t keep = 5;  // earlier recordings, FILE.1 being the newest
};

// Writes each batch to the recording; shows no text.
class RecordView final : public View {
 public:
  // When FILE has `most_bytes`, `next` closes the recording, and opens the next one with the same
  // descriptor; nullptr: the command ends.
  RecordView(Recorder& recorder, int fd, Progress& progress, uint64_t most_bytes,
             std::function<Outcome<void>()> next)
      : recorder_(recorder),
        fd_(fd),
        progress_(progress),
        most_bytes_(most_bytes),
        next_(std::move(next)) {}
  void begin(std::string&) override {}
  void add(const knell_event& event, std::string&) override {
    batch_.push_back(&event);
    if (event.type != KNELL_EVENT_LOST) ++of_batch_;
  }
  Outcome<bool> commit() override {
    if (batch_.empty()) return true;
    auto since = std::chrono::steady_clock::now();
    uint64_t bytes = recorder_.bytes();
    std::error_code error = recorder_.write(batch_);
    batch_.clear();
    while (error == std::errc::interrupted || error == std::errc::resource_unavailable_try_again) {
      if (recorder_.bytes() != bytes) since = std::chrono::steady_clock::now();
      bytes = recorder_.bytes();
      if (!wait_for_room(fd_, since))
        return failed("its reader is not reading; the recording ends here");
      error = recorder_.write({});
    }
    progress_.reader_gone = error == std::errc::broken_pipe;
    if (progress_.reader_gone) return false;
    if (error) return fail(kFailed, knell_explain());
    progress_.recorded += std::exchange(of_batch_, 0);
    if (progress_.earlier_bytes + recorder_.bytes() < most_bytes_) return true;
    if (!next_) return false;  // --size
    KNELL_TRY(next_());
    return true;
  }

 private:
  Recorder& recorder_;
  int fd_;
  Progress& progress_;
  uint64_t most_bytes_;
  std::function<Outcome<void>()> next_;
  uint64_t of_batch_ = 0;
  std::vector<const knell_event*> batch_;
};

std::string file_size_text(uint64_t bytes) {
  constexpr double kKi = 1024, kMi = kKi * kKi, kGi = kMi * kKi;
  const auto n = static_cast<double>(bytes);
  if (n < kKi) return fmt::format("{} bytes", bytes);
  if (n < kMi) return fmt::format("{:.1f} KiB", n / kKi);
  return n < kGi ? fmt::format("{:.1f} MiB", n / kMi) : fmt::format("{:.1f} GiB", n / kGi);
}

class Record final : public Command {
 public:
  std::string_view name() const override { return "record"; }
  std::string_view synopsis() const override { return "[OPTIONS] FILE"; }
  std::string_view summary() const override { return "writes events to a file"; }
  std::string_view notes() const override;
  void add_options(CommandLine& line) override;
  Outcome<int> execute(std::vector<std::string> tail) override;

 private:
  Outcome<Rotation> rotation() const;
  Outcome<uint64_t> most_bytes() const;
  Outcome<WatchPlan> plan() const;
  Outcome<UniqueFd> create() const;
  Outcome<void> move_aside() const;
  Outcome<void> close(Recorder& recorder, int fd, Progress& progress) const;
  Outcome<int> record(const WatchPlan& plan, Listener& listener, Signals& signals, int fd) const;

  Selection selection_;
  ListenFlags listen_;
  EndFlags end_;
  std::string file_, rotate_, keep_, size_;
  Rotation rotation_;
  uint64_t most_bytes_ = UINT64_MAX;  // of FILE
  bool force_ = false, append_ = false;
};

std::string_view Record::notes() const {
  return "Show the recording with knell watch --read FILE, on any machine, with other predicates\n"
         "and -e if needed. The file is readable by its owner only: arguments may contain "
         "secrets.\n"
         "FILE - is standard output. After a crash, the events written before can be read.\n"
         "\n"
         "Exit status: 0 after -n, -d, Ctrl-C, SIGTERM or a closed pipe; 1 failed; 2 wrong usage;\n"
         "3 nothing can be observed here (knell doctor shows why).\n"
         "\n"
         "Examples:\n"
         "  knell record night.knell                   all events, until Ctrl-C\n"
         "  knell record -e nonzero-exit -d 8h night.knell\n"
         "  knell record -u postgresql -d 1m - | zstd >pg.knell.zst\n"
         "  zstdcat pg.knell.zst | knell watch --read - -e exit\n";
}

void Record::add_options(CommandLine& line) {
  selection_.add_events_option(line, events_help("all"));
  end_.add_options(line);
  line.add_flag("-f,--force", force_, "overwrite FILE if it exists");
  line.add_value(
      "--rotate", rotate_, "SIZE",
      "begin a new FILE when it has this size; the earlier ones\nare FILE.1, FILE.2, ...");
  line.add_value("--keep", keep_, "N", "how many earlier ones are kept (default 5)");
  line.add_value("--size", size_, "SIZE", "end when FILE has this size");
  line.add_flag("-a,--append", append_, "write after what is recorded in FILE, also after a crash");
  listen_.add_options(line);
  line.add_word("FILE", file_, "the file to write, - for standard output");
  selection_.add_predicate_options(line);
}

Outcome<Rotation> Record::rotation() const {
  constexpr uint64_t kLeast = 4096;
  constexpr int64_t kMostKept = 1000;
  Rotation rotation;
  if (rotate_.empty())
    return keep_.empty() ? Outcome<Rotation>(rotation) : usage("--keep needs --rotate SIZE");
  const auto bytes = parse_size(rotate_);
  if (!bytes || *bytes < kLeast)
    return usage("--rotate takes a size from 4K on, such as 64M, not '{}'", printable(rotate_));
  rotation.bytes = *bytes;
  if (file_ == "-") return usage("--rotate needs a file");
  if (keep_.empty()) return rotation;
  const auto keep = parse_number(keep_, 1, kMostKept);
  if (!keep)
    return usage("--keep takes a number from 1 to {}, not '{}'", kMostKept, printable(keep_));
  rotation.keep = static_cast<size_t>(*keep);
  return rotation;
}

Outcome<uint64_t> Record::most_bytes() const {
  constexpr uint64_t kLeast = 4096;
  if (size_.empty()) return rotation_.bytes != 0 ? rotation_.bytes : UINT64_MAX;
  if (rotation_.bytes != 0) return usage("--size cannot be used with --rotate");
  const auto bytes = parse_size(size_);
  if (!bytes || *bytes < kLeast)
    return usage("--size takes a size from 4K on, such as 64M, not '{}'", printable(size_));
  return *bytes;
}

Outcome<WatchPlan> Record::plan() const {
  WatchPlan plan;
  if (file_.empty()) return usage("missing FILE; use knell record [OPTIONS] FILE");
  plan.selection = selection_;
  plan.print_messages = false;
  KNELL_ASSIGN(const uint32_t mask, selection_.events(KNELL_EVENT_ALL));
  KNELL_TRY(end_.set(plan));
  KNELL_ASSIGN(plan.options, listen_.options(mask));
  KNELL_TRY(selection_.check(mask));
  return plan;
}

// Creates FILE and returns its descriptor; an empty one stands for standard output.
Outcome<UniqueFd> Record::create() const {
  if (file_ == "-") {
    if (::isatty(STDOUT_FILENO) == 1)
      return usage("a recording is not text for a terminal: redirect it to a file or a pipe");
    return UniqueFd();
  }
  // A symbolic link could make it overwrite any file, so links are not followed.
  const int how = append_ ? O_NOFOLLOW : force_ ? O_TRUNC | O_NOFOLLOW : O_EXCL;
  const int access = append_ ? O_RDWR : O_WRONLY;
  UniqueFd fd;
  do {  // open(2) of a fifo waits for a reader
    fd.reset(::open(file_.c_str(), access | O_CREAT | O_CLOEXEC | O_NOCTTY | how, 0600));
  } while (!fd && errno == EINTR && !Signals::ending());
  if (fd) {
    struct stat about{};
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && append_ && errno == EWOULDBLOCK)
      return failed("{}: another knell record writes to it", printable(file_));
    if (::fstat(fd.get(), &about) == 0 && S_ISREG(about.st_mode) && ::fchmod(fd.get(), 0600) != 0)
      return failed("{}: cannot make it readable by its owner only: {}", printable(file_),
                    std::strerror(errno));
    return fd;
  }
  if (errno == EINTR) return fail(kDone, "stopped before a process opened FILE for reading");
  if (errno == ELOOP)
    return failed("{} is a symbolic link: give the path of its target", printable(file_));
  struct stat there{};
  if ((errno == EEXIST || errno == EISDIR) && ::stat(file_.c_str(), &there) == 0 &&
      S_ISDIR(there.st_mode))
    return failed("{} is a directory: give the path of a file", printable(file_));
  if (errno == EEXIST)
    return failed("{} exists already; --force overwrites it, --append adds to it",
                  printable(file_));
  return failed("{}: {}", printable(file_), std::strerror(errno));
}

// FILE becomes FILE.1, that becomes FILE.2, and so on; the last one that is kept is replaced.
Outcome<void> Record::move_aside() const {
  for (size_t n = rotation_.keep; n > 0; --n) {
    const std::string from = n == 1 ? file_ : fmt::format("{}.{}", file_, n - 1);
    if (::rename(from.c_str(), fmt::format("{}.{}", file_, n).c_str()) != 0 && errno != ENOENT)
      return failed("cannot rename {}: {}", printable(from), std::strerror(errno));
  }
  return {};
}

Outcome<void> Record::close(Recorder& recorder, int fd, Progress& progress) const {
  progress.bytes += recorder.bytes();
  const std::error_code error = recorder.close();
  if (error && error != std::errc::broken_pipe && !progress.reader_gone)
    return fail(kFailed, knell_explain());
  // fsync(2) fails with one of these errors for a pipe and other files that are not on a disk.
  if (!error && ::fsync(fd) != 0 && errno != EINVAL && errno != EROFS && errno != ENOTSUP)
    return failed("cannot write the recording to the disk: {}", std::strerror(errno));
  return {};
}

Outcome<int> Record::record(const WatchPlan& plan, Listener& listener, Signals& signals,
                            int fd) const {
  std::error_code error;
  const knell_stats stats = listener.stats();
  const std::string processes = plan.selection.describe_processes(scope_text(stats));
  Progress progress;
  if (append_) {
    struct stat about{};
    if (::fstat(fd, &about) == 0) progress.earlier_bytes = static_cast<uint64_t>(about.st_size);
  }
  Recorder recorder = append_ ? Recorder::append(fd, listener, processes, error)
                              : Recorder::open(fd, listener, processes, error);
  const std::string name = file_ == "-" ? "standard output" : printable(file_);
  if (error) return failed("{}: {}", name, knell_explain());
  message("recording {} of {} to {}, via {}; Ctrl-C ends it\n", events_words(plan.options.events),
          processes, name, source_text(stats));
  const auto next = [&]() -> Outcome<void> {
    KNELL_TRY(close(recorder, fd, progress));
    progress.earlier_bytes = 0;
    KNELL_TRY(move_aside());
    KNELL_ASSIGN(const UniqueFd file, create());
    // The descriptor keeps its number, which others know.
    if (::dup3(file.get(), fd, O_CLOEXEC) < 0)
      return failed("cannot begin the next recording: {}", std::strerror(errno));
    recorder = Recorder::open(fd, listener, processes, error);
    if (error) return fail(kFailed, knell_explain());
    return {};
  };
  const bool rotates = rotation_.bytes != 0;
  Watching watching(
      plan, listener, signals, nullptr,
      std::make_unique<RecordView>(recorder, fd, progress, most_bytes_,
                                   rotates ? next : std::function<Outcome<void>()>()));
  const auto status = watching.run();
  const auto closed = recorder ? close(recorder, fd, progress) : Outcome<void>();
  message(" {} event{} recorded, {}, {}\n", progress.recorded, progress.recorded == 1 ? "" : "s",
          file_size_text(progress.bytes), watching.summary().losses().text());
  if (!status)
    return std::unexpected(Failure{status.error().status, name + ": " + status.error().line});
  if (!closed) return failed("{}: {}", name, closed.error().line);
  return *status;
}

Outcome<int> Record::execute(std::vector<std::string>) {
  KNELL_ASSIGN(WatchPlan plan, this->plan());
  KNELL_ASSIGN(rotation_, rotation());
  KNELL_ASSIGN(most_bytes_, most_bytes());
  if (append_ && force_) return usage("--append cannot be used with --force");
  if (append_ && file_ == "-") return usage("--append needs a file");
  KNELL_ASSIGN(Signals signals, Signals::create({SIGINT, SIGTERM}, {}));
  KNELL_ASSIGN(Listener listener, open_listener(plan.options));
  KNELL_TRY(plan.selection.apply(listener));
  if (plan.duration) Signals::end_after(*plan.duration);
  if (rotation_.bytes != 0 && !append_) KNELL_TRY(move_aside());
  const auto file = create();
  if (!file && file.error().status == kDone) return kDone;
  if (!file) return std::unexpected(file.error());
  plan.out = *file ? file->get() : STDOUT_FILENO;
  if (plan.options.details == KNELL_DETAILS_FULL) prefer_latency();
  KNELL_TRY(drop_privileges({CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_NET_ADMIN}));
  return record(plan, listener, signals, plan.out);
}

}  // namespace

std::unique_ptr<Command> make_record() { return std::make_unique<Record>(); }

}  // namespace knell::cli
