// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The whole ABI of the process events connector (NETLINK_CONNECTOR, group CN_IDX_PROC), valid for
// every released kernel. Debian 12's <linux/cn_proc.h> lacks `struct proc_input` and NONZERO_EXIT;
// this header has them.
//
// Names that begin with knell_/KNELL_ never collide with the kernel's header. Define
// KNELL_CN_PROC_KERNEL_NAMES before including this header to also get the kernel's own names
// (`struct proc_input`, PROC_EVENT_ALL, PROC_EVENT_NONZERO_EXIT, valid_event) where the system's
// header lacks them.
//
// All integers are in the machine's byte order. Since knell 0.1.
#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// The types of events, and the bits of a listener's mask. The kernel defines the values.
enum knell_event_type {
  KNELL_EVENT_NONE = 0x00000000,  // the ack of a request
  KNELL_EVENT_FORK = 0x00000001,
  KNELL_EVENT_EXEC = 0x00000002,
  KNELL_EVENT_UID = 0x00000004,
  KNELL_EVENT_GID = 0x00000040,
  KNELL_EVENT_SID = 0x00000080,
  KNELL_EVENT_PTRACE = 0x00000100,
  KNELL_EVENT_COMM = 0x00000200,
  // Sent by knell, never by the kernel: events were lost at this point of the stream. The bit is
  // far from those that the kernel assigns (upwards from 0x400, downwards from 0x10000000).
  KNELL_EVENT_LOST = 0x00100000
};
// Macros, because a C enumerator cannot portably hold these bits. NONZERO_EXIT is a filter of
// exits, never the type of an event.
#define KNELL_EVENT_NONZERO_EXIT UINT32_C(0x20000000)
#define KNELL_EVENT_COREDUMP UINT32_C(0x40000000)
#define KNELL_EVENT_EXIT UINT32_C(0x80000000)
#define KNELL_EVENT_ALL UINT32_C(0xe00003c7)

// The connector's id of process events (idx is also the netlink group), from linux/connector.h.
#define KNELL_CN_IDX_PROC UINT32_C(1)
#define KNELL_CN_VAL_PROC UINT32_C(1)

enum knell_mcast_op { KNELL_MCAST_LISTEN = 1, KNELL_MCAST_IGNORE = 2 };

// The request of Linux 6.6 and later. Older kernels take only the first four bytes.
struct knell_proc_input {
  uint32_t mcast_op;    // enum knell_mcast_op
  uint32_t event_type;  // a mask; the kernel clears unknown bits, and takes 0 for ALL
};

// struct cn_msg, without its payload.
struct knell_cn_msg {
  uint32_t idx, val;
  uint32_t seq;  // a counter per CPU of all events created there, including filtered ones
  uint32_t ack;  // in an ack: the `ack` of the request + 1
  uint16_t len, flags;
};

// One event: 40 bytes. In a datagram it is at offset 36, so its timestamp is not aligned to 8
// bytes: copy the structure, do not cast a pointer.
struct knell_proc_event {
  uint32_t what;
  uint32_t cpu;
  uint32_t timestamp_ns[2];  // a uint64_t in two halves, in memory order; CLOCK_MONOTONIC
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
      uint32_t exit_code, exit_signal;  // a wait status; the signal sent to the parent
      int32_t parent_pid, parent_tgid;  // 0 for threads and where the parent ignores SIGCHLD
    } exit;
    uint32_t raw[6];
  } data;
};

// nlmsghdr 16 + cn_msg 20 + proc_event 40. Every kernel from 5.10 to 7.2 sends one event in each
// datagram.
#define KNELL_CN_DATAGRAM_BYTES 76

// The mask that the kernel uses when `mask` is requested.
static inline uint32_t knell_valid_event(uint32_t mask) {
  mask &= KNELL_EVENT_ALL;
  return mask == 0 ? KNELL_EVENT_ALL : mask;
}

#ifdef __cplusplus
}
#endif

#ifdef KNELL_CN_PROC_KERNEL_NAMES
#ifdef __cplusplus
// valid_event() of Linux 6.6 to 6.9 is not valid C++: it assigns an integer to an enum. The macro
// gives its parameter a type that accepts the assignment.
template <class Enum>
struct knell_kernel_mask {
  Enum value;
  knell_kernel_mask(Enum mask) : value(mask) {}  // NOLINT(google-explicit-constructor)
  operator Enum() const { return value; }        // NOLINT(google-explicit-constructor)
  knell_kernel_mask& operator&=(uint32_t bits) {
    value = static_cast<Enum>(static_cast<uint32_t>(value) & bits);
    return *this;
  }
};
#define valid_event(parameter) valid_event(knell_kernel_mask<enum proc_cn_event> ev_type)
#endif
#include <linux/cn_proc.h>
#ifdef __cplusplus
#undef valid_event
#endif
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
