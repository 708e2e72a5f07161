// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A recording: a file header, then frames as on a socket, each after its checksum: first kHello,
// then kEvents, at last kEnd. What was written before a crash can be read. The format is in
// docs/recording_format.md.
#pragma once

#include <knell/knell.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/event.h"
#include "wire/frame.h"
#include "wire/origin.h"

namespace knell::wire {

struct Totals {
  uint64_t events;
};

// The first bytes of a recording. `magic` begins with a byte that no text has, and ends with CR LF,
// which a transfer in text mode changes: so a file damaged by one is detected.
struct FileHeader {
  std::array<char, 8> magic;
  uint32_t byte_order;  // 0x01020304 in the writer's byte order
  uint16_t major, minor;
};
inline constexpr std::array<char, 8> kMagic{'\x89', 'k', 'n', 'e', 'l', 'l', '\r', '\n'};
inline constexpr uint32_t kByteOrder = 0x01020304;
inline constexpr uint16_t kMajor = 1, kMinor = 0;

// Precedes each frame: XXH3-64 of the frame. Its seed is the offset of the checksum in the file, so
// that a frame that was moved does not match.
using Checksum = uint64_t;
Checksum checksum_of(std::string_view frame, uint64_t offset);

// Not thread-safe.
class RecordingWriter {
 public:
  // Writes the header. `fd`: of a file or a pipe; stays the caller's, and must outlive this.
  // Errors: as write(), but after EINTR or EAGAIN it succeeds, and write() writes the rest.
  static Result<RecordingWriter> create(int fd, const Origin& origin);
  // When it succeeds all events are written. After EINTR or EAGAIN the rest is kept; the next call,
  // which may be with no events, writes it first. While that fails, its own events are not taken:
  // so call it with none until it succeeds. EINVAL, EMSGSIZE: an event has no type or is too large,
  // none was taken. Any other error of write(2): a regular file is truncated after the last batch
  // that was written whole, and every later call fails with EIO.
  Result<void> write(std::span<const knell_event* const> events);
  // Writes the end mark. Errors: as write().
  Result<void> finish();
  uint64_t events() const { return events_; }
  uint64_t bytes() const { return offset_ + written_; }

 private:
  explicit RecordingWriter(int fd) : fd_(fd) {}
  void seal(size_t start);
  Result<void> flush();

  int fd_;
  std::string out_;
  size_t written_ = 0;   // of out_
  uint64_t offset_ = 0;  // offset in the recording of the first byte of out_
  uint64_t events_ = 0;
  uint32_t frames_ = 0;
  bool failed_ = false;
};

// Not thread-safe. Text in an event points into the reader's buffer, and is valid until refill().
class RecordingReader {
 public:
  enum class Next {
    kEvent,
    kRefill,  // no whole frame is left in the buffer: call refill()
    kEnd      // the end of a complete recording
  };
  // Reads the header and the HELLO; waits for them if `fd` is a pipe. `name`: of the file, for
  // messages. Errors: EINTR a signal was caught while waiting; EBADMSG not a recording, or damaged;
  // ENOTSUP another format, or of a machine with another byte order; those of read(2).
  static Result<RecordingReader> open(UniqueFd fd, std::string name);

  // Errors: EBADMSG the recording is damaged, cut, or has more after its end.
  Result<Next> next(knell_event& event);
  // One read(2) of up to 1 MiB. EINTR and EAGAIN read nothing and are no error. Errors: of read(2).
  Result<void> refill();

  const Origin& origin() const { return origin_; }
  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  uint64_t events() const { return events_; }

 private:
  RecordingReader(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<void> await_more();
  Result<void> read_header();
  Result<void> read_hello();
  Result<std::optional<Frame>> next_frame();
  Result<void> check_end(const Frame& frame) const;
  std::string_view left() const { return std::string_view(buffer_).substr(used_, filled_ - used_); }
  std::unexpected<Error> cut() const;
  std::unexpected<Error> corrupt() const;

  UniqueFd fd_;
  std::string name_;
  Origin origin_;
  std::string buffer_;
  size_t used_ = 0, filled_ = 0;
  uint64_t offset_ = 0;  // offset in the recording of buffer_[used_]
  bool end_of_file_ = false;
  std::optional<EventReader> frame_;
  uint64_t frame_offset_ = 0;
  uint32_t frames_ = 0;
  uint64_t events_ = 0;
  bool ended_ = false;
};

}  // namespace knell::wire
