// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/recording.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/rollback.h"
#include "event/mask.h"

namespace knell::wire {
namespace {

static_assert(sizeof(FileHeader) == 16 && sizeof(Checksum) == 8);
static_assert(sizeof(Totals) == 8);

constexpr size_t kChunk = size_t{1} << 20;  // chosen, not measured: larger reads were not faster

// Removes the last `written` bytes, if `fd` is a regular file that ends with them. A partial frame
// at the end of a recording would be reported as damage.
void take_back(int fd, size_t written) {
  struct stat about{};
  const off_t end = ::lseek(fd, 0, SEEK_CUR);  // with O_APPEND too, after the write
  if (::fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || end != about.st_size) return;
  (void)!::ftruncate(fd, end - static_cast<off_t>(written));
}

}  // namespace

Checksum checksum_of(std::string_view frame, uint64_t offset) {
  return XXH3_64bits_withSeed(frame.data(), frame.size(), offset);
}

// --------------------------------------------------------------------------------------- writing

Result<RecordingWriter> RecordingWriter::create(int fd, const Origin& origin) {
  RecordingWriter writer(fd);
  const FileHeader header{
      .magic = kMagic, .byte_order = kByteOrder, .major = kMajor, .minor = kMinor};
  writer.out_.append(reinterpret_cast<const char*>(&header), sizeof header);
  const size_t start = writer.out_.size();
  writer.out_.append(sizeof(Checksum), '\0');
  FrameWriter frame(writer.out_, Message::kHello, writer.frames_++);
  put_origin(frame, origin);
  frame.finish();
  writer.seal(start);
  const auto written = writer.flush();
  if (!written && writer.failed_) return std::unexpected(written.error());
  return writer;
}

Result<RecordingWriter> RecordingWriter::append(int fd, const Origin& origin) {
  struct stat about{};
  if (::fstat(fd, &about) != 0 || ::lseek(fd, 0, SEEK_SET) != 0)
    return errno_error("read the recording");
  if (about.st_size == 0) return create(fd, origin);
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) return errno_error("read the recording");
  KNELL_ASSIGN(auto reader, RecordingReader::open(std::move(copy), "the recording"));
  const auto& has = reader.origin().subscription;
  if (has.mask != origin.subscription.mask)
    return say(EINVAL, "the recording has events of other types: append only " +
                           event::mask_text(has.mask) + ", not " +
                           event::mask_text(origin.subscription.mask));
  if (has.level != origin.subscription.level) {
    const bool raw = has.level == KNELL_LEVEL_RAW;
    return say(EINVAL, std::string("the recording has events of ") +
                           (raw ? "threads, not of processes" : "processes, not of threads"));
  }
  knell_event event;
  for (bool more = true; more;) {
    const auto next = reader.next(event);
    if (!next && reader.where_cut()) {
      KNELL_TRY(complete(fd, reader));
      break;
    }
    if (!next) return std::unexpected(next.error());
    if (*next == RecordingReader::Next::kRefill) KNELL_TRY(reader.refill());
    more = *next != RecordingReader::Next::kEnd;
  }
  if (::lseek(fd, 0, SEEK_END) < 0) return errno_error("append to the recording");
  return create(fd, origin);
}

// Completes a recording that was cut off.
Result<void> RecordingWriter::complete(int fd, const RecordingReader& reader) {
  const RecordingReader::Cut& cut = *reader.where_cut();
  const auto end = static_cast<off_t>(cut.file_bytes);
  if (::ftruncate(fd, end) != 0 || ::lseek(fd, end, SEEK_SET) < 0)
    return errno_error("complete the recording");
  if (!cut.begun) return {};
  RecordingWriter rest(fd);
  rest.offset_ = cut.bytes;
  rest.frames_ = cut.frames;
  rest.events_ = cut.events;
  return rest.finish();
}

// Sets the checksum at `start`, for the frame that follows it.
void RecordingWriter::seal(size_t start) {
  const std::string_view frame = std::string_view(out_).substr(start + sizeof(Checksum));
  const Checksum sum = checksum_of(frame, offset_ + start);
  std::memcpy(out_.data() + start, &sum, sizeof sum);
}

Result<void> RecordingWriter::flush() {
  while (written_ < out_.size()) {
    const ssize_t n = ::write(fd_, out_.data() + written_, out_.size() - written_);
    if (n >= 0) {
      written_ += static_cast<size_t>(n);
      continue;
    }
    auto error = errno_error("write the recording");
    if (error.error().code == EINTR || error.error().code == EAGAIN) return error;
    failed_ = true;
    if (written_ > 0) take_back(fd_, written_);
    out_.clear();
    written_ = 0;
    return error;
  }
  offset_ += written_;
  out_.clear();
  written_ = 0;
  return {};
}

Result<void> RecordingWriter::write(std::span<const knell_event* const> events) {
  if (failed_) return say(EIO, "an earlier write to the recording failed");
  KNELL_TRY(flush());
  for (const knell_event* event : events) {
    if (event->type == 0) return say(EINVAL, "an event without a type cannot be recorded");
    if (event_bytes(*event) > kMostEvent)
      return say(EMSGSIZE, "an event of more than 64 KiB cannot be recorded");
  }
  const auto restore = [this, frames = frames_, count = events_] {
    out_.clear();
    frames_ = frames;
    events_ = count;
  };
  Rollback undo(restore);  // if memory runs out
  for (size_t at = 0; at < events.size();) {
    const size_t start = out_.size();
    out_.append(sizeof(Checksum), '\0');
    EventFrame frame(out_, frames_++);
    while (at < events.size() && frame.add(*events[at])) {
      ++at;
      ++events_;
    }
    frame.finish();
    seal(start);
  }
  undo.keep();
  return flush();
}

Result<void> RecordingWriter::finish() {
  if (failed_) return say(EIO, "an earlier write to the recording failed");
  KNELL_TRY(flush());
  const size_t start = out_.size();
  out_.append(sizeof(Checksum), '\0');
  FrameWriter frame(out_, Message::kEnd, frames_++);
  frame.attribute(kTotals, Totals{.events = events_});
  frame.finish();
  seal(start);
  return flush();
}

// --------------------------------------------------------------------------------------- reading

Result<RecordingReader> RecordingReader::open(UniqueFd fd, std::string name) {
  RecordingReader reader(std::move(fd), std::move(name));
  KNELL_TRY(reader.read_header());
  KNELL_TRY(reader.read_hello());
  return reader;
}

std::unexpected<Error> RecordingReader::cut() {
  cut_ = Cut{.file_bytes = file_offset(hello_is_next_ ? 0 : offset_),
             .begun = !hello_is_next_,
             .bytes = offset_,
             .events = events_ - events_before_,
             .frames = frames_};
  return say(EBADMSG, name_ + " ends early, after " + std::to_string(events_) +
                          " events, at byte " + std::to_string(file_offset(offset_)) +
                          ": the recorder was interrupted, or the file was truncated");
}

std::unexpected<Error> RecordingReader::corrupt() const {
  return say(EBADMSG, name_ + " is corrupt at byte " + std::to_string(file_offset(frame_offset_)) +
                          ", after " + std::to_string(events_) +
                          " good events: the rest is not shown");
}

Result<void> RecordingReader::refill() {
  const size_t kept = filled_ - used_;
  if (buffer_.size() < kept + kChunk) {
    std::string larger(kept + kChunk, '\0');
    std::memcpy(larger.data(), buffer_.data() + used_, kept);
    buffer_.swap(larger);
  } else if (used_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + used_, kept);
  }
  used_ = 0;
  filled_ = kept;
  const ssize_t n = ::read(fd_.get(), buffer_.data() + filled_, kChunk);
  if (n < 0 && errno != EINTR && errno != EAGAIN) return errno_error("read " + name_);
  if (n > 0) filled_ += static_cast<size_t>(n);
  end_of_file_ = n == 0;
  return {};
}

// Waits for data of a pipe without a timeout, or until a signal is caught; then reads.
Result<void> RecordingReader::await_more() {
  pollfd input{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  if (::poll(&input, 1, -1) < 0) return errno_error("wait for the recording " + name_);
  return refill();
}

Result<void> RecordingReader::read_header() {
  while (left().size() < sizeof(FileHeader) && !end_of_file_) KNELL_TRY(await_more());
  FileHeader header{};
  std::memcpy(&header, left().data(), std::min(sizeof header, left().size()));
  const size_t magic = std::min(left().size(), kMagic.size());
  if (left().empty()) return say(EBADMSG, name_ + " is empty, not a recording of knell");
  if (!std::equal(kMagic.begin(), kMagic.begin() + static_cast<ptrdiff_t>(magic),
                  header.magic.begin()))
    return say(EBADMSG, name_ + " is not a recording of knell: create one with knell record");
  if (left().size() < sizeof header) return cut();
  return take_header();
}

Result<void> RecordingReader::take_header() {
  FileHeader header{};
  std::memcpy(&header, left().data(), sizeof header);
  if (header.byte_order != kByteOrder)
    return say(ENOTSUP, name_ + " was recorded on a machine with another byte order");
  if (header.major != kMajor)
    return say(ENOTSUP, name_ + " has format " + std::to_string(header.major) +
                            ", but this version of knell reads format " + std::to_string(kMajor));
  used_ += sizeof header;
  offset_ += sizeof header;
  return {};
}

Result<void> RecordingReader::read_hello() {
  std::optional<Frame> frame;
  for (;;) {
    KNELL_ASSIGN(frame, next_frame());
    if (frame) break;
    if (end_of_file_) return cut();
    KNELL_TRY(await_more());
  }
  return take_hello(*frame, origin_);
}

Result<void> RecordingReader::take_hello(const Frame& frame, Origin& origin) {
  if (frame.type != Message::kHello) return corrupt();
  AttributeReader attributes(frame.payload);
  while (const auto attribute = attributes.next()) {
    const AttributeResult result = read_origin(*attribute, origin);
    const bool good = result == AttributeResult::kKnown ||
                      (result == AttributeResult::kUnknown && !attribute->mandatory);
    if (!good) return corrupt();
  }
  if (attributes.malformed()) return corrupt();
  // The mask is missing, or has only types that this version does not know.
  if ((origin.subscription.mask & KNELL_EVENT_ALL) == 0) origin.subscription.mask = KNELL_EVENT_ALL;
  ++recordings_;
  return {};
}

// nullopt: the buffer has no whole frame.
Result<std::optional<Frame>> RecordingReader::next_frame() {
  frame_offset_ = offset_;
  const std::string_view bytes = left();
  if (bytes.size() < sizeof(Checksum)) return std::nullopt;
  Checksum sum;
  std::memcpy(&sum, bytes.data(), sizeof sum);
  const auto frame = parse_frame(bytes.substr(sizeof sum));
  if (!frame) return corrupt();
  if (!*frame) return std::nullopt;
  const Frame& whole = **frame;
  if (checksum_of(bytes.substr(sizeof sum, whole.bytes), offset_) != sum || whole.seq != frames_)
    return corrupt();
  ++frames_;
  used_ += sizeof sum + whole.bytes;
  offset_ += sizeof sum + whole.bytes;
  return whole;
}

Result<void> RecordingReader::check_end(const Frame& frame) const {
  AttributeReader attributes(frame.payload);
  Totals totals{.events = UINT64_MAX};
  while (const auto attribute = attributes.next()) {
    const bool known = attribute->type == kTotals;
    if (known ? !load(attribute->bytes, totals) : attribute->mandatory) return corrupt();
  }
  if (attributes.malformed() || totals.events != events_ - events_before_) return corrupt();
  return {};
}

// After the end of a recording: returns its successor, whose hello is the next frame, or the result
// for next().
Result<std::optional<RecordingReader::Next>> RecordingReader::begin_next_recording() {
  if (left().empty()) return end_of_file_ ? Next::kEnd : Next::kRefill;
  const std::string_view magic(kMagic.data(), kMagic.size());
  if (!left().starts_with(magic.substr(0, left().size())))
    return say(EBADMSG, name_ + " has more data after the end of the recording, at byte " +
                            std::to_string(file_offset(offset_)) + ": that data is not shown");
  if (left().size() < sizeof(FileHeader) && !end_of_file_) return Next::kRefill;
  start_ += std::exchange(offset_, 0);
  frames_ = 0;
  events_before_ = events_;
  hello_is_next_ = true;
  ended_ = false;
  if (left().size() < sizeof(FileHeader)) return cut();
  KNELL_TRY(take_header());
  return std::nullopt;
}

Result<RecordingReader::Next> RecordingReader::next(knell_event& event) {
  for (;;) {
    if (ended_) {
      KNELL_ASSIGN(const auto found, begin_next_recording());
      if (found) return *found;
    }
    if (frame_) {
      if (frame_->next(event)) {
        ++events_;
        event.via = KNELL_VIA_RECORDING;
        return Next::kEvent;
      }
      if (frame_->malformed()) return corrupt();
      frame_.reset();
    }
    KNELL_ASSIGN(const auto frame, next_frame());
    if (!frame) {
      if (end_of_file_) return cut();
      return Next::kRefill;
    }
    if (hello_is_next_) {
      Origin origin;
      KNELL_TRY(take_hello(*frame, origin));
      hello_is_next_ = false;
      continue;
    }
    if (frame->type == Message::kEvents) frame_.emplace(frame->payload);
    if (frame->type == Message::kEnd) {
      KNELL_TRY(check_end(*frame));
      ended_ = true;
    }
  }
}

}  // namespace knell::wire
