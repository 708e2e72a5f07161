// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The process events connector's ABI (NETLINK_CONNECTOR, group CN_IDX_PROC), whole, as every
// released kernel speaks it. Debian 12's <linux/cn_proc.h> knows neither `struct proc_input` nor
// NONZERO_EXIT; this header does.
//
// Names that begin with knell_/KNELL_ never collide with the kernel's header. Define
// KNELL_CN_PROC_KERNEL_NAMES before including it to get the kernel's own names as well (`struct
// proc_input`, PROC_EVENT_ALL, PROC_EVENT_NONZERO_EXIT, valid_event) wherever the system's header
// lacks them.
//
// All integers are in the machine's byte order. Since knell 0.1.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// What an event is, and the bits of a listener's mask. The kernel's values: do not change.
enum knell_event_type {
  KNELL_EVENT_NONE = 0x00000000,  // the ack of a request
  KNELL_EVENT_FORK = 0x00000001,
  KNELL_EVENT_EXEC = 0x00000002,
  KNELL_EVENT_UID = 0x00000004,
  KNELL_EVENT_GID = 0x00000040,
  KNELL_EVENT_SID = 0x00000080,
  KNELL_EVENT_PTRACE = 0x00000100,
  KNELL_EVENT_COMM = 0x00000200,
  // Ours, never the kernel's: events were lost here. Lies far from the bits the kernel hands out
  // (up from 0x400, down from 0x10000000).
  KNELL_EVENT_LOST = 0x00100000
};
// Bits a C enumerator cannot hold portably. NONZERO_EXIT filters exits and is never an event.
#define KNELL_EVENT_NONZERO_EXIT UINT32_C(0x20000000)
#define KNELL_EVENT_COREDUMP UINT32_C(0x40000000)
#define KNELL_EVENT_EXIT UINT32_C(0x80000000)
#define KNELL_EVENT_ALL UINT32_C(0xe00003c7)

// Where things are: NETLINK_CONNECTOR and its group, from linux/connector.h.
#define KNELL_CN_IDX_PROC UINT32_C(1)
#define KNELL_CN_VAL_PROC UINT32_C(1)

enum knell_mcast_op { KNELL_MCAST_LISTEN = 1, KNELL_MCAST_IGNORE = 2 };

// The request of Linux 6.6 and later; before, only its first four bytes are a request.
struct knell_proc_input {
  uint32_t mcast_op;    // enum knell_mcast_op
  uint32_t event_type;  // a mask; unknown bits are dropped, then 0 means ALL
};

// struct cn_msg, without its payload.
struct knell_cn_msg {
  uint32_t idx, val;
  uint32_t seq;  // per CPU, counts every event made there, filtered or not
  uint32_t ack;  // in an ack: the request's + 1
  uint16_t len, flags;
};

// One event: 40 bytes. In a datagram it stands at offset 36, so its timestamp is not 8-aligned:
// copy, do not cast.
struct knell_proc_event {
  uint32_t what;
  uint32_t cpu;
  uint32_t timestamp_ns[2];  // a uint64_t, CLOCK_MONOTONIC, as two halves in memory order
  union {
    struct {
      uint32_t err;
    } ack;
    struct {
      int32_t parent_pid, parent_tgid, child_pid, child_tgid;
    } fork;
    struct {
      int32_t process_pid, process_tgid;
    } exec;
    struct {
      int32_t process_pid, process_tgid;
      uint32_t r, e;
    } id;  // uid and gid
    struct {
      int32_t process_pid, process_tgid;
    } sid;
    struct {
      int32_t process_pid, process_tgid, tracer_pid, tracer_tgid;
    } ptrace;
    struct {
      int32_t process_pid, process_tgid;
      char comm[16];
    } comm;
    struct {
      int32_t process_pid, process_tgid, parent_pid, parent_tgid;
    } coredump;
    struct {
      int32_t process_pid, process_tgid;
      uint32_t exit_code, exit_signal;  // a wait status; the signal the parent gets
      int32_t parent_pid, parent_tgid;  // 0 for threads and where the parent ignores SIGCHLD
    } exit;
    uint32_t raw[6];
  } data;
};

// nlmsghdr 16 + cn_msg 20 + proc_event 40: what every kernel from 5.10 to 7.2 sends, one event a
// datagram.
#define KNELL_CN_DATAGRAM_BYTES 76

// The mask the kernel makes of a requested one.
static inline uint32_t knell_valid_event(uint32_t mask) {
  mask &= KNELL_EVENT_ALL;
  return mask == 0 ? KNELL_EVENT_ALL : mask;
}

#ifdef __cplusplus
}
#endif

#ifdef KNELL_CN_PROC_KERNEL_NAMES
#include <linux/cn_proc.h>
#ifndef PROC_EVENT_ALL
#define PROC_EVENT_NONZERO_EXIT KNELL_EVENT_NONZERO_EXIT
#define PROC_EVENT_ALL KNELL_EVENT_ALL
struct proc_input {
  enum proc_cn_mcast_op mcast_op;
  uint32_t event_type;
};
static inline uint32_t valid_event(uint32_t event_type) { return event_type & PROC_EVENT_ALL; }
#endif
#endif
