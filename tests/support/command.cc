// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/command.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace knell::test {

namespace {

std::vector<std::string> with_name(const std::vector<std::string>& words,
                                   std::vector<std::string> all) {
  all.push_back(knell_binary());
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

// Time between two calls of `knock`. The test does not depend on it: a different time only makes
// the next call a little earlier or later.
constexpr std::chrono::milliseconds kBetweenKnocks{20};

}  // namespace

Command::Command(const std::vector<std::string>& words, std::vector<std::string> before)
    : output_(make_pipe()),
      child_(Child::spawn(with_name(words, std::move(before)), {.out = output_.write.get()})) {
  output_.write.reset();
}

bool Command::fill(const Deadline& deadline) {
  timed_out_ = false;
  pollfd waiting{output_.read.get(), POLLIN, 0};
  int ready;
  while ((ready = ::poll(&waiting, 1, deadline.left_ms())) < 0 && errno == EINTR) {
  }
  if (ready <= 0) {
    timed_out_ = true;
    return false;
  }
  text_.erase(0, taken_);
  taken_ = 0;
  char bytes[1 << 16];
  const ssize_t size = ::read(output_.read.get(), bytes, sizeof bytes);
  if (size <= 0) return false;
  text_.append(bytes, static_cast<size_t>(size));
  return true;
}

std::optional<std::string> Command::line(const Deadline& deadline) {
  for (;;) {
    if (const size_t end = text_.find('\n', taken_); end != std::string::npos) {
      std::string found = text_.substr(taken_, end - taken_);
      taken_ = end + 1;
      return found;
    }
    if (!fill(deadline)) return std::nullopt;
  }
}

bool Command::wait_until_listening(const std::function<void()>& knock) {
  for (const Deadline deadline; !deadline.passed();) {
    knock();
    if (line(Deadline(kBetweenKnocks))) return true;
    if (!timed_out_) return false;
  }
  return false;
}

std::string lacks_knell_command() {
  return ::access(knell_binary().c_str(), X_OK) == 0 ? std::string()
                                                     : knell_binary() + " is not there";
}

}  // namespace knell::test
