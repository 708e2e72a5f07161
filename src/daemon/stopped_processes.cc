// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// While no knelld runs and its tracing programs are not kept (systemctl stop), exits are not
// reported. So a knelld that is stopped writes a list of the living processes to a file beside the
// journal. The next knelld compares the list with /proc before it opens its sources: a process that
// is missing has ended meanwhile, and its exit is added to the journal. A process that started and
// ended meanwhile is not detected; the lost event without a count stands for these processes.
//
// The file is a recording (docs/recording_format.md) of the exits to report if the processes have
// ended. It is valid for the boot and the pid namespace in which it was made. It is removed when it
// is read, because a knelld that is killed later has reported exits since.
#include "daemon/stopped_processes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "base/boot_id.h"
#include "base/unique_fd.h"
#include "event/batch.h"
#include "event/visibility.h"
#include "journal/event_queue.h"
#include "process/living_processes.h"
#include "process/proc_reader.h"
#include "process/timebase.h"
#include "wire/recording.h"

namespace knell::daemon {
namespace {

// Chosen, not measured: 10,000 processes with arguments of usual length. The arguments of further
// processes are omitted, and the list ends at twice this size.
constexpr size_t kMostBytes = size_t{16} << 20;

std::string namespace_text() {
  struct stat ns{};
  if (::stat("/proc/self/ns/pid", &ns) != 0) ns.st_ino = 0;
  return fmt::format("pid namespace {}", ns.st_ino);
}

std::string copy_of(const knell_event& event) {
  std::string copy(journal::bytes_of_copy(event), '\0');
  journal::write_copy(event, copy.data());
  return copy;
}

Result<void> write_recording(int fd, const Clock& clock,
                             const std::map<std::pair<int32_t, uint64_t>, std::string>& exits) {
  wire::Origin origin = wire::origin_here(clock, boot_id());
  origin.subscription.mask = KNELL_EVENT_EXIT;
  origin.subscription.details = KNELL_DETAILS_FULL;
  origin.selection = namespace_text();
  KNELL_ASSIGN(auto writer, wire::RecordingWriter::create(fd, origin));
  for (const auto& [key, copy] : exits) {
    const knell_event event = journal::read_copy(copy.data()).event;
    const knell_event* const one = &event;
    KNELL_TRY(writer.write({&one, 1}));
  }
  return writer.finish();
}

// Whether the process of this exit has ended; sets the status, if the kernel still has it.
bool has_ended(knell_event& event, process::KernelProcesses& kernel) {
  const auto state = kernel.state_of(event.pid);
  const bool same = state && state->start == event.id.start;
  if (same && !state->ended) return false;
  if (!same) return true;
  if (const auto status = kernel.status_of(event.pid, kernel.open(event.pid))) {
    event.has |= KNELL_HAS_STATUS;
    event.wait_status = *status;
  }
  return true;
}

}  // namespace

Result<LivingProcessList> LivingProcessList::read(uint32_t details, filter::Redactor& redactor,
                                                  const Clock& clock) {
  KNELL_ASSIGN(const process::ProcReader proc, process::ProcReader::open());
  process::LivingProcesses living(
      proc, clock, {.details = details, .boot = boot_number(), .look_up_names = false});
  ScanBudget all;
  for (bool listed = false; !listed;) {
    KNELL_ASSIGN(listed, living.list_some(all));
  }
  LivingProcessList list;
  event::Batch batch(1);
  size_t bytes = 0;
  process::Timebase time;
  time.take(clock);
  const uint64_t now = clock.monotonic_ns();
  while (living.next(all, batch) == process::LivingProcesses::Next::kProcess &&
         bytes < 2 * kMostBytes) {
    knell_event& event = batch[0].event;
    event.type = KNELL_EVENT_EXIT;
    event.mono_ns = now;
    event.time_ns = time.realtime_ns(now);
    event::limit_details(event, bytes < kMostBytes ? details : uint32_t{KNELL_DETAILS_STATUS});
    if (event.args.data != nullptr) {
      const auto redacted = redactor.redact({event.args.data, event.args.size});
      if (redacted) event.args = batch.copy(*redacted);
    }
    std::string copy = copy_of(event);
    bytes += copy.size();
    list.exits_.emplace(Key{event.pid, event.id.start}, std::move(copy));
  }
  return list;
}

Result<void> LivingProcessList::write(const std::string& path, const Clock& clock) const {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return errno_error("write " + path);
  if (auto written = write_recording(fd.get(), clock, exits_); !written) {
    ::unlink(path.c_str());
    return written;
  }
  return {};
}

Result<EndedMeanwhile> take_ended_meanwhile(const std::string& path,
                                            process::KernelProcesses& kernel, const Clock& clock) {
  EndedMeanwhile ended;
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd && errno == ENOENT) return ended;
  if (!fd) return errno_error("read " + path);
  if (::unlink(path.c_str()) != 0) return errno_error("remove " + path);
  KNELL_ASSIGN(auto reader, wire::RecordingReader::open(std::move(fd), path));
  if (reader.origin().boot_id != boot_id() || reader.origin().selection != namespace_text())
    return ended;
  process::Timebase time;
  time.take(clock);
  for (;;) {
    knell_event event{};
    KNELL_ASSIGN(const auto next, reader.next(event));
    if (next == wire::RecordingReader::Next::kEnd) return ended;
    if (next == wire::RecordingReader::Next::kRefill) {
      KNELL_TRY(reader.refill());
      continue;
    }
    ended.stopped_ns = event.mono_ns;
    if (!has_ended(event, kernel)) continue;
    event.flags |= KNELL_FLAG_RECOVERED;
    event.mono_ns = clock.monotonic_ns();
    event.time_ns = time.realtime_ns(event.mono_ns);
    ended.exits.push_back(copy_of(event));
  }
}

}  // namespace knell::daemon
