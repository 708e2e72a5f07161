// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/output_buffer.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "cli/signals.h"

namespace knell::cli {

// The library writes the event in place if the buffer is larger than the event, so it is given the
// whole capacity.
void append_json_line(std::string& out, const knell_event& event) {
  constexpr size_t kUsual = 4096;  // chosen, not measured: nearly every event fits
  const size_t start = out.size();
  size_t needed = kUsual;
  for (bool fits = false; !fits;) {
    const size_t end = std::max(start + needed, out.capacity());
    out.resize_and_overwrite(end, [&](char* data, size_t) {
      const ssize_t n = knell_event_json(&event, data + start, end - start);
      needed = n < 0 ? 1 : static_cast<size_t>(n) + 1;  // the newline takes the place of the NUL
      fits = start + needed <= end;
      if (!fits) return start;
      data[start + needed - 1] = '\n';
      return start + needed;
    });
  }
}

namespace {

using Clock = std::chrono::steady_clock;
// Once this process is to end, it waits this long for a reader that takes nothing.
constexpr std::chrono::milliseconds kTimeout{1000};

}  // namespace

// When this process is to end, an alarm interrupts poll(2) (see Signals).
bool wait_for_room(int fd, Clock::time_point since) {
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(since + kTimeout - Clock::now());
    const bool ending = Signals::ending();
    if (ending && left.count() <= 0) return false;
    pollfd ready{fd, POLLOUT, 0};
    const int found = ::poll(&ready, 1, ending ? static_cast<int>(left.count()) : -1);
    if (found > 0) return true;
  }
}

Outcome<OutputBuffer::Reader> OutputBuffer::flush() {
  size_t written = 0;
  auto progress = Clock::now();
  while (written < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + written, buffer_.size() - written);
    if (n > 0) {
      written += static_cast<size_t>(n);
      progress = Clock::now();
      continue;
    }
    const int error = n == 0 ? EINTR : errno;
    if (error == EPIPE) {
      buffer_.clear();
      return Reader::kClosed;
    }
    if (error != EINTR && error != EAGAIN) {
      buffer_.clear();
      return failed("cannot write {}: {}", name_, std::strerror(error));
    }
    // Interrupted, or another process made the descriptor non-blocking.
    if (error == EINTR && !Signals::ending()) continue;
    if (!wait_for_room(fd_, progress)) {
      const size_t rest = buffer_.size() - written;
      buffer_.clear();
      return failed("{} bytes to {} were dropped: its reader is not reading", rest, name_);
    }
  }
  buffer_.clear();
  return Reader::kOpen;
}

}  // namespace knell::cli
