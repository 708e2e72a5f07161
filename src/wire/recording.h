// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A recording: a header, then frames as they go over a socket, each behind its checksum: first
// kHello, then kEvents, at last kEnd. Written so that whatever was written before a crash can be
// read. docs/recording_format.md.
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

// The first bytes of a recording. The first byte is no text, CR and LF do not survive a transfer as
// text, so that a file spoilt by one is told from a good one.
struct FileHeader {
  std::array<char, 8> magic;
  uint32_t byte_order;  // 0x01020304 as the writer has it in memory
  uint16_t major, minor;
};
inline constexpr std::array<char, 8> kMagic{'\x89', 'k', 'n', 'e', 'l', 'l', '\r', '\n'};
inline constexpr uint32_t kByteOrder = 0x01020304;
inline constexpr uint16_t kMajor = 1, kMinor = 0;

// What stands before each frame: XXH3-64 of the frame, the seed being the place of the checksum in
// the file, so that a frame that was moved is none.
using Checksum = uint64_t;
Checksum checksum_of(std::string_view frame, uint64_t offset);

class RecordingWriter {
 public:
  // Does not own the descriptor: a file or a pipe, blocking, at its beginning.
  static Result<RecordingWriter> create(int fd, const Origin& origin);
  // All of them are written when it returns. After EINTR or EAGAIN they are taken all the same, and
  // what is left is written first by the next call, which may be for no events; until then no more
  // are taken. EMSGSIZE: none was taken. After any other error the file ends with the last whole
  // frame where it can be cut there, and no more is written.
  Result<void> write(std::span<const knell_event* const> events);
  // Marks the end.
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
  uint64_t offset_ = 0;  // in the file, of what out_ begins with
  uint64_t events_ = 0;
  uint32_t frames_ = 0;
  bool failed_ = false;
};

// Not thread-safe. Text in events points into its buffer until the next refill().
class RecordingReader {
 public:
  enum class Next {
    kEvent,
    kRefill,  // no whole frame is left in the buffer: refill() goes on
    kEnd      // the recording ended as it should
  };
  // Reads as far as the first events, and waits for them where they come through a pipe. Errors:
  // EINTR a signal was caught while waiting; EBADMSG no recording, or broken; ENOTSUP of a later
  // format or of a machine with another byte order; what open(2) and read(2) say.
  static Result<RecordingReader> open(UniqueFd fd, std::string name);

  Result<Next> next(knell_event& event);
  // One read(2), up to 1 MiB. Errors as open(): what was read before stays good.
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
  uint64_t offset_ = 0;  // in the file, of buffer_[used_]
  bool end_of_file_ = false;
  std::optional<EventReader> frame_;
  uint64_t frame_offset_ = 0;
  uint32_t frames_ = 0;
  uint64_t events_ = 0;
  bool ended_ = false;
};

}  // namespace knell::wire
