// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/background_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "cli/signals.h"

namespace knell::cli {
namespace {

class BackgroundWriterTest : public testing::Test {
 protected:
  BackgroundWriterTest() {
    Signals::ignore_failing_writes();  // as knell does
    std::array<int, 2> fds{};
    EXPECT_EQ(::pipe2(fds.data(), O_CLOEXEC), 0);
    read_.reset(fds[0]);
    write_.reset(fds[1]);
  }
  static auto finish(BackgroundWriter& writer) {
    pollfd ready{writer.fd(), POLLIN, 0};
    EXPECT_EQ(::poll(&ready, 1, -1), 1);
    return writer.finish().value();
  }
  UniqueFd read_, write_;
};

TEST_F(BackgroundWriterTest, WritesWhatItWasGiven) {
  const auto writer = BackgroundWriter::create(write_.get(), "x").value();
  std::string text = "first\n";
  writer->write(text);
  EXPECT_TRUE(writer->busy());
  EXPECT_EQ(text, "");
  EXPECT_EQ(finish(*writer), OutputBuffer::Reader::kOpen);
  EXPECT_FALSE(writer->busy());
  EXPECT_FALSE(writer->finish().has_value());
  text = "second\n";
  writer->write(text);
  EXPECT_EQ(finish(*writer), OutputBuffer::Reader::kOpen);
  std::array<char, 100> bytes{};
  EXPECT_EQ(::read(read_.get(), bytes.data(), bytes.size()), 13);
}

TEST_F(BackgroundWriterTest, DoesNotBlockOnAFullPipe) {
  const auto writer = BackgroundWriter::create(write_.get(), "x").value();
  std::string text(1 << 20, 'x');
  writer->write(text);
  EXPECT_FALSE(writer->finish().has_value());
  read_.reset();
  EXPECT_EQ(finish(*writer), OutputBuffer::Reader::kClosed);
}

TEST_F(BackgroundWriterTest, DestructorDoesNotWaitForABlockedWrite) {
  auto writer = BackgroundWriter::create(write_.get(), "x").value();
  std::string text(1 << 20, 'x');
  writer->write(text);
  writer.reset();  // does not block
  read_.reset();   // ends the write, and so the thread
}

TEST_F(BackgroundWriterTest, KeepsItsDescriptorOpen) {
  const auto writer = BackgroundWriter::create(write_.get(), "x").value();
  write_.reset();
  std::string text = "x";
  writer->write(text);
  EXPECT_EQ(finish(*writer), OutputBuffer::Reader::kOpen);
  char byte = 0;
  EXPECT_EQ(::read(read_.get(), &byte, 1), 1);
}

TEST(BackgroundWriter, ReportsAWriteError) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto writer = BackgroundWriter::create(full.get(), "the report").value();
  std::string text = "x";
  writer->write(text);
  pollfd ready{writer->fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&ready, 1, -1), 1);
  const auto done = writer->finish();
  ASSERT_TRUE(done && !*done);
  EXPECT_EQ(done->error().line, "cannot write the report: No space left on device");
}

}  // namespace
}  // namespace knell::cli
