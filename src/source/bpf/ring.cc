// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/ring.h"

#include <linux/bpf.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <utility>

// The kernel's side of the protocol (Documentation/bpf/ringbuf.rst): a writer sets the BUSY bit in
// the header of its record and moves the producer's position past the record. When the record is
// complete the writer clears the bit, and then notifies the reader if the consumer's position is at
// this record. The reader works like this:
//   - It loads the producer's position with acquire, and then each header, until BUSY is clear.
//   - It stores the consumer's position with release, when it no longer reads below that position.
//   - Before it sleeps, it stores its position, executes a full fence, and checks that the position
//     of the producer is the same. A writer that comes later sees the stored position and notifies.
// While a record is BUSY its room is used, so the positions differ and the reader does not sleep.
//
// The kernel maps the data twice in a row, so that a record that crosses the end is contiguous. But
// all pages of a mapping are resident from the start, so the second copy is not mapped here, and
// such a record is copied. There is at most one at a time: the kernel does not write a second one
// before the first one was released.
namespace knell::source {
namespace {

constexpr size_t kHeaderBytes = BPF_RINGBUF_HDR_SZ;
constexpr size_t kLineBytes = 64;     // size of a cache line on most CPUs
constexpr size_t kAheadBytes = 1024;  // chosen, not measured: two records of a usual exit
constexpr int kSpins = 2000;  // chosen, not measured: a writer takes less than a microsecond...
constexpr int kYields = 20;   // ...unless it is preempted

size_t page_bytes() { return static_cast<size_t>(::sysconf(_SC_PAGESIZE)); }

uint32_t header_at(const char* at) {
  return __atomic_load_n(reinterpret_cast<const uint32_t*>(at), __ATOMIC_ACQUIRE);
}

// Returns the header, after a bounded wait for the record to be complete.
uint32_t wait_for_header(const char* at) {
  uint32_t header = header_at(at);
  for (int i = 0; (header & BPF_RINGBUF_BUSY_BIT) != 0 && i < kSpins + kYields; i++) {
    if (i >= kSpins) ::sched_yield();
    header = header_at(at);
  }
  return header;
}

}  // namespace

Result<Ring> Ring::map(int map_fd, size_t bytes) {
  const size_t page = page_bytes();
  void* consumer = ::mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return errno_error("map a ring buffer of events");
  void* producer =
      ::mmap(nullptr, page + bytes, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) {
    auto error = errno_error("map a ring buffer of events");
    ::munmap(consumer, page);
    return error;
  }
  Ring ring = over(static_cast<uint64_t*>(consumer), static_cast<const uint64_t*>(producer),
                   static_cast<const char*>(producer) + page, bytes);
  ring.mapped_consumer_ = consumer;
  return ring;
}

Ring Ring::over(uint64_t* consumer, const uint64_t* producer, const char* data, size_t bytes) {
  Ring ring;
  ring.consumer_ = consumer;
  ring.producer_ = producer;
  ring.data_ = data;
  ring.bytes_ = bytes;
  ring.cursor_ = ring.end_ = *consumer;
  return ring;
}

Ring::Ring(Ring&& other) noexcept { *this = std::move(other); }

Ring& Ring::operator=(Ring&& other) noexcept {
  std::swap(consumer_, other.consumer_);
  std::swap(producer_, other.producer_);
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  std::swap(mapped_consumer_, other.mapped_consumer_);
  std::swap(cursor_, other.cursor_);
  std::swap(end_, other.end_);
  std::swap(most_filled_, other.most_filled_);
  std::swap(copy_, other.copy_);
  std::swap(broken_, other.broken_);
  return *this;
}

Ring::~Ring() {
  if (mapped_consumer_ == nullptr) return;
  ::munmap(mapped_consumer_, page_bytes());
  ::munmap(const_cast<uint64_t*>(producer_), page_bytes() + bytes_);
}

void Ring::begin_pass() { end_ = __atomic_load_n(producer_, __ATOMIC_ACQUIRE); }

std::optional<std::string_view> Ring::next() {
  while (cursor_ != end_ && !broken_) {
    const size_t at = cursor_ & (bytes_ - 1);
    const uint64_t left = end_ - cursor_;
    const uint32_t header = wait_for_header(data_ + at);
    if ((header & BPF_RINGBUF_BUSY_BIT) != 0) return std::nullopt;
    const size_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
    const size_t step = (kHeaderBytes + size + 7) & ~size_t{7};
    if (left > bytes_ || step > left) {
      broken_ = true;
      return std::nullopt;
    }
    // Records written on another CPU are in that CPU's cache, and the hardware does not prefetch
    // them from reads of the headers alone. Prefetch nothing beyond the end, where the writers are.
    for (size_t i = kAheadBytes; i < kAheadBytes + step && i < left; i += kLineBytes)
      __builtin_prefetch(data_ + ((at + i) & (bytes_ - 1)));
    cursor_ += step;
    if ((header & BPF_RINGBUF_DISCARD_BIT) == 0)
      return in_one_piece((at + kHeaderBytes) & (bytes_ - 1), size);
  }
  return std::nullopt;
}

std::string_view Ring::in_one_piece(size_t at, size_t size) {
  const size_t first = bytes_ - at;
  if (size <= first) return {data_ + at, size};
  copy_.resize((size + sizeof(uint64_t) - 1) / sizeof(uint64_t));
  auto* copy = reinterpret_cast<char*>(copy_.data());
  std::memcpy(copy, data_ + at, first);
  std::memcpy(copy + first, data_, size - first);
  return {copy, size};
}

bool Ring::seek(uint64_t position) {
  const uint64_t written = __atomic_load_n(producer_, __ATOMIC_ACQUIRE);
  if (position - *consumer_ > written - *consumer_) return false;
  cursor_ = end_ = position;
  return true;
}

// The number of used bytes. Only release() reduces it.
uint64_t Ring::filled() const { return __atomic_load_n(producer_, __ATOMIC_ACQUIRE) - *consumer_; }

bool Ring::may_have_refused(size_t size) const {
  // The kernel leaves at least one byte free.
  return std::max(most_filled_, filled()) + kHeaderBytes + size >= bytes_;
}

void Ring::release() {
  most_filled_ = std::max(most_filled_, filled());
  __atomic_store_n(consumer_, cursor_, __ATOMIC_RELEASE);
}

bool Ring::empty() const {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  return __atomic_load_n(producer_, __ATOMIC_ACQUIRE) == cursor_;
}

}  // namespace knell::source
