// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A recording: a file header, then frames as on a socket, each after its checksum: first kHello,
// then kEvents, at last kEnd. What was written before a crash can be read. The format is in
// docs/recording_format.md. A file may have several recordings, one after the other.
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

class RecordingReader;

// Not thread-safe.
class RecordingWriter {
 public:
  // Writes the header. `fd`: of a file or a pipe; stays the caller's, and must outlive this.
  // Errors: as write(), but after EINTR or EAGAIN it succeeds, and write() writes the rest.
  static Result<RecordingWriter> create(int fd, const Origin& origin);
  // Writes a recording after those in the file `fd`, which is open for reading and writing; an
  // empty file gets its first. One that ends early (the recorder was killed) is completed after its
  // last whole frame. Reads all of the file. Errors: also EBADMSG not a recording, or damaged;
  // EINVAL it has events of other types.
  static Result<RecordingWriter> append(int fd, const Origin& origin);
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
  static Result<void> complete(int fd, const RecordingReader& reader);
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
    kEnd      // the end of the file, after a complete recording
  };
  // Reads the header and the HELLO; waits for them if `fd` is a pipe. `name`: of the file, for
  // messages. Errors: EINTR a signal was caught while waiting; EBADMSG not a recording, or damaged;
  // ENOTSUP another format, or of a machine with another byte order; those of read(2).
  static Result<RecordingReader> open(UniqueFd fd, std::string name);

  // Goes on with the next recording in the file where one ends; origin() stays that of the first.
  // Errors: EBADMSG the recording is damaged, cut, or has something else after its end.
  Result<Next> next(knell_event& event);
  // One read(2) of up to 1 MiB. EINTR and EAGAIN read nothing and are no error. Errors: of read(2).
  Result<void> refill();

  const Origin& origin() const { return origin_; }
  int fd() const { return fd_.get(); }
  const std::string& name() const { return name_; }
  uint64_t events() const { return events_; }
  // How many recordings of the file were begun; the last event is of the last one.
  uint64_t recordings() const { return recordings_; }

  // Where the recording in work ends early, after next() said so by EBADMSG.
  struct Cut {
    uint64_t file_bytes;  // up to its last whole frame
    bool begun;           // it has a hello
    uint64_t bytes, events;
    uint32_t frames;
  };
  const std::optional<Cut>& where_cut() const { return cut_; }

 private:
  RecordingReader(UniqueFd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Result<void> await_more();
  Result<void> read_header();
  Result<void> take_header();
  Result<std::optional<Next>> begin_next_recording();
  Result<void> read_hello();
  Result<void> take_hello(const Frame& frame, Origin& origin);
  Result<std::optional<Frame>> next_frame();
  Result<void> check_end(const Frame& frame) const;
  std::string_view left() const { return std::string_view(buffer_).substr(used_, filled_ - used_); }
  std::unexpected<Error> cut();
  uint64_t file_offset(uint64_t offset) const { return start_ + offset; }
  std::unexpected<Error> corrupt() const;

  UniqueFd fd_;
  std::string name_;
  Origin origin_;
  std::string buffer_;
  size_t used_ = 0, filled_ = 0;
  uint64_t start_ = 0;   // offset in the file of the recording
  uint64_t offset_ = 0;  // offset in the recording of buffer_[used_]
  bool end_of_file_ = false;
  std::optional<EventReader> frame_;
  uint64_t frame_offset_ = 0;
  uint32_t frames_ = 0;
  uint64_t events_ = 0;
  uint64_t recordings_ = 0;
  uint64_t events_before_ = 0;  // of events_, those of earlier recordings in the file
  bool hello_is_next_ = false;  // of a recording after the first
  bool ended_ = false;
  std::optional<Cut> cut_;
};

}  // namespace knell::wire
