// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/event.h"

#include <array>
#include <cstring>

namespace knell::wire {
namespace {

static_assert(sizeof(Id) == 24 && sizeof(Core) == 120 && sizeof(Killer) == 16);
static_assert(sizeof(LastSignal) == 24);
static_assert(sizeof(Child) == 32 && sizeof(Ids) == 8 && sizeof(Lost) == 48);

struct Text {
  Attribute type;
  knell_string knell_event::* field;
};
constexpr std::array kTexts{
    Text{kComm, &knell_event::comm},
    Text{kParentComm, &knell_event::parent_comm},
    Text{kExe, &knell_event::exe},
    Text{kArgs, &knell_event::args},
    Text{kCwd, &knell_event::cwd},
    Text{kUser, &knell_event::user},
    Text{kCgroup, &knell_event::cgroup},
    Text{kUnit, &knell_event::unit},
    Text{kContainerId, &knell_event::container_id},
    Text{kNewComm, &knell_event::new_comm},
};

constexpr size_t kFixedBytes = attribute_bytes(sizeof(int64_t)) + sizeof(nlattr) +
                               attribute_bytes(sizeof(Core)) + attribute_bytes(sizeof(Killer)) +
                               attribute_bytes(sizeof(LastSignal)) +
                               attribute_bytes(sizeof(Child)) + attribute_bytes(sizeof(Ids)) +
                               attribute_bytes(sizeof(int32_t)) + attribute_bytes(sizeof(Lost));

Id as_wire(const knell_id& id) {
  return {.start = id.start, .boot = id.boot, .pid = id.pid, .kind = id.kind, .reserved = 0};
}

knell_id as_event(const Id& id) {
  if (id.kind != KNELL_ID_START && id.kind != KNELL_ID_STAMP) return {};
  return {.boot = id.boot, .pid = id.pid, .start = id.start, .kind = id.kind};
}

Core core_of(const knell_event& e) {
  return {.mono_ns = e.mono_ns,
          .seq = e.seq,
          .has = e.has,
          .duration_ns = e.duration_ns,
          .type = e.type,
          .flags = e.flags,
          .via = e.via,
          .exit_signal = e.exit_signal,
          .pid = e.pid,
          .tid = e.tid,
          .ppid = e.ppid,
          .uid = e.uid,
          .gid = e.gid,
          .wait_status = e.wait_status,
          .id = as_wire(e.id),
          .parent_id = as_wire(e.parent_id)};
}

// The texts of who sent a signal.
template <class Event, class Visit>
void visit_sender_texts(Event& e, Visit visit) {
  visit(kKillerComm, e.killed_by.comm);
  visit(kKillerParentComm, e.killed_by.parent_comm);
  visit(kKillerUnit, e.killed_by.unit);
  visit(kKillerMemoryCgroup, e.killed_by.memory_cgroup);
  visit(kLastSignalComm, e.last_signal.comm);
  visit(kLastSignalParentComm, e.last_signal.parent_comm);
}
constexpr uint64_t kSenders = KNELL_HAS_KILLER | KNELL_HAS_LAST_SIGNAL;

// A cursor over room that is known to be enough.
class Pen {
 public:
  explicit Pen(char* at) : at_(at) {}
  char* at() const { return at_; }
  void text(uint16_t type, const char* data, size_t size) {
    put(nlattr{.nla_len = static_cast<uint16_t>(sizeof(nlattr) + size), .nla_type = type});
    std::memset(at_ + (size & ~size_t{3}), 0, 4);  // what pads it; may be written over
    if (size != 0) std::memcpy(at_, data, size);
    at_ += padded(size);
  }
  template <class T>
  void value(uint16_t type, const T& value) {
    static_assert(sizeof value % 4 == 0);
    put(nlattr{.nla_len = sizeof(nlattr) + sizeof value, .nla_type = type});
    put(value);
  }
  template <class T>
  void put(const T& value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }

 private:
  char* at_;
};

void put_senders(Pen& pen, const knell_event& e) {
  if ((e.has & KNELL_HAS_KILLER) != 0)
    pen.value(kKiller, Killer{.pid = e.killed_by.pid,
                              .uid = e.killed_by.uid,
                              .cause = e.killed_by.cause,
                              .parent_pid = e.killed_by.parent_pid});
  if ((e.has & KNELL_HAS_LAST_SIGNAL) != 0)
    pen.value(kLastSignal, LastSignal{.ago_ns = e.last_signal.ago_ns,
                                      .signal = e.last_signal.signal,
                                      .pid = e.last_signal.pid,
                                      .uid = e.last_signal.uid,
                                      .reserved = 0});
  visit_sender_texts(e, [&](Attribute type, const knell_string& text) {
    if (text.data != nullptr) pen.text(type, text.data, text.size);
  });
}

void put_of_type(Pen& pen, const knell_event& e) {
  switch (e.type) {
    case KNELL_EVENT_FORK:
      pen.value(kChild, Child{.id = as_wire(e.child_id), .pid = e.child_pid, .tid = e.child_tid});
      break;
    case KNELL_EVENT_UID:
    case KNELL_EVENT_GID:
      pen.value(kIds, Ids{.real = e.ruid, .effective = e.euid});
      break;
    case KNELL_EVENT_PTRACE:
      pen.value(kTracer, e.tracer_pid);
      break;
    case KNELL_EVENT_LOST:
      pen.value(kLost, Lost{.count = e.lost_count,
                            .from_ns = e.lost_from_ns,
                            .until_ns = e.lost_until_ns,
                            .from_time_ns = e.lost_from_time_ns,
                            .until_time_ns = e.lost_until_time_ns,
                            .types = e.lost_types,
                            .reserved = 0});
      break;
    default:
      break;
  }
}

}  // namespace

size_t event_bytes(const knell_event& event) {
  size_t bytes = kFixedBytes;
  if ((event.has & kSenders) != 0)
    visit_sender_texts(
        event, [&](Attribute, const knell_string& text) { bytes += attribute_bytes(text.size); });
  for (const Text& text : kTexts) bytes += attribute_bytes((event.*text.field).size);
  return bytes;
}

int64_t epoch_of(const knell_event& event) {
  // By unsigned ones, which may wrap: nothing vouches for the numbers of a recording told again.
  return static_cast<int64_t>(static_cast<uint64_t>(event.time_ns) - event.mono_ns);
}

namespace {

// The event's attribute, put at the end of `out`.
void append_event(std::string& out, const knell_event& event) {
  const size_t start = out.size();
  constexpr size_t kSlack = 4;  // Pen::text() clears a word behind
  out.resize_and_overwrite(start + event_bytes(event) + kSlack, [&](char* data, size_t) {
    Pen pen(data + start);
    char* const nest = pen.at();
    pen.put(nlattr{});
    pen.value(kCore, core_of(event));
    for (const Text& text : kTexts) {
      const knell_string& field = event.*text.field;
      if (field.data != nullptr) pen.text(text.type, field.data, field.size);
    }
    if ((event.has & kSenders) != 0) put_senders(pen, event);
    put_of_type(pen, event);
    const nlattr header{.nla_len = static_cast<uint16_t>(pen.at() - nest), .nla_type = kEvent};
    std::memcpy(nest, &header, sizeof header);
    return static_cast<size_t>(pen.at() - data);
  });
}

}  // namespace

std::string_view encode_event(std::string& buffer, const knell_event& event) {
  KNELL_CHECK(event_bytes(event) <= kMostEvent);
  buffer.clear();
  append_event(buffer, event);
  return buffer;
}

bool EventFrame::add(int64_t epoch_ns, std::string_view event) {
  const bool same_epoch = epoch_ns_ == epoch_ns;
  const size_t epoch_bytes = same_epoch ? 0 : attribute_bytes(sizeof epoch_ns);
  if (epoch_bytes + event.size() > frame_.room()) return false;
  if (!same_epoch) frame_.attribute(kEpoch, epoch_ns);
  epoch_ns_ = epoch_ns;
  frame_.out().append(event);
  return true;
}

void EventWriter::add(FrameWriter& frame, const knell_event& event) {
  KNELL_CHECK(event_bytes(event) <= frame.room());
  const int64_t epoch = epoch_of(event);
  if (epoch_ns_ != epoch) frame.attribute(kEpoch, epoch);
  epoch_ns_ = epoch;
  append_event(frame.out(), event);
}

namespace {

bool set_core(std::string_view bytes, knell_event& e) {
  Core core;
  if (!load(bytes, core)) return false;
  e.type = core.type;
  e.has = core.has;
  e.flags = core.flags;
  e.via = core.via;
  e.exit_signal = core.exit_signal;
  e.seq = core.seq;
  e.mono_ns = core.mono_ns;
  e.duration_ns = core.duration_ns;
  e.id = as_event(core.id);
  e.parent_id = as_event(core.parent_id);
  e.pid = core.pid;
  e.tid = core.tid;
  e.ppid = core.ppid;
  e.uid = core.uid;
  e.gid = core.gid;
  e.wait_status = core.wait_status;
  return true;
}

bool set_child(std::string_view bytes, knell_event& e) {
  Child child;
  if (!load(bytes, child)) return false;
  e.child_id = as_event(child.id);
  e.child_pid = child.pid;
  e.child_tid = child.tid;
  return true;
}

bool set_ids(std::string_view bytes, knell_event& e) {
  Ids ids;
  if (!load(bytes, ids)) return false;
  e.ruid = ids.real;
  e.euid = ids.effective;
  return true;
}

bool set_killer(std::string_view bytes, knell_event& e) {
  Killer killer{};
  if (!load(bytes, killer, offsetof(Killer, parent_pid))) return false;
  e.killed_by.pid = killer.pid;
  e.killed_by.uid = killer.uid;
  e.killed_by.cause = killer.cause;
  e.killed_by.parent_pid = killer.parent_pid;
  return true;
}

bool set_last_signal(std::string_view bytes, knell_event& e) {
  LastSignal last;
  if (!load(bytes, last)) return false;
  e.last_signal.signal = last.signal;
  e.last_signal.pid = last.pid;
  e.last_signal.uid = last.uid;
  e.last_signal.ago_ns = last.ago_ns;
  return true;
}

bool set_sender_text(uint16_t type, knell_string text, knell_event& e) {
  bool found = false;
  visit_sender_texts(e, [&](Attribute of, knell_string& field) {
    if (of != type) return;
    field = text;
    found = true;
  });
  return found;
}

bool set_lost(std::string_view bytes, knell_event& e) {
  Lost lost;
  if (!load(bytes, lost)) return false;
  e.lost_count = lost.count;
  e.lost_types = lost.types & KNELL_EVENT_ALL;
  e.lost_from_ns = lost.from_ns;
  e.lost_until_ns = lost.until_ns;
  e.lost_from_time_ns = lost.from_time_ns;
  e.lost_until_time_ns = lost.until_time_ns;
  return true;
}

// False: malformed.
bool set(const AttributeView& attribute, knell_event& e) {
  const knell_string text{attribute.bytes.data(), attribute.bytes.size()};
  switch (attribute.type) {
    case kCore:
      return set_core(attribute.bytes, e);
    case kKiller:
      return set_killer(attribute.bytes, e);
    case kLastSignal:
      return set_last_signal(attribute.bytes, e);
    case kChild:
      return set_child(attribute.bytes, e);
    case kIds:
      return set_ids(attribute.bytes, e);
    case kTracer:
      return load(attribute.bytes, e.tracer_pid);
    case kLost:
      return set_lost(attribute.bytes, e);
    default:
      break;
  }
  static_assert(kNewComm - kComm + 1 == kTexts.size());
  if (attribute.type < kComm || attribute.type > kNewComm)
    return set_sender_text(attribute.type, text, e) || !attribute.mandatory;
  e.*kTexts[attribute.type - kComm].field = text;
  return true;
}

}  // namespace

bool EventReader::read(std::string_view bytes, knell_event& event) {
  event = {};
  event.size = sizeof event;
  AttributeReader attributes(bytes);
  while (const auto attribute = attributes.next())
    if (!set(*attribute, event)) return false;
  event.time_ns = static_cast<int64_t>(event.mono_ns + static_cast<uint64_t>(epoch_ns_));
  return event.type != 0 && !attributes.broken();
}

bool EventReader::next(knell_event& event) {
  while (!broken_) {
    const auto attribute = attributes_.next();
    if (!attribute) return false;
    if (attribute->type == kEvent) {
      broken_ = !read(attribute->bytes, event);
      return !broken_;
    }
    if (attribute->type == kEpoch)
      broken_ = !load(attribute->bytes, epoch_ns_);
    else
      broken_ = attribute->mandatory;
  }
  return false;
}

}  // namespace knell::wire
