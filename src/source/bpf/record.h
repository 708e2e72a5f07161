// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0 OR BSD-2-Clause OR GPL-2.0-only

// The records that the programs send through the rings, their counters of lost records, and their
// settings: shared by the programs (C) and their reader (C++). Both are built together, so they may
// change freely, but see KNELL_LAYOUT.
#pragma once

#include <linux/types.h>

// The version of the formats in this file and in maps.bpf.inc, including their meaning. A knelld
// takes over the programs and maps of another version only if this number is the same: then its
// programs continue with the old maps, and no event is lost. Raise the number if old programs
// cannot be used with the new reader, if new programs cannot use the content of the old maps, and
// when the set of KNELL_ENTRY changes. layout_test.cc fails when these files change.
enum { KNELL_LAYOUT = 1 };

enum knell_record_kind {
  KNELL_RECORD_DETAILS = 1,  // a process begins to exit: knell_process; the exit is reported later,
                             // when its mark is received
  KNELL_RECORD_MARK = 2,     // the process has ended: knell_mark
  KNELL_RECORD_FORK = 3,     // this and the next ones up to CGROUP: knell_process
  KNELL_RECORD_EXEC = 4,
  KNELL_RECORD_COMM = 5,
  KNELL_RECORD_THREAD_EXIT = 6,  // raw level: reported immediately
  KNELL_RECORD_CGROUP = 7,       // knell_cgroup
  KNELL_RECORD_CHANGE = 8        // knell_process: an event of the connector, see on_connector()
};

enum knell_record_flag {
  KNELL_RECORD_ARGS = 1,       // the args are known
  KNELL_RECORD_ARGS_CUT = 2,   // the args were too long for the record
  KNELL_RECORD_NO_MARK = 4,    // do not wait for a mark: there will probably be none
  KNELL_RECORD_NAMED = 8,      // comm, ids and cgroup are filled in
  KNELL_RECORD_RELEASED = 16,  // a knell_mark that the reader made, since the process is dead
  KNELL_RECORD_LEVELS = 32,    // the levels are known; there may be none
  KNELL_RECORD_BIRTH = 64,     // a fork that is sent only because its child is in a pid namespace
  // an exit record with a knell_sender: the sender of the signal that ended the process
  KNELL_RECORD_KILLER = 128,
  // an exit record with the sender of the last TERM, INT, HUP or QUIT that the process received
  KNELL_RECORD_LAST_SENDER = 256,
  KNELL_RECORD_OUT_OF_MEMORY = 512,  // the kernel killed the process because memory ran out
  // The NULs at the end of the args are empty arguments (EXACT) or padding (PADDED). Neither flag:
  // unknown.
  KNELL_RECORD_ARGS_EXACT = 1024,
  KNELL_RECORD_ARGS_PADDED = 2048,
  KNELL_RECORD_EXE_DELETED = 4096,
  KNELL_RECORD_CWD_DELETED = 8192,
  KNELL_RECORD_RENAMED = 16384  // a knell_cgroup that existed before under another path
};

enum {
  KNELL_COMM_BYTES = 16,
  KNELL_ARGS_MOST = 4096,
  KNELL_NAME_MOST = 256,   // NAME_MAX and a NUL
  KNELL_PATH_MOST = 4096,  // bytes of one path, as in /proc; longer paths are unknown
  KNELL_MEMORY_CGROUP_MOST = 2048,
  KNELL_ARGS_LOOKED_AT = 64,  // how many pointers to arguments are read
  KNELL_PATH_STEPS = 512,     // names and mounts in a path; deeper: unknown
  KNELL_TAIL_MASK = 16383,
  KNELL_CGROUP_MOST = 256,  // bytes of the path of a wanted cgroup, with its NUL
  // Bytes of the path of a cgroup event, with its NUL; the kernel cuts longer paths.
  KNELL_REPORTED_CGROUP = 1023,
  KNELL_STORED_ARGS =
      1024,  // kept per process if a dying process cannot be read; see stored_execs.h
  KNELL_STORED_PATH = 512,
  KNELL_MOST_LEVELS = 8,           // pid namespaces below the initial one
  KNELL_MOST_PROCESSES = 262144,   // processes under the roots; the buckets take 4 MB
  KNELL_PID_WORDS = 4194304 / 64,  // 64 pids a word, up to the kernel's limit of pids: 512 KiB
  KNELL_MOST_UNSENT = 65536        // exits in the map `unsent`; its buckets take 1 MiB
};

struct knell_record {
  __u64 stamp_ns;  // CLOCK_MONOTONIC
  __u64 lost;      // number of records of its class (exits, or all others) lost so far
  __u32 kind;
  __u32 flags;
};

struct knell_mark {
  struct knell_record head;
  __u64 start_ns, roots;
  __s32 pid, status, signal, ppid;
  __u32 uid, pad;
};

// Identifies a process, even if its pid is reused.
struct knell_life {
  __s32 pid;
  __u32 pad;
  __u64 start_ns;
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
  // This struct is followed by, in this order: the args, the three paths (the names from the last
  // to the first, each with its NUL), a knell_sender for KILLER and one for LAST_SENDER if the
  // flags are set, and `levels` times a knell_numbers.
  __u32 args_bytes, exe_bytes, cwd_bytes, memory_cgroup_bytes, levels;
  __u32 what, change[2];  // CHANGE: a KNELL_EVENT_*, and the two values of this type
};

// The sender of a signal, as it was when the signal was sent.
struct knell_sender {
  __u32 signal, cause, uid;  // cause: enum knell_cause; 0: unknown
  __s32 pid, parent_pid;     // 0: the sender is not a process
  __u32 pad;
  __u64 stamp_ns, cgroup;
  char comm[KNELL_COMM_BYTES], parent_comm[KNELL_COMM_BYTES];
};

// The pids, in one pid namespace, of the processes and threads that a record names. Same layout as
// event::NamespacePids.
struct knell_numbers {
  __u32 ns;
  __s32 pid, tid, ppid, child_pid, child_tid, other_pid, other_ppid;
  __s32 last_sender_pid, last_sender_ppid;
};

struct knell_cgroup {
  struct knell_record head;
  __u64 inode, parent;    // parent: inode; not 0 if the path is only the name below the parent
  __u32 path_bytes, pad;  // the path follows, without a NUL
};

// The args and the path of a process, stored in its task storage at its exec.
struct knell_stored_exec {
  __u32 flags, args_bytes, exe_bytes, pad;
  char args[KNELL_STORED_ARGS];
  char exe[KNELL_STORED_PATH];
};

// The number of the helper call that is replaced by bpf_rdonly_cast(); see details.bpf.inc
enum { KNELL_CAST_CALL = 0x7fff0001 };

// The numbers (BTF ids) of types in the running kernel. KNELL_TYPE_IDS(X): X(member) for each.
#define KNELL_TYPE_IDS(X) X(task_struct) X(cgroup) X(dentry) X(mount) X(vfsmount)
#define KNELL_TYPE_ID(type) __u32 type;
struct knell_type_ids {
  KNELL_TYPE_IDS(KNELL_TYPE_ID)
};

// The settings of the programs. The reader changes them while the programs run.
struct knell_settings {
  __u32 mask;            // the wanted KNELL_EVENT_*
  __u32 names, full;     // which details to send
  __u64 names_since_ns;  // CLOCK_MONOTONIC; the senders of earlier signals are unknown
  __u32 raw;             // the level
  // Only the processes in the map with that name are wanted. With some_cgroups_paths, each new
  // cgroup is looked up in the map cgroup_paths.
  __u32 some_pids, some_uids, some_cgroups, some_cgroups_paths;
  __u32 namespaces;         // send the levels, and every birth in a pid namespace
  __u32 roots, only_under;  // maintain the map of roots; only the processes in it are wanted
  __u32 args_bytes;
};

// The number of records that were lost because a ring was full.
struct knell_losses {
  __u64 exits, forks, execs, comms, changes;
  __u64 births;  // forks with KNELL_RECORD_BIRTH
  __u64 unsent;  // not a loss: the number of exits that were put into the map `unsent`
};
