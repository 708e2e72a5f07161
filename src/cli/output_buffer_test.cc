// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/output_buffer.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "base/unique_fd.h"
#include "cli/event_for_test.h"

namespace knell::cli {
namespace {

using namespace std::string_literals;

struct Pipe {
  explicit Pipe(int flags = 0) {
    std::array<int, 2> fds{-1, -1};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC | flags), 0);
    read.reset(fds[0]);
    write.reset(fds[1]);
  }
  UniqueFd read, write;
};

TEST(OutputBuffer, WritesAllToASlowReaderOfANonblockingPipe) {
  Pipe pipe(O_NONBLOCK);
  const std::string sent(1 << 20, 'x');
  std::string got;
  std::thread reader([&] {
    std::array<char, 4096> part;
    while (got.size() < sent.size()) {
      const ssize_t n = ::read(pipe.read.get(), part.data(), part.size());
      if (n > 0) got.append(part.data(), static_cast<size_t>(n));
    }
  });
  OutputBuffer out(pipe.write.get(), "the pipe");
  out.buffer() = sent;
  const auto done = out.flush();
  reader.join();
  ASSERT_TRUE(done);
  EXPECT_EQ(*done, OutputBuffer::Reader::kOpen);
  EXPECT_EQ(got.size(), sent.size());
  EXPECT_TRUE(out.buffer().empty());
}

TEST(OutputBuffer, ClosedPipeIsNoError) {
  ::signal(SIGPIPE, SIG_IGN);
  Pipe pipe;
  pipe.read.reset();
  OutputBuffer out(pipe.write.get(), "the pipe");
  out.buffer() = "x";
  const auto done = out.flush();
  ASSERT_TRUE(done);
  EXPECT_EQ(*done, OutputBuffer::Reader::kClosed);
}

TEST(OutputBuffer, FullDiskIsAnError) {
  UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  OutputBuffer out(full.get(), "the report");
  out.buffer() = "x";
  const auto done = out.flush();
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().line, "cannot write the report: No space left on device");
}

TEST(JsonLine, WritesALongEventWhole) {
  EventForTest event;
  std::string out = "before\n";
  event.process(5, 4).args("sh\0"s + std::string(100'000, 'a') + "\0"s);
  append_json_line(out, event);
  EXPECT_TRUE(out.starts_with("before\n{\"type\":\"exit\""));
  EXPECT_TRUE(out.ends_with("}\n"));
  EXPECT_GT(out.size(), 100'000u);
  EXPECT_EQ(out.find('\0'), std::string::npos);
  EXPECT_EQ(std::count(out.begin(), out.end(), '\n'), 2);
}

}  // namespace
}  // namespace knell::cli
