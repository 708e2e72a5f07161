// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/recording.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <vector>

#include "wire/event_for_test.h"

namespace knell::wire {
namespace {

Origin origin() {
  return {.knell = "0.1.0",
          .kernel = "Linux 6.18 x86_64",
          .boot_id = "6fa276d3-0000-4000-8000-000000000000",
          .clock = {.epoch_ns = 5, .boot_ahead_ns = 6},
          .subscription = {.mask = KNELL_EVENT_EXIT,
                           .level = 0,
                           .details = 0,
                           .via = KNELL_VIA_BPF,
                           .started_ns = 7},
          .selection = "all processes"};
}

UniqueFd memory(std::string_view bytes = {}) {
  UniqueFd fd(::memfd_create("recording", MFD_CLOEXEC));
  EXPECT_TRUE(fd);
  EXPECT_EQ(::write(fd.get(), bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  EXPECT_EQ(::lseek(fd.get(), 0, SEEK_SET), 0);
  return fd;
}

std::string content(int fd) {
  std::string bytes(static_cast<size_t>(::lseek(fd, 0, SEEK_END)), '\0');
  EXPECT_EQ(::pread(fd, bytes.data(), bytes.size(), 0), static_cast<ssize_t>(bytes.size()));
  return bytes;
}

std::vector<const knell_event*> pointers(const std::vector<knell_event>& events) {
  std::vector<const knell_event*> out;
  for (const knell_event& event : events) out.push_back(&event);
  return out;
}

// Writes the events in batches of ten.
std::string recorded(const std::vector<knell_event>& events, bool finished = true) {
  const UniqueFd fd = memory();
  auto writer = RecordingWriter::create(fd.get(), origin());
  EXPECT_TRUE(writer);
  const auto all = pointers(events);
  for (size_t at = 0; at < all.size(); at += 10)
    EXPECT_TRUE(writer->write(std::span(all).subspan(at, std::min<size_t>(10, all.size() - at))));
  if (finished) {
    EXPECT_TRUE(writer->finish());
  }
  return content(fd.get());
}

std::vector<knell_event> some(size_t count) {
  std::vector<knell_event> events;
  for (size_t i = 0; i < count; i++) {
    events.push_back(full_event(kEveryType[i % std::size(kEveryType)]));
    events.back().seq = i + 1;
  }
  return events;
}

struct Read {
  size_t events = 0;
  bool ended = false;
  std::string error;
};

// Reads to the end or to the first error, and compares the events with `expected`.
Read read_all(std::string_view bytes, const std::vector<knell_event>& expected) {
  Read read;
  auto reader = RecordingReader::open(memory(bytes), "file");
  if (!reader) return {.events = 0, .ended = false, .error = reader.error().message()};
  for (;;) {
    knell_event event;
    const auto next = reader->next(event);
    if (!next) {
      read.error = next.error().message();
      return read;
    }
    if (*next == RecordingReader::Next::kEnd) break;
    if (*next == RecordingReader::Next::kRefill) {
      EXPECT_TRUE(reader->refill());
      continue;
    }
    knell_event want = expected.at(read.events++);
    want.via = KNELL_VIA_RECORDING;
    EXPECT_TRUE(same(event, want)) << read.events;
  }
  read.ended = true;
  return read;
}

TEST(Recording, ReturnsTheEventsAndTheOrigin) {
  const auto events = some(25);
  const std::string bytes = recorded(events);
  const Read read = read_all(bytes, events);
  EXPECT_TRUE(read.ended) << read.error;
  EXPECT_EQ(read.events, 25U);
  auto reader = RecordingReader::open(memory(bytes), "file");
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->origin().kernel, "Linux 6.18 x86_64");
  EXPECT_EQ(reader->origin().subscription.mask, KNELL_EVENT_EXIT);
  EXPECT_EQ(reader->origin().subscription.started_ns, 7);
  EXPECT_EQ(reader->origin().clock.boot_ahead_ns, 6);
  EXPECT_EQ(reader->origin().selection, "all processes");
}

TEST(Recording, ReadsMoreThanOneFrameAndOneBuffer) {
  const auto events = some(20'000);
  const UniqueFd fd = memory();
  auto writer = RecordingWriter::create(fd.get(), origin());
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->write(pointers(events)));
  ASSERT_TRUE(writer->finish());
  EXPECT_EQ(writer->events(), events.size());
  const Read read = read_all(content(fd.get()), events);
  EXPECT_TRUE(read.ended) << read.error;
  EXPECT_EQ(read.events, events.size());
}

TEST(Recording, ATruncatedFileReturnsItsWholeFramesThenAnError) {
  const auto events = some(30);
  const std::string bytes = recorded(events);
  size_t before = 0;
  // Every byte of the first frames and of the last ones, and some of those between.
  const auto step = [&](size_t size) { return size < 1024 || bytes.size() - size < 256 ? 1u : 7u; };
  for (size_t size = 1; size < bytes.size(); size += step(size)) {
    const Read read = read_all(std::string_view(bytes).substr(0, size), events);
    EXPECT_FALSE(read.ended) << size;
    EXPECT_NE(read.error.find(size < kMagic.size() ? "ends early" : "file ends early, after"),
              std::string::npos)
        << size << read.error;
    EXPECT_EQ(read.events % 10, 0U) << size;
    EXPECT_GE(read.events, before);
    before = read.events;
  }
  EXPECT_EQ(before, 30U);
}

TEST(Recording, AMissingEndMarkIsAnError) {
  const auto events = some(10);
  const Read read = read_all(recorded(events, false), events);
  EXPECT_EQ(read.events, 10U);
  EXPECT_NE(read.error.find("ends early, after 10 events"), std::string::npos) << read.error;
}

TEST(Recording, DetectsAnyFlippedBit) {
  const auto events = some(20);
  const std::string bytes = recorded(events);
  for (size_t at = 0; at < bytes.size(); at++) {
    if (at >= offsetof(FileHeader, minor) && at < sizeof(FileHeader))
      continue;  // later minor versions are accepted
    std::string bad = bytes;
    bad[at] = static_cast<char>(bad[at] ^ 1 << at % 8);
    const Read read = read_all(bad, events);
    EXPECT_FALSE(read.ended) << at;
    EXPECT_FALSE(read.error.empty()) << at;
    EXPECT_EQ(read.events % 10, 0U) << at;  // no event of a damaged frame is returned
  }
}

TEST(Recording, DetectsMissingAndMovedFrames) {
  const auto events = some(20);
  const std::string bytes = recorded(events);
  // Splits the recording into frames, each with its checksum.
  std::vector<std::string> parts;
  for (size_t at = sizeof(FileHeader); at < bytes.size();) {
    const auto frame = parse_frame(std::string_view(bytes).substr(at + sizeof(Checksum)));
    ASSERT_TRUE(frame && *frame);
    parts.push_back(bytes.substr(at, sizeof(Checksum) + (*frame)->bytes));
    at += parts.back().size();
  }
  ASSERT_EQ(parts.size(), 4U);
  const std::string header = bytes.substr(0, sizeof(FileHeader));
  for (const auto& order : {std::vector{0, 2, 1, 3}, {0, 2, 3}, {0, 1, 1, 2, 3}, {0, 1, 3}}) {
    std::string moved = header;
    for (const int i : order) moved += parts[static_cast<size_t>(i)];
    const Read read = read_all(moved, events);
    EXPECT_FALSE(read.ended);
    EXPECT_NE(read.error.find("corrupt"), std::string::npos) << read.error;
  }
}

TEST(Recording, RefusesFilesThatAreNoRecordings) {
  EXPECT_EQ(read_all("", {}).error, "file is empty, not a recording of knell");
  const std::string no = "file is not a recording of knell: create one with knell record";
  EXPECT_EQ(read_all("x", {}).error, no);
  EXPECT_EQ(read_all("{\"type\":\"exit\",\"seq\":1}\n", {}).error, no);
  EXPECT_EQ(read_all(std::string(5000, '\0'), {}).error, no);
  std::string other = recorded({});
  std::swap(other[8], other[11]), std::swap(other[9], other[10]);
  EXPECT_EQ(read_all(other, {}).error, "file was recorded on a machine with another byte order");
  std::string later = recorded({});
  later[12] = 2;
  EXPECT_EQ(read_all(later, {}).error,
            "file has format 2, but this version of knell reads format 1");
}

TEST(Recording, AFullDiskLeavesWholeFrames) {
  const auto events = some(400);
  const std::string path = testing::TempDir() + "knell_full_disk";
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  ASSERT_TRUE(fd);
  ::unlink(path.c_str());
  auto writer = RecordingWriter::create(fd.get(), origin());
  ASSERT_TRUE(writer);
  const auto all = pointers(events);
  ASSERT_TRUE(writer->write(std::span(all).first(10)));
  // RLIMIT_FSIZE ends a write early, as a full disk does.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = before;
  limit.rlim_cur = writer->bytes() + 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const auto result = writer->write(std::span(all).subspan(10));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, EFBIG);
  EXPECT_FALSE(writer->write(std::span(all).first(1)));
  const Read read = read_all(content(fd.get()), events);
  EXPECT_EQ(read.events, 10U);
  EXPECT_NE(read.error.find("ends early, after 10 events"), std::string::npos) << read.error;
}

TEST(Recording, AnotherOneMayFollowTheEnd) {
  auto events = some(12);
  const std::string one = recorded(events);
  auto twice = events;
  twice.insert(twice.end(), events.begin(), events.end());
  const Read whole = read_all(one + one, twice);
  EXPECT_EQ(whole.events, 24U);
  EXPECT_TRUE(whole.ended) << whole.error;
  // Wherever the second one is cut, the events of the first are read.
  for (size_t size = 1; size < one.size(); size += 7) {
    const Read cut = read_all(one + one.substr(0, size), twice);
    EXPECT_GE(cut.events, 12U);
    EXPECT_FALSE(cut.ended);
    EXPECT_NE(cut.error.find("ends early, after "), std::string::npos) << cut.error;
  }
}

TEST(Recording, AppendsToACompleteOne) {
  const auto events = some(12);
  auto twice = events;
  twice.insert(twice.end(), events.begin(), events.end());
  const UniqueFd fd = memory();
  for (int n = 0; n < 2; ++n) {
    auto writer = RecordingWriter::append(fd.get(), origin());
    ASSERT_TRUE(writer) << writer.error().message();
    ASSERT_TRUE(writer->write(pointers(events)));
    ASSERT_TRUE(writer->finish());
  }
  const Read read = read_all(content(fd.get()), twice);
  EXPECT_EQ(read.events, 24U);
  EXPECT_TRUE(read.ended) << read.error;
}

TEST(Recording, CompletesTheOneBeforeItAppends) {
  const auto events = some(25);
  const std::string whole = recorded(events);
  const size_t hello = recorded({}, false).size();
  for (size_t size = hello; size < whole.size(); size += 5) {
    const UniqueFd fd = memory(whole.substr(0, size));
    auto writer = RecordingWriter::append(fd.get(), origin());
    ASSERT_TRUE(writer) << writer.error().message();
    ASSERT_TRUE(writer->write(pointers({events[0]})));
    // Killed here, before its end.
    auto last = RecordingWriter::append(fd.get(), origin());
    ASSERT_TRUE(last) << last.error().message();
    ASSERT_TRUE(last->finish());
    const size_t before = read_all(whole.substr(0, size), events).events;
    auto expected = std::vector(events.begin(), events.begin() + static_cast<ptrdiff_t>(before));
    expected.push_back(events[0]);
    const Read read = read_all(content(fd.get()), expected);
    EXPECT_EQ(read.events, expected.size()) << size;
    EXPECT_TRUE(read.ended) << read.error;
  }
}

TEST(Recording, AppendsNeitherOtherEventsNorToOtherFiles) {
  const std::string whole = recorded(some(25));
  Origin other = origin();
  other.subscription.mask = KNELL_EVENT_FORK;
  EXPECT_EQ(RecordingWriter::append(memory(whole).get(), other).error().code, EINVAL);
  const UniqueFd text = memory("precious");
  EXPECT_EQ(RecordingWriter::append(text.get(), origin()).error().code, EBADMSG);
  EXPECT_EQ(content(text.get()), "precious");
  std::string damaged = whole;
  damaged[whole.size() / 2] ^= 1;
  const UniqueFd file = memory(damaged);
  EXPECT_EQ(RecordingWriter::append(file.get(), origin()).error().code, EBADMSG);
  EXPECT_EQ(content(file.get()), damaged);
}

TEST(Recording, BytesAfterTheEndAreAnError) {
  const auto events = some(10);
  const std::string one = recorded(events);
  for (const std::string& more : std::vector<std::string>{one.substr(1), "x"}) {
    const Read read = read_all(one + more, events);
    EXPECT_EQ(read.events, 10U);
    EXPECT_FALSE(read.ended);
    EXPECT_NE(read.error.find("has more data after the end of the recording, at byte " +
                              std::to_string(one.size())),
              std::string::npos)
        << read.error;
  }
}

TEST(Recording, AFullDiskDoesNotTruncateEarlierContent) {
  const auto events = some(400);
  const std::string path = testing::TempDir() + "knell_appended";
  for (const int how : {0, O_APPEND}) {
    const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | how, 0600));
    ASSERT_TRUE(fd);
    ::unlink(path.c_str());
    const std::string before(100'000, 'D');
    ASSERT_EQ(::write(fd.get(), before.data(), before.size()), 100'000);
    auto writer = RecordingWriter::create(fd.get(), origin());
    ASSERT_TRUE(writer);
    const auto all = pointers(events);
    ASSERT_TRUE(writer->write(std::span(all).first(10)));
    const uint64_t good = 100'000 + writer->bytes();
    rlimit old{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
    auto* const handler = std::signal(SIGXFSZ, SIG_IGN);
    rlimit limit = old;
    limit.rlim_cur = good + 1000;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    EXPECT_FALSE(writer->write(std::span(all).subspan(10)));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
    std::signal(SIGXFSZ, handler);
    const std::string after = content(fd.get());
    EXPECT_EQ(after.size(), good);
    EXPECT_TRUE(after.starts_with(before));
    EXPECT_EQ(read_all(after.substr(before.size()), events).events, 10U);
    EXPECT_FALSE(writer->finish());  // it has no end mark
  }
}

TEST(Recording, WritesTheRestWhenAPipeHasRoom) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd out(ends[0]), in(ends[1]);
  ASSERT_GT(::fcntl(in.get(), F_SETPIPE_SZ, 4096), 0);
  const auto events = some(100);
  auto writer = RecordingWriter::create(in.get(), origin());
  ASSERT_TRUE(writer);
  auto written = writer->write(pointers(events));
  std::string whole;
  const auto drain = [&] {
    char buffer[4096];
    for (ssize_t n; (n = ::read(out.get(), buffer, sizeof buffer)) > 0;)
      whole.append(buffer, static_cast<size_t>(n));
  };
  while (!written) {
    ASSERT_EQ(written.error().code, EAGAIN);
    drain();
    written = writer->write({});
  }
  drain();
  ASSERT_TRUE(writer->finish());
  drain();
  EXPECT_TRUE(read_all(whole, events).ended);
}

TEST(Recording, RefusesATooLargeEventAndGoesOn) {
  const std::string huge(70'000, 'x');
  std::vector<knell_event> events = some(2);
  events[1].args = bytes(huge);
  const UniqueFd fd = memory();
  auto writer = RecordingWriter::create(fd.get(), origin());
  ASSERT_TRUE(writer);
  const auto all = pointers(events);
  // Once alone, once after a valid event
  for (const size_t count : std::initializer_list<size_t>{1, 2}) {
    const auto result = writer->write(std::span(all).last(count));
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, EMSGSIZE);
  }
  const knell_event none{};
  const knell_event* const blank = &none;
  EXPECT_EQ(writer->write(std::span(&blank, 1)).error().code, EINVAL);
  EXPECT_TRUE(writer->write(std::span(all).first(1)));
  EXPECT_TRUE(writer->finish());
  EXPECT_TRUE(read_all(content(fd.get()), events).ended);
}

}  // namespace
}  // namespace knell::wire
