// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "samples.h"

#include <csignal>
#include <iterator>
#include <string_view>

namespace knell::bench {
namespace {

using namespace std::string_view_literals;

constexpr uint32_t kBoot = 0x5eed5eed;
constexpr uint64_t kFirstNs = 90'000'000'000'000;  // a day after the boot

struct Program {
  std::string_view comm, args, exe;
  uint32_t uid;
  const char* cgroup;
};
// NOLINTBEGIN(bugprone-string-literal-with-embedded-nul): words of args end with one
constexpr Program kPrograms[] = {
    {"grep", "grep\0-q\0nosuch\0/etc/passwd\0"sv, "/usr/bin/grep", 0, "/system.slice/cron.service"},
    {"postgres", "postgres: app orders 10.1.2.3(51234) UPDATE\0"sv,
     "/usr/lib/postgresql/15/bin/postgres", 101, "/system.slice/postgresql@15-main.service"},
    {"php-fpm8.2", "php-fpm: pool www\0"sv, "/usr/sbin/php-fpm8.2", 33,
     "/system.slice/php8.2-fpm.service"},
    {"cc1",
     "/usr/lib/gcc/x86_64-linux-gnu/12/cc1\0-quiet\0-imultiarch\0x86_64-linux-gnu\0parser.c\0"
     "-dumpbase\0parser.c\0-mtune=generic\0-march=x86-64\0-O2\0-Wall\0-Wextra\0-o\0"
     "/tmp/ccXmQ2Lb.s\0"sv,
     "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", 1000, "/user.slice/user-1000.slice/session-3.scope"},
};
// NOLINTEND(bugprone-string-literal-with-embedded-nul)
constexpr size_t kProgramCount = std::size(kPrograms);

const Program& program(size_t i) { return kPrograms[i % kProgramCount]; }

}  // namespace

uint64_t cgroup_inode(size_t i) { return 4711 + i % kProgramCount; }
const char* cgroup_path(size_t i) { return program(i).cgroup; }

event::Full exit_of_process(size_t i, uint32_t details) {
  const Program& p = program(i);
  event::Full full;
  full.what = KNELL_EVENT_EXIT;
  full.stamp_ns = kFirstNs + i * 10'000;
  full.pid = full.tid = static_cast<int32_t>(10'000 + i);
  full.start_boot_ns = full.stamp_ns - 2'345'678;
  full.ppid = 900;
  full.parent_start_boot_ns = 1'000'000'000;
  const bool killed = i % 50 == 49;
  full.u.exit = {killed ? SIGKILL : i % 10 == 0 ? 1 << 8 : 0, SIGCHLD};
  if (details == KNELL_DETAILS_STATUS) return full;
  full.has_details = true;
  p.comm.copy(full.comm.data(), full.comm.size() - 1);
  full.parent_comm = {"bash"};
  full.uid = full.gid = p.uid;
  full.cgroup = cgroup_inode(i);
  if (killed) full.killer = {.cause = KNELL_CAUSE_USER, .pid = 8103, .comm = {"bash"}};
  if (details == KNELL_DETAILS_NAMES) return full;
  full.has_args = true;
  full.args = p.args;
  full.exe = p.exe;
  full.cwd = "/var/lib/somewhere";
  return full;
}

Samples::Samples(uint32_t details) : teller_(kBoot, time_), batch_(kSamples) {
  time_.epoch_ns = 1'700'000'000'000'000'000;
  for (size_t i = 0; i < kProgramCount; i++)
    teller_.cgroups().learn(cgroup_inode(i), cgroup_path(i));
  for (size_t i = 0; i < kSamples; i++) {
    const event::Full full = exit_of_process(i, details);
    watch::Slot* slot = batch_.reserve();
    knell_event& event = slot->event;
    event.size = sizeof event;
    event.type = full.what;
    event.via = KNELL_VIA_BPF;
    event.seq = i + 1;
    event.mono_ns = full.stamp_ns;
    event.time_ns = time_.realtime_ns(full.stamp_ns);
    event.pid = full.pid;
    event.tid = full.tid;
    teller_.tell(batch_, *slot, full);
    events_.push_back(event);
  }
}

}  // namespace knell::bench
