// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/cn_proc.h>

#include <cstdint>

#include "event/namespace_pids.h"

namespace knell::event {

// One event of the kernel, thread-level and decoded; or a loss of events. Plain data, no ownership:
// 72 bytes, valid during the call they are passed to.
struct Raw {
  uint32_t what = KNELL_EVENT_NONE;  // one KNELL_EVENT_*
  uint32_t cpu = 0;
  uint32_t seq = 0;       // per CPU
  uint64_t stamp_ns = 0;  // CLOCK_MONOTONIC
  int32_t tid = 0;        // the thread it is about; fork: the child's thread
  int32_t pid = 0;        // its process; fork: the child's process
  union {
    // The largest member must be first: its initializer zeroes the whole union.
    struct {
      uint64_t count, from_ns;
      uint32_t types;
      bool counted, exact;
    } lost;  // until: stamp_ns
    struct {
      uint32_t err, ack;
    } ack;
    struct {
      int32_t parent_tid, parent_pid;
    } fork;
    struct {
      uint32_t real, effective;
    } id;
    struct {
      int32_t tracer_tid, tracer_pid;
    } ptrace;
    struct {
      char name[16];
    } comm;  // NUL-padded; a hostile sender may leave no NUL
    struct {
      int32_t parent_tid, parent_pid;
    } coredump;
    struct {
      uint32_t code, signal;
      int32_t parent_tid, parent_pid;
    } exit;
  } u{};
};

// The process and the thread in the event's union, a parent or a tracer; null: the union has none.
struct OtherPids {
  int32_t *pid = nullptr, *tid = nullptr;
};
OtherPids other_pids_of(Raw& raw);

// The event as seen in the pid namespace of `level`: all pids become those of the namespace, 0 for
// a process outside. In `level`, pid and tid are those of the event; other_pid and other_ppid
// belong to the result of other_pids_of().
Raw translate(const Raw& raw, const NamespacePids& level);

}  // namespace knell::event
