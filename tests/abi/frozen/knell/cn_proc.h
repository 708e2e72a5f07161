// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// <knell/cn_proc.h> of knell 1.0.0, the first library with the soname libknell.so.1, without its
// comments. check_layout compares the current one with it. Do not change it: programs that were
// compiled with it exist.

#pragma once

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum knell_event_type {
  KNELL_EVENT_NONE = 0x00000000,
  KNELL_EVENT_FORK = 0x00000001,
  KNELL_EVENT_EXEC = 0x00000002,
  KNELL_EVENT_UID = 0x00000004,
  KNELL_EVENT_GID = 0x00000040,
  KNELL_EVENT_SID = 0x00000080,
  KNELL_EVENT_PTRACE = 0x00000100,
  KNELL_EVENT_COMM = 0x00000200,

  KNELL_EVENT_LOST = 0x00100000
};

#define KNELL_EVENT_NONZERO_EXIT UINT32_C(0x20000000)
#define KNELL_EVENT_COREDUMP UINT32_C(0x40000000)
#define KNELL_EVENT_EXIT UINT32_C(0x80000000)
#define KNELL_EVENT_ALL UINT32_C(0xe00003c7)

#define KNELL_CN_IDX_PROC UINT32_C(1)
#define KNELL_CN_VAL_PROC UINT32_C(1)

enum knell_mcast_op { KNELL_MCAST_LISTEN = 1, KNELL_MCAST_IGNORE = 2 };

struct knell_proc_input {
  uint32_t mcast_op;
  uint32_t event_type;
};

struct knell_cn_msg {
  uint32_t idx, val;
  uint32_t seq;
  uint32_t ack;
  uint16_t len, flags;
};

struct knell_proc_event {
  uint32_t what;
  uint32_t cpu;
  uint32_t timestamp_ns[2];
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
    } id;
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
      uint32_t exit_code, exit_signal;
      int32_t parent_pid, parent_tgid;
    } exit;
    uint32_t raw[6];
  } data;
};

#define KNELL_CN_DATAGRAM_BYTES 76

static inline uint32_t knell_valid_event(uint32_t mask) {
  mask &= KNELL_EVENT_ALL;
  return mask == 0 ? KNELL_EVENT_ALL : mask;
}

#ifdef __cplusplus
}
#endif

#ifdef KNELL_CN_PROC_KERNEL_NAMES
#ifdef __cplusplus

template <class Enum>
struct knell_kernel_mask {
  Enum value;
  knell_kernel_mask(Enum mask) : value(mask) {}
  operator Enum() const { return value; }
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
