// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The C ABI of recordings.
#include <knell/knell.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "lib/abi.h"
#include "lib/handle.h"
#include "lib/structure_size.h"
#include "wire/recording.h"

using knell::lib::outcome;

struct knell_recorder {
  std::optional<knell::wire::RecordingWriter> writer;
  // The process that opened it. A forked child has a copy of the writer, which does not know what
  // the parent writes.
  const pid_t owner = ::getpid();
};

namespace {

template <size_t N>
void copy(char (&to)[N], const std::string& from) {
  const size_t size = std::min(from.size(), N - 1);
  std::memcpy(to, from.data(), size);
  std::memset(to + size, 0, N - size);
}

int missing(const char* what) {
  return knell::lib::store_error(
      knell::Error{EINVAL, std::string(what) + " must not be NULL", true});
}

int of_another_process(const knell_recorder& recorder) {
  return knell::lib::store_error({EINVAL,
                                  "this recorder belongs to process " +
                                      std::to_string(recorder.owner) +
                                      ": a forked child must open its own",
                                  true});
}

}  // namespace

namespace {

using Create = knell::Result<knell::wire::RecordingWriter> (*)(int, const knell::wire::Origin&);

int open_recorder(Create create, int fd, const knell_listener* k, const char* selection,
                  knell_recorder** ret_recorder) {
  return knell::lib::guarded([&]() -> int {
    if (k == nullptr || ret_recorder == nullptr) return missing("the listener and ret_recorder");
    if (const int error = knell::lib::error_of_handle(k); error != 0) return error;
    knell::wire::Origin origin = k->origin();
    if (selection != nullptr) origin.selection = selection;
    auto recorder = std::make_unique<knell_recorder>();  // before anything is written
    auto writer = create(fd, origin);
    if (!writer) return knell::lib::store_error(writer.error());
    recorder->writer = *std::move(writer);
    *ret_recorder = recorder.release();
    return 0;
  });
}

}  // namespace

int knell_recorder_open(int fd, const knell_listener* k, const char* selection,
                        knell_recorder** ret_recorder) {
  return open_recorder(knell::wire::RecordingWriter::create, fd, k, selection, ret_recorder);
}

int knell_recorder_append(int fd, const knell_listener* k, const char* selection,
                          knell_recorder** ret_recorder) {
  return open_recorder(knell::wire::RecordingWriter::append, fd, k, selection, ret_recorder);
}

int knell_recorder_write(knell_recorder* recorder, const knell_event* const* events, size_t count) {
  return knell::lib::guarded([&]() -> int {
    if (recorder == nullptr || (events == nullptr && count != 0))
      return missing("the recorder and events");
    if (recorder->owner != ::getpid()) return of_another_process(*recorder);
    const auto given = knell::lib::CallerEvents::create(std::span(events, count));
    if (!given) return knell::lib::store_error(given.error());
    return outcome(recorder->writer->write(given->get()));
  });
}

uint64_t knell_recorder_bytes(const knell_recorder* recorder) {
  return recorder == nullptr ? 0 : recorder->writer->bytes();
}

int knell_recorder_close(knell_recorder* recorder) {
  return knell::lib::guarded([&]() -> int {
    const std::unique_ptr<knell_recorder> freed(recorder);
    if (freed == nullptr || freed->owner != ::getpid()) return 0;
    return outcome(freed->writer->finish());
  });
}

int knell_get_recording(const knell_listener* k, knell_recording* ret_recording) {
  return knell::lib::guarded([&]() -> int {
    if (k == nullptr || ret_recording == nullptr) return missing("the listener and ret_recording");
    if (const int error = knell::lib::error_of_handle(k); error != 0) return error;
    const knell::wire::Origin* recording = k->recording();
    if (recording == nullptr)
      return knell::lib::store_error({ENODATA, "this listener does not read a recording", true});
    const knell::wire::Origin& origin = *recording;
    const auto& subscription = origin.subscription;
    knell_recording all{};
    all.events = subscription.mask;
    all.level = subscription.level;
    all.details = subscription.details;
    all.via = subscription.via;
    all.started_ns = subscription.started_ns;
    copy(all.knell, origin.knell);
    copy(all.kernel, origin.kernel);
    copy(all.boot_id, origin.boot_id);
    copy(all.selection, origin.selection);
    return outcome(knell::lib::fill(ret_recording, all));
  });
}
