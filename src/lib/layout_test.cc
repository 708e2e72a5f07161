// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The offsets of the members of the public structures, which are compiled into programs. A new
// member must be at the end of its structure and gets a row here; existing rows must not change.
#include <gtest/gtest.h>
#include <knell/knell.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "lib/structure_size.h"

namespace knell::lib {
namespace {

struct Member {
  std::string structure, name;
  size_t offset, frozen, end, size_of_structure;
};
#define MEMBER(type, name, frozen)                                                         \
  Member {                                                                                 \
    #type, #name, offsetof(type, name), frozen, offsetof(type, name) + sizeof(type::name), \
        sizeof(type)                                                                       \
  }

// clang-format off
const Member kMembers[] = {
    MEMBER(knell_options, size, 0),
    MEMBER(knell_options, events, 8),
    MEMBER(knell_options, level, 12),
    MEMBER(knell_options, details, 16),
    MEMBER(knell_options, via, 20),
    MEMBER(knell_options, latency_ns, 24),
    MEMBER(knell_options, only_added, 32),
    MEMBER(knell_options, args_bytes, 36),
    MEMBER(knell_options, buffer_bytes, 40),
    MEMBER(knell_options, recover, 48),
    MEMBER(knell_options, reserved, 52),
    MEMBER(knell_options, durable, 56),
    MEMBER(knell_options, cursor, 64),
    MEMBER(knell_options, from, 72),
    MEMBER(knell_options, max_unacked, 76),
    MEMBER(knell_replay_options, size, 0),
    MEMBER(knell_replay_options, events, 8),
    MEMBER(knell_replay_options, only_added, 12),
    MEMBER(knell_replay_options, speed, 16),
    MEMBER(knell_history_options, size, 0),
    MEMBER(knell_history_options, events, 8),
    MEMBER(knell_history_options, follow, 12),
    MEMBER(knell_history_options, since_ns, 16),
    MEMBER(knell_history_options, until_ns, 24),
    MEMBER(knell_history_options, last, 32),
    MEMBER(knell_history_options, this_boot, 40),
    MEMBER(knell_history_options, reserved, 44),
    MEMBER(knell_string, data, 0),
    MEMBER(knell_string, size, 8),
    MEMBER(knell_id, boot, 0),
    MEMBER(knell_id, pid, 4),
    MEMBER(knell_id, start, 8),
    MEMBER(knell_id, kind, 16),
    MEMBER(knell_event, size, 0),
    MEMBER(knell_event, has, 8),
    MEMBER(knell_event, type, 16),
    MEMBER(knell_event, flags, 20),
    MEMBER(knell_event, via, 24),
    MEMBER(knell_event, exit_signal, 28),
    MEMBER(knell_event, seq, 32),
    MEMBER(knell_event, mono_ns, 40),
    MEMBER(knell_event, time_ns, 48),
    MEMBER(knell_event, cookie, 56),
    MEMBER(knell_event, id, 64),
    MEMBER(knell_event, parent_id, 88),
    MEMBER(knell_event, pid, 112),
    MEMBER(knell_event, tid, 116),
    MEMBER(knell_event, ppid, 120),
    MEMBER(knell_event, uid, 124),
    MEMBER(knell_event, gid, 128),
    MEMBER(knell_event, wait_status, 132),
    MEMBER(knell_event, duration_ns, 136),
    MEMBER(knell_event, comm, 144),
    MEMBER(knell_event, parent_comm, 160),
    MEMBER(knell_event, exe, 176),
    MEMBER(knell_event, cwd, 192),
    MEMBER(knell_event, args, 208),
    MEMBER(knell_event, user, 224),
    MEMBER(knell_event, cgroup, 240),
    MEMBER(knell_event, unit, 256),
    MEMBER(knell_event, container_id, 272),
    MEMBER(knell_event, killed_by, 288),
    MEMBER(knell_event, killed_by.pid, 288),
    MEMBER(knell_event, killed_by.uid, 292),
    MEMBER(knell_event, killed_by.comm, 296),
    MEMBER(knell_event, killed_by.cause, 312),
    MEMBER(knell_event, killed_by.parent_pid, 316),
    MEMBER(knell_event, killed_by.parent_comm, 320),
    MEMBER(knell_event, killed_by.unit, 336),
    MEMBER(knell_event, killed_by.memory_cgroup, 352),
    MEMBER(knell_event, child_id, 368),
    MEMBER(knell_event, child_pid, 392),
    MEMBER(knell_event, child_tid, 396),
    MEMBER(knell_event, ruid, 400),
    MEMBER(knell_event, euid, 404),
    MEMBER(knell_event, rgid, 408),
    MEMBER(knell_event, egid, 412),
    MEMBER(knell_event, tracer_pid, 416),
    MEMBER(knell_event, new_comm, 424),
    MEMBER(knell_event, lost_count, 440),
    MEMBER(knell_event, lost_types, 448),
    MEMBER(knell_event, lost_from_ns, 456),
    MEMBER(knell_event, lost_until_ns, 464),
    MEMBER(knell_event, lost_from_time_ns, 472),
    MEMBER(knell_event, lost_until_time_ns, 480),
    MEMBER(knell_event, last_signal, 488),
    MEMBER(knell_event, last_signal.signal, 488),
    MEMBER(knell_event, last_signal.pid, 492),
    MEMBER(knell_event, last_signal.uid, 496),
    MEMBER(knell_event, last_signal.comm, 504),
    MEMBER(knell_event, last_signal.parent_comm, 520),
    MEMBER(knell_event, last_signal.ago_ns, 536),
    MEMBER(knell_event, tty, 544),
    MEMBER(knell_event, cursor, 560),
    MEMBER(knell_stats, size, 0),
    MEMBER(knell_stats, buffer_bytes, 8),
    MEMBER(knell_stats, received, 16),
    MEMBER(knell_stats, shown, 24),
    MEMBER(knell_stats, lost, 32),
    MEMBER(knell_stats, wakeups, 40),
    MEMBER(knell_stats, drains, 48),
    MEMBER(knell_stats, repairs, 56),
    MEMBER(knell_stats, processes, 64),
    MEMBER(knell_stats, process_bytes, 72),
    MEMBER(knell_stats, forgotten, 80),
    MEMBER(knell_stats, kernel_mask, 88),
    MEMBER(knell_stats, kernel_filter, 92),
    MEMBER(knell_stats, via, 96),
    MEMBER(knell_stats, daemon, 100),
    MEMBER(knell_stats, scope, 104),
    MEMBER(knell_stats, scope_uid, 108),
    MEMBER(knell_recording, size, 0),
    MEMBER(knell_recording, events, 8),
    MEMBER(knell_recording, level, 12),
    MEMBER(knell_recording, details, 16),
    MEMBER(knell_recording, via, 20),
    MEMBER(knell_recording, started_ns, 24),
    MEMBER(knell_recording, knell, 32),
    MEMBER(knell_recording, kernel, 64),
    MEMBER(knell_recording, boot_id, 224),
    MEMBER(knell_recording, selection, 264),
    MEMBER(knell_finding, size, 0),
    MEMBER(knell_finding, level, 8),
    MEMBER(knell_finding, subject, 16),
    MEMBER(knell_finding, text, 24),
    MEMBER(knell_finding, fix, 32),
};
// clang-format on

TEST(Layout, NoMemberHasMoved) {
  for (const Member& member : kMembers)
    EXPECT_EQ(member.offset, member.frozen) << member.structure << "." << member.name;
}

// A new member in the padding at the end would not change `size`.
TEST(Layout, NoStructureThatGrowsEndsInPadding) {
  std::map<std::string, std::pair<size_t, size_t>> ends;
  for (const Member& member : kMembers) {
    auto& [end, size] = ends[member.structure];
    end = std::max(end, member.end);
    size = member.size_of_structure;
  }
  ends.erase("knell_id");  // knell_id is a member of other structures, so it never grows
  for (const auto& [structure, end] : ends)
    EXPECT_EQ(end.first, end.second)
        << structure << ": it has a member without a row here, or padding";
}

template <class T>
void expect_first_size_at_a_member() {
  const auto ends_there = [](const Member& member) {
    return member.structure == StructureSize<T>::kName &&
           member.end == StructureSize<T>::kFirstSize;
  };
  EXPECT_TRUE(std::ranges::any_of(kMembers, ends_there)) << StructureSize<T>::kName;
}
TEST(Layout, FirstSizesEndWithAMember) {
  expect_first_size_at_a_member<knell_options>();
  expect_first_size_at_a_member<knell_replay_options>();
  expect_first_size_at_a_member<knell_history_options>();
  expect_first_size_at_a_member<knell_event>();
  expect_first_size_at_a_member<knell_stats>();
  expect_first_size_at_a_member<knell_recording>();
}

}  // namespace
}  // namespace knell::lib
