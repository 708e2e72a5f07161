// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause OR GPL-2.0-only

// What the programs send through the rings, what they count, and what they are told: shared by the
// programs (C) and their reader (C++). Both are built together, so nothing here need stay as it is.
#pragma once

#include <linux/types.h>

enum knell_record_kind {
  KNELL_RECORD_DETAILS = 1,  // a process begins to exit: knell_process, told when its mark comes
  KNELL_RECORD_MARK = 2,     // it is over: knell_mark
  KNELL_RECORD_FORK = 3,     // the rest up to CGROUP: knell_process
  KNELL_RECORD_EXEC = 4,
  KNELL_RECORD_COMM = 5,
  KNELL_RECORD_THREAD_EXIT = 6,  // raw level: told at once
  KNELL_RECORD_CGROUP = 7,       // knell_cgroup
  KNELL_RECORD_CHANGE = 8        // knell_process: what the connector tells, see on_connector()
};

enum knell_record_flag {
  KNELL_RECORD_ARGS = 1,       // the args are known
  KNELL_RECORD_ARGS_CUT = 2,   // and were longer
  KNELL_RECORD_NO_MARK = 4,    // no mark is to be waited for: mostly none will come
  KNELL_RECORD_NAMED = 8,      // comm, ids and cgroup are filled in
  KNELL_RECORD_RELEASED = 16,  // of a knell_mark: our own, for one that was found to be over
  KNELL_RECORD_LEVELS = 32,    // the levels are known, be there any or not
  KNELL_RECORD_BIRTH = 64,     // of a fork: not asked for, but of a child in a namespace
  KNELL_RECORD_KILLER = 128,   // of an exit: there is a knell_sender of the signal it died of,
  KNELL_RECORD_ASKER = 256,    // and one of the last request to end that it took
  KNELL_RECORD_OUT_OF_MEMORY = 512,  // the killer is the kernel, out of memory
  // The NULs at the end of the args are arguments, or padding; neither: not known.
  KNELL_RECORD_ARGS_EXACT = 1024,
  KNELL_RECORD_ARGS_PADDED = 2048,
  KNELL_RECORD_EXE_DELETED = 4096,
  KNELL_RECORD_CWD_DELETED = 8192,
  KNELL_RECORD_RENAMED = 16384  // of a knell_cgroup: it was there before
};

enum {
  KNELL_COMM_BYTES = 16,
  KNELL_ARGS_MOST = 4096,
  KNELL_NAME_MOST = 256,   // NAME_MAX and a NUL
  KNELL_PATH_MOST = 4096,  // of one path, as in /proc; longer ones are unknown
  KNELL_MEMORY_CGROUP_MOST = 2048,
  KNELL_ARGS_LOOKED_AT = 64,  // of the pointers to arguments
  KNELL_PATH_STEPS = 512,     // names and mounts in a path, a few more; longer ones are unknown
  KNELL_TAIL_MASK = 16383,
  KNELL_CGROUP_MOST = 256,   // of the path of a cgroup that is asked for, with its NUL
  KNELL_TOLD_CGROUP = 1023,  // bytes of a cgroup's path with its NUL; longer ones the kernel cuts
  KNELL_STORED_ARGS = 1024,  // kept a process where dying ones cannot be read
  KNELL_STORED_PATH = 512,
  KNELL_MOST_LEVELS = 8,          // pid namespaces below the initial one
  KNELL_MOST_PROCESSES = 262144,  // under the roots: 4 MB of buckets
  KNELL_PID_WORDS = 4194304 / 64  // of 64 pids: the kernel's own limit, 512 KiB
};

struct knell_record {
  __u64 stamp_ns;  // CLOCK_MONOTONIC
  __u64 lost;      // so far, of what this record is one of: exits, or everything else
  __u32 kind;
  __u32 flags;
};

struct knell_mark {
  struct knell_record head;
  __u64 start_ns, roots;
  __s32 pid, status, signal, ppid;
  __u32 uid, pad;
};

struct knell_process {
  struct knell_record head;
  __u64 start_ns, parent_start_ns, child_start_ns, cgroup, roots;
  __s32 pid, tid, ppid, status, signal;
  __s32 child_pid, child_tid;
  __u32 child_uid;
  __u32 uid, gid;
  __u32 tty, pad;  // tty: as tty_nr of /proc/PID/stat
  char comm[KNELL_COMM_BYTES], parent_comm[KNELL_COMM_BYTES], new_comm[KNELL_COMM_BYTES];
  // What follows lies one after the other behind this struct. Paths: the names from the last to the
  // first, each with its NUL. Then a knell_sender for each flag that says so, and at the end as
  // many knell_numbers.
  __u32 args_bytes, exe_bytes, cwd_bytes, memory_cgroup_bytes, levels;
  __u32 what, change[2];  // of a change: KNELL_EVENT_*, and two numbers of that type
};

// Who sent a signal, when it was sent.
struct knell_sender {
  __u32 signal, cause, uid;  // cause: enum knell_cause; 0: unknown
  __s32 pid, parent_pid;     // 0: not a process
  __u32 pad;
  __u64 stamp_ns, cgroup;
  char comm[KNELL_COMM_BYTES], parent_comm[KNELL_COMM_BYTES];
};

// The numbers of those a record names in one pid namespace, as event::Level.
struct knell_numbers {
  __u32 ns;
  __s32 pid, tid, ppid, child_pid, child_tid, other_pid, other_ppid, asker_pid, asker_ppid;
};

struct knell_cgroup {
  struct knell_record head;
  __u64 inode, parent;    // parent: not 0 where the path is but a name below it
  __u32 path_bytes, pad;  // the path follows, without a NUL
};

// Args and path of a process, kept in its task storage from its exec on.
struct knell_birth {
  __u32 flags, args_bytes, exe_bytes, pad;
  char args[KNELL_STORED_ARGS];
  char exe[KNELL_STORED_PATH];
};

// What the programs are told, live.
struct knell_settings {
  __u32 mask;            // KNELL_EVENT_* wanted
  __u32 names, full;     // details
  __u64 names_since_ns;  // CLOCK_MONOTONIC; who sent a signal before is unknown
  __u32 raw;
  __u32 births_of_processes;  // raw: forks of processes are wanted, not of threads only
  __u32 some_pids, some_uids, some_cgroups, some_cgroups_paths;
  __u32 namespaces;         // levels, and every birth inside one
  __u32 departed;           // who was under the roots is kept for a moment
  __u32 roots, only_under;  // the map of roots is kept; nothing but what is in it is wanted
  __u32 args_bytes;
};

struct knell_losses {
  __u64 exits, forks, execs, comms, changes;
  __u64 births;  // of those that nobody asked for
};
