// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A trace of Perfetto's TrackEvents: one track for each process, below that of its parent, with one
// slice. The field numbers are those of Perfetto's public schema; tests/cli/perfetto.proto has the
// part of it that is used here.
#include <knell/knell.hpp>

#include "cli/timeline/protobuf_writer.h"
#include "cli/timeline/timeline.h"

namespace knell::cli {
namespace {

namespace trace {
constexpr uint32_t kPacket = 1;
}
namespace packet {
constexpr uint32_t kClockSnapshot = 6, kTimestamp = 8, kSequenceId = 10, kTrackEvent = 11,
                   kSequenceFlags = 13, kClockId = 58, kTrackDescriptor = 60;
}
namespace clock_snapshot {
constexpr uint32_t kClocks = 1, kPrimaryClock = 2, kClockId = 1, kTimestamp = 2;
}
namespace track {
constexpr uint32_t kUuid = 1, kName = 2, kParentUuid = 5;
}
namespace track_event {
constexpr uint32_t kAnnotations = 4, kType = 9, kTrackUuid = 11, kCategories = 22, kName = 23;
constexpr uint64_t kSliceBegin = 1, kSliceEnd = 2;
}  // namespace track_event
namespace annotation {
constexpr uint32_t kNumber = 3, kText = 6, kName = 10;
}
constexpr uint64_t kRealtime = 1, kMonotonic = 3;  // CLOCK_REALTIME, CLOCK_MONOTONIC
constexpr uint64_t kSequence = 1;                  // any number: there is one writer
constexpr uint64_t kStateCleared = 1;              // the first packet of a sequence

// FNV-1a of the id, the same in every trace with this process.
uint64_t track_uuid(const Timeline& timeline, uint32_t process) {
  const knell_id& id = timeline[process].id;
  const std::string text =
      id.kind == KNELL_ID_NONE ? "process " + std::to_string(process) : knell::text(id);
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 0x100000001b3;
  }
  return hash == 0 ? 1 : hash;  // 0 is the track of the whole trace
}

ProtobufWriter text_annotation(std::string_view name, std::string_view value) {
  return ProtobufWriter().bytes(annotation::kName, name).bytes(annotation::kText, value);
}

class PerfettoWriter {
 public:
  PerfettoWriter(const Timeline& timeline, BufferedWriter& writer)
      : timeline_(timeline), writer_(writer) {}

  Outcome<void> write() {
    write_clocks();
    for (uint32_t i = 0; i < timeline_.history().processes().size(); ++i) {
      write_process(i);
      KNELL_TRY(writer_.spill());
    }
    return writer_.finish();
  }

 private:
  void add(ProtobufWriter& one) {
    one.number(packet::kSequenceId, kSequence);
    writer_.buffer() += ProtobufWriter().message(trace::kPacket, one).bytes();
  }

  uint64_t clock() const { return timeline_.history().realtime() ? kRealtime : kMonotonic; }

  void write_clocks() {
    const ProcessHistory& history = timeline_.history();
    ProtobufWriter clocks;
    const auto add_clock = [&](uint64_t clock, uint64_t time) {
      clocks.message(clock_snapshot::kClocks, ProtobufWriter()
                                                  .number(clock_snapshot::kClockId, clock)
                                                  .number(clock_snapshot::kTimestamp, time));
    };
    add_clock(clock(), history.begin_ns());
    if (history.begin_time_ns() != 0 && !history.realtime())
      add_clock(kRealtime, static_cast<uint64_t>(history.begin_time_ns()));
    clocks.number(clock_snapshot::kPrimaryClock, clock());
    ProtobufWriter one;
    one.message(packet::kClockSnapshot, clocks).number(packet::kSequenceFlags, kStateCleared);
    add(one);
  }

  void add_event(uint64_t mono_ns, const ProtobufWriter& event) {
    ProtobufWriter one;
    one.number(packet::kTimestamp, mono_ns).number(packet::kClockId, clock());
    one.message(packet::kTrackEvent, event);
    add(one);
  }

  void write_process(uint32_t i) {
    const PastProcess& process = timeline_[i];
    const uint64_t uuid = track_uuid(timeline_, i);
    const std::string name = timeline_.name(i);
    ProtobufWriter descriptor;
    descriptor.number(track::kUuid, uuid)
        .bytes(track::kName, name + " " + std::to_string(process.pid));
    if (process.parent != kNoProcess)
      descriptor.number(track::kParentUuid, track_uuid(timeline_, process.parent));
    ProtobufWriter one;
    one.message(packet::kTrackDescriptor, descriptor);
    add(one);

    ProtobufWriter begin;
    begin.number(track_event::kType, track_event::kSliceBegin)
        .number(track_event::kTrackUuid, uuid)
        .bytes(track_event::kCategories, "process");
    if (process.failed()) begin.bytes(track_event::kCategories, "failed");
    const std::string ended = timeline_.ended(i);
    begin.bytes(track_event::kName, process.failed() ? name + ": " + ended : name);
    begin.message(track_event::kAnnotations,
                  ProtobufWriter()
                      .bytes(annotation::kName, "pid")
                      .number(annotation::kNumber, static_cast<uint64_t>(process.pid)));
    const auto annotate = [&](std::string_view key, std::string_view value) {
      if (!value.empty()) begin.message(track_event::kAnnotations, text_annotation(key, value));
    };
    annotate("id", knell::text(process.id));
    annotate("command", timeline_.history().command(process));
    annotate("ended", ended);
    annotate("cause", timeline_.history().text(process.cause));
    if (!process.start_known) annotate("start", "unknown, before this");
    add_event(process.start_ns, begin);
    // A slice without an end goes on to the end of the trace.
    if (process.end == PastProcess::End::kRunning) return;
    add_event(process.end_ns, ProtobufWriter()
                                  .number(track_event::kType, track_event::kSliceEnd)
                                  .number(track_event::kTrackUuid, uuid));
  }

  const Timeline& timeline_;
  BufferedWriter& writer_;
};

}  // namespace

Outcome<void> write_perfetto(const Timeline& timeline, BufferedWriter& writer) {
  return PerfettoWriter(timeline, writer).write();
}

}  // namespace knell::cli
