// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "event/fields.h"
#include "wire/recording.h"

namespace {

using namespace knell::wire;

// Writes valid checksums and sequence numbers for each frame in the input, so that the code after
// these checks is tried too.
void seal(std::string& file) {
  uint32_t seq = 0;
  for (size_t at = sizeof(FileHeader); at + sizeof(Checksum) < file.size();) {
    char* const frame = file.data() + at + sizeof(Checksum);
    const size_t left = file.size() - at - sizeof(Checksum);
    if (left < kHeaderBytes) return;
    std::memcpy(frame + sizeof(nlmsghdr) + offsetof(knell_cn_msg, seq), &seq, sizeof seq);
    ++seq;
    const auto parsed = parse_frame({frame, left});
    if (!parsed || !*parsed) return;
    const Checksum sum = checksum_of({frame, (*parsed)->bytes}, at);
    std::memcpy(file.data() + at, &sum, sizeof sum);
    at += sizeof(Checksum) + (*parsed)->bytes;
  }
}

size_t touch(const knell_string& text) {
  size_t sum = 0;
  for (size_t i = 0; i < text.size; i++) sum += static_cast<unsigned char>(text.data[i]);
  return sum;
}

// Reads to the end or to the first error; each event that was read can be written again.
void read(std::string_view file) {
  knell::UniqueFd fd(::memfd_create("recording", MFD_CLOEXEC));
  KNELL_CHECK(::write(fd.get(), file.data(), file.size()) == static_cast<ssize_t>(file.size()));
  KNELL_CHECK(::lseek(fd.get(), 0, SEEK_SET) == 0);
  auto reader = RecordingReader::open(std::move(fd), "file");
  if (!reader) return;
  size_t sum = 0;
  for (;;) {
    knell_event event;
    const auto next = reader->next(event);
    if (!next || *next == RecordingReader::Next::kEnd) break;
    if (*next == RecordingReader::Next::kRefill) {
      if (!reader->refill()) break;
      continue;
    }
    knell::event::for_each_row<knell::event::kFields>([&](auto row) {
      constexpr auto& kField = knell::event::kFields[row];
      if constexpr (kField.is_text()) sum += touch(knell::event::value_of<kField.member>(event));
    });
    for (knell_string word = knell_next_arg(&event, {nullptr, 0}); word.data != nullptr;
         word = knell_next_arg(&event, word))
      sum += touch(word);
    if (event_bytes(event) > kMostEvent) continue;
    std::string out;
    EventFrame frame(out);
    KNELL_CHECK(frame.add(event));
    frame.finish();
    EventReader again(std::string_view(out).substr(kHeaderBytes));
    knell_event copy;
    KNELL_CHECK(again.next(copy) && copy.type == event.type && copy.mono_ns == event.mono_ns);
  }
  KNELL_CHECK(sum < SIZE_MAX);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string file(reinterpret_cast<const char*>(data), size);
  read(file);
  seal(file);
  read(file);
  return 0;
}
