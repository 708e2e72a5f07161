// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/ptrace/event_ring.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "base/unique_fd.h"

namespace knell::source {
namespace {

constexpr size_t kTexts = 4;

struct Header {
  uint32_t bytes;                        // of the whole record, a multiple of 8
  std::array<uint32_t, kTexts> lengths;  // of the texts behind the facts
};

std::array<std::string_view, kTexts> texts_of(const TracedEvent& event) {
  return {event.args, event.exe, event.cwd, event.cgroup};
}

size_t record_bytes(const std::array<std::string_view, kTexts>& texts) {
  size_t bytes = sizeof(Header) + sizeof(TracedFacts);
  for (const std::string_view text : texts) bytes += text.size();
  return (bytes + 7) / 8 * 8;
}

Result<void*> map(void* at, size_t bytes, int flags, int fd) {
  void* memory = ::mmap(at, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
  if (memory == MAP_FAILED) return errno_error("map the queue of the tracer");
  return memory;
}

}  // namespace

Result<EventRing> EventRing::create(size_t bytes) {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  bytes = std::bit_ceil(std::max(bytes, page));
  const UniqueFd file(::memfd_create("knell-traced", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0)
    return errno_error("create the queue of the tracer");
  KNELL_ASSIGN(void* shared, map(nullptr, sizeof(Shared), MAP_SHARED | MAP_ANONYMOUS, -1));
  KNELL_ASSIGN(void* place, map(nullptr, 2 * bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  EventRing ring(new (shared) Shared{}, static_cast<std::byte*>(place), bytes);
  KNELL_TRY(map(ring.data_, bytes, MAP_SHARED | MAP_FIXED, file.get()));
  KNELL_TRY(map(ring.data_ + bytes, bytes, MAP_SHARED | MAP_FIXED, file.get()));
  ring.shared_->reader_sleeps = true;
  return ring;
}

EventRing::EventRing(EventRing&& other) noexcept
    : shared_(std::exchange(other.shared_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      bytes_(other.bytes_),
      pending_(other.pending_) {}

EventRing::~EventRing() {
  if (shared_ == nullptr) return;
  ::munmap(data_, 2 * bytes_);
  ::munmap(shared_, sizeof(Shared));
}

bool EventRing::push(const TracedEvent& event) {
  const bool is_exit = event.type == TracedFacts::Type::kExit;
  bool written = false;
  if (report_loss(record_bytes(texts_of(event))) || is_exit) {
    written = write(event, is_exit ? 0 : bytes_ / 4);
    if (!written && is_exit) {
      TracedEvent small{event, {}, {}, {}, {}};
      small.has_args = small.args_truncated = false;
      written = write(small, 0);
    }
  }
  if (!written) count_loss(event.type);
  // Pairs with the fence in pop(): either the reader sees the event, or we see that it sleeps.
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return shared_->reader_sleeps.load(std::memory_order_relaxed) &&
         shared_->reader_sleeps.exchange(false, std::memory_order_relaxed);
}

// False: events were lost, and the report does not fit together with the `following` bytes of the
// next event. Reports do not take the room that is kept for exits: an exit may be written before
// the report of a loss that came before it.
bool EventRing::report_loss(size_t following) {
  const auto loss = take_loss();
  if (!loss) return true;
  if (write(*loss, bytes_ / 4 + following)) return true;
  shared_->lost.forks += loss->lost_forks;
  shared_->lost.execs += loss->lost_execs;
  shared_->lost.exits += loss->lost_exits;
  shared_->lost.releases += loss->lost_releases;
  return false;
}

std::optional<TracedEvent> EventRing::take_loss() {
  TracedEvent loss;
  loss.type = TracedFacts::Type::kLost;
  Loss& lost = shared_->lost;
  loss.lost_forks = lost.forks.exchange(0, std::memory_order_relaxed);
  loss.lost_execs = lost.execs.exchange(0, std::memory_order_relaxed);
  loss.lost_exits = lost.exits.exchange(0, std::memory_order_relaxed);
  loss.lost_releases = lost.releases.exchange(0, std::memory_order_relaxed);
  if (loss.lost_forks + loss.lost_execs + loss.lost_exits + loss.lost_releases == 0)
    return std::nullopt;
  return loss;
}

void EventRing::count_loss(TracedFacts::Type type) {
  Loss& lost = shared_->lost;
  switch (type) {
    case TracedFacts::Type::kFork:
      ++lost.forks;
      break;
    case TracedFacts::Type::kExec:
      ++lost.execs;
      break;
    case TracedFacts::Type::kExit:
      ++lost.exits;
      break;
    case TracedFacts::Type::kReleased:
      ++lost.releases;
      break;
    case TracedFacts::Type::kLost:
      break;
  }
}

bool EventRing::write(const TracedEvent& event, size_t keep_free) {
  const auto texts = texts_of(event);
  const size_t bytes = record_bytes(texts);
  const uint64_t written = shared_->written.load(std::memory_order_relaxed);
  const uint64_t used = written - shared_->read.load(std::memory_order_acquire);
  if (used + bytes + keep_free > bytes_) return false;
  std::byte* at = data_ + written % bytes_;
  Header header{.bytes = static_cast<uint32_t>(bytes), .lengths = {}};
  for (size_t i = 0; i < kTexts; i++) header.lengths[i] = static_cast<uint32_t>(texts[i].size());
  std::memcpy(at, &header, sizeof header);
  at += sizeof header;
  std::memcpy(at, static_cast<const TracedFacts*>(&event), sizeof(TracedFacts));
  at += sizeof(TracedFacts);
  for (const std::string_view text : texts) {
    if (!text.empty()) std::memcpy(at, text.data(), text.size());
    at += text.size();
  }
  shared_->written.store(written + bytes, std::memory_order_release);
  return true;
}

std::optional<TracedEvent> EventRing::pop() {
  const uint64_t read = shared_->read.load(std::memory_order_relaxed) + pending_;
  shared_->read.store(read, std::memory_order_release);
  pending_ = 0;
  if (shared_->written.load(std::memory_order_acquire) == read) {
    shared_->reader_sleeps.store(true, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (shared_->written.load(std::memory_order_acquire) == read) return std::nullopt;
    shared_->reader_sleeps.store(false, std::memory_order_relaxed);
  }
  const std::byte* at = data_ + read % bytes_;
  Header header;
  std::memcpy(&header, at, sizeof header);
  at += sizeof header;
  TracedEvent event;
  std::memcpy(static_cast<TracedFacts*>(&event), at, sizeof(TracedFacts));
  at += sizeof(TracedFacts);
  const auto text = [&](size_t i) {
    const std::string_view view(reinterpret_cast<const char*>(at), header.lengths[i]);
    at += header.lengths[i];
    return view;
  };
  event.args = text(0);
  event.exe = text(1);
  event.cwd = text(2);
  event.cgroup = text(3);
  pending_ = header.bytes;
  return event;
}

std::optional<TracedEvent> EventRing::pop_unreported_loss() { return take_loss(); }

}  // namespace knell::source
