// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// libknell: receive an event when a process forks, execs, changes or exits, filtered as requested.
//
//   #include <errno.h>
//   #include <knell/knell.h>
//   #include <poll.h>
//   #include <stdio.h>
//
//   int main(void) {
//     struct knell_options options = KNELL_OPTIONS_INIT;
//     options.events = KNELL_EVENT_NONZERO_EXIT;
//     struct knell_listener *k;
//     if (knell_open(&options, &k) < 0) return fprintf(stderr, "%s\n", knell_explain()), 3;
//     struct pollfd ready = {knell_fd(k), POLLIN, 0};
//     ssize_t n = 0;
//     while (n >= 0 && fflush(stdout) == 0) {
//       if (poll(&ready, 1, -1) < 0 && errno != EINTR) return perror("poll"), 1;
//       const struct knell_event *e;
//       while ((n = knell_read(k, &e, 1)) == 1) {
//         char how[32];
//         if (e->type == KNELL_EVENT_LOST)
//           puts("some exits were lost");
//         else if (knell_event_ended(e, how, sizeof how) >= 0)
//           printf("%d %.*s: %s\n", e->pid, (int)e->comm.size,
//                  e->comm.data ? e->comm.data : "", how);
//       }
//     }
//     if (n < 0) fprintf(stderr, "%s\n", knell_explain());
//     knell_close(k);
//     return 1;
//   }
//
// Threads: a handle may be used by one thread at a time; different handles are independent. The
// library starts no threads and installs no signal handlers. All its descriptors are close-on-exec.
//
// Errors: functions return 0 or a count on success, a negative errno on failure; errno itself does
// not change. knell_explain() describes the last error of the calling thread. The library throws no
// exceptions. Any function that returns errors may return -ENOMEM; the handle stays valid, and
// events that could not be stored are reported as lost by a later knell_read(). Callbacks must not
// throw.
//
// fork(2): a handle belongs to the process that opened it. A forked child may close the handle,
// which has no effect on the parent; every other call fails with -EINVAL.
//
// All declarations exist since 1.0.0 unless their comment says "since".
//
// Structures that begin with `size` grow only at their end, so a program can run with a library
// that is older or newer than its header. The program sets `size` of options and of structures to
// be filled to their sizeof; the library sets `size` of the structures that it returns. Nothing
// past `size` is read or written.
// - Options: members that the program's header lacks have their defaults; members that the library
//   does not know must be 0, else -E2BIG.
// - Structures to be filled (ret_stats, ret_recording, ret_event): the library sets `size` to the
//   number of bytes that it filled, and does not change members past it.
// - Events returned by the library may be shorter than the structure in the program's header:
//   KNELL_FILLED() says whether a member is present. Events passed to the library may be shorter
//   or longer than its own structure: missing members are unknown, additional members are ignored.
#pragma once

#include <knell/cn_proc.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define KNELL_API __attribute__((visibility("default")))

// Whether *structure is large enough to contain `member`: KNELL_FILLED(event, tty). Not needed for
// members that have been in the structure since its first version.
#define KNELL_FILLED(structure, member)                                            \
  ((size_t)((const char*)(&(structure)->member + 1) - (const char*)(structure)) <= \
   (structure)->size)

// ----------------------------------------------------------------------------------------------------
// options

enum knell_level {
  KNELL_LEVEL_PROCESS =
      0,  // events of processes: one exit, when the last thread has ended, with the wait status
  KNELL_LEVEL_RAW = 1  // the kernel's events of threads, unchanged
};

// How many fields of an event are filled. A predicate that needs more details raises the level.
enum knell_details {
  KNELL_DETAILS_FULL = 0,   // everything
  KNELL_DETAILS_NAMES = 1,  // pids, status, comm, uid, cgroup, unit
  KNELL_DETAILS_STATUS = 2  // pids and status: requests no events beyond the mask,
                            // keeps no table of processes
};

// Where events come from.
enum knell_via {
  KNELL_VIA_AUTO = 0,  // options: the daemon (knelld) if it accepts the listener, else the best
                       // source that works in this process
  KNELL_VIA_CONNECTOR = 1,  // the kernel's process events connector
  KNELL_VIA_BPF = 2,        // BPF programs in the kernel
  KNELL_VIA_PIDFD = 3,      // options: exits of added processes, without privileges
  KNELL_VIA_PROC = 4,       // events: of knell_snapshot()
  KNELL_VIA_RECORDING = 5,  // events: of knell_open_recording()
  KNELL_VIA_DAEMON = 6,     // options: knelld; `via` of its events is the daemon's source
  KNELL_VIA_PTRACE = 7,  // options: ptrace(2) of one added process and all that it forks from then
                         // on; without privileges, slower
  KNELL_VIA_JOURNAL = 8  // statistics: of knell_open_history(); its events keep their source
};

#define KNELL_LATENCY_DEFAULT_NS 1000000      // 1 ms
#define KNELL_LATENCY_UNDER_LOAD_NS 10000000  // 10 ms: above 4 events a millisecond
#define KNELL_LATENCY_NONE (-1)               // no delay

// Where a durable listener begins, if it has no cursor.
enum knell_from {
  KNELL_FROM_ACKNOWLEDGED = 0,  // after the last acknowledged event; a new name: the next event
  KNELL_FROM_OLDEST = 1,        // the oldest event in the journal
  KNELL_FROM_NEWEST = 2         // the next event
};

struct knell_options {
  size_t size;       // sizeof(struct knell_options); members that are 0 have their defaults
  uint32_t events;   // mask of KNELL_EVENT_*; unknown bits are cleared, then 0 means all, as in the
                     // kernel
  uint32_t level;    // enum knell_level
  uint32_t details;  // enum knell_details
  uint32_t via;      // enum knell_via: AUTO, DAEMON, BPF, CONNECTOR, PIDFD or PTRACE
  int64_t latency_ns;   // how long events may be delayed to deliver several at once, up to 60 s. A
                        // single event is never delayed. 0: KNELL_LATENCY_DEFAULT_NS, and up to
                        // KNELL_LATENCY_UNDER_LOAD_NS under load; KNELL_LATENCY_NONE: no delay
  uint32_t only_added;  // 1: report only processes that are added with knell_add(); 0: report all
                        // that match, knell_add() fails. PIDFD implies 1
  uint32_t args_bytes;  // over bpf: the maximum size of an event's args, up to 4096; 0: 1024.
                        // Longer args are cut, with KNELL_FLAG_ARGS_TRUNCATED
  size_t buffer_bytes;  // size of the kernel's buffer of unread events; 0: 64 MiB over the
                        // connector, 8 MiB for exits over bpf, less in a memory cgroup whose limit
                        // is below 256 MiB. The actual size is in knell_stats
  uint32_t recover;   // 1: after lost events the known processes are compared with the machine, and
                      // the exits, forks and execs that are missing are reported with
                      // KNELL_FLAG_RECOVERED. Over the connector this requests forks and all
                      // exits from the kernel, unless only_added is 1. Level process only. The
                      // exits of added processes are recovered through knelld also with 0
  uint32_t reserved;  // must be 0
  // Not NULL: the name of a durable listener, see knell_ack(). Needs knelld, level process, and
  // only_added 0; `recover` is 1. 1 to 64 letters, digits or characters of "._@-".
  const char* durable;
  // The other members are for durable listeners only.
  const char* cursor;    // begin after the event with this cursor; NULL: as `from` says
  uint32_t from;         // enum knell_from
  uint32_t max_unacked;  // the most events returned and not acknowledged, up to 16384; 0: 1024
};
#define KNELL_OPTIONS_INIT {sizeof(struct knell_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// -----------------------------------------------------------------------------------------------------
// events

struct knell_string {
  const char* data;  // not NUL-terminated, any bytes; NULL: unknown
  size_t size;       // bytes
};

enum knell_id_kind {
  KNELL_ID_NONE = 0,   // unknown
  KNELL_ID_START = 1,  // `start` is clock ticks since boot, as in /proc/PID/stat field 22
  KNELL_ID_STAMP = 2   // the start is unknown; `start` is the CLOCK_MONOTONIC time in ns of the
                       // event by which knell learned of the process
};

// Identifies a process for ever, although its pid may be reused.
struct knell_id {
  uint32_t boot;  // the first 8 hex digits of the boot id
  int32_t pid;
  uint64_t start;
  uint32_t kind;  // enum knell_id_kind
};
#define KNELL_ID_TEXT_BYTES 48  // 8 + 1 + 11 + 2 + 20 + NUL, rounded up

enum knell_cause {
  KNELL_CAUSE_USER = 1,    // sent by another process or by the process itself
  KNELL_CAUSE_KERNEL = 2,  // sent by the kernel: a fault, timer, resource limit, hangup, ...
  KNELL_CAUSE_OOM = 3      // sent by the kernel's out-of-memory killer
};

// Which numbers of an event are known; unknown numbers are 0. An unknown string has data NULL (an
// empty string does not); an unknown id has the kind KNELL_ID_NONE.
#define KNELL_HAS_UID (UINT64_C(1) << 0)
#define KNELL_HAS_GID (UINT64_C(1) << 1)
#define KNELL_HAS_STATUS (UINT64_C(1) << 2)       // wait_status
#define KNELL_HAS_DURATION (UINT64_C(1) << 3)     // duration_ns
#define KNELL_HAS_KILLER (UINT64_C(1) << 4)       // killed_by
#define KNELL_HAS_COUNT (UINT64_C(1) << 5)        // lost_count
#define KNELL_HAS_LAST_SIGNAL (UINT64_C(1) << 6)  // last_signal
#define KNELL_HAS_PPID (UINT64_C(1) << 7)
#define KNELL_HAS_KILLER_PID (UINT64_C(1) << 8)        // killed_by.pid
#define KNELL_HAS_KILLER_UID (UINT64_C(1) << 9)        // killed_by.uid
#define KNELL_HAS_KILLER_PPID (UINT64_C(1) << 10)      // killed_by.parent_pid
#define KNELL_HAS_LAST_SIGNAL_PID (UINT64_C(1) << 11)  // last_signal.pid
#define KNELL_HAS_LAST_SIGNAL_UID (UINT64_C(1) << 12)  // last_signal.uid

#define KNELL_FLAG_RECOVERED \
  (UINT32_C(1) << 0)  // not received live; created later, when knell found it missing: mono_ns is
                      // that time. An earlier lost event has counted it
#define KNELL_FLAG_ARGS_TRUNCATED (UINT32_C(1) << 1)  // args were cut
#define KNELL_FLAG_EXACT (UINT32_C(1) << 2)           // lost_count is exact, not an upper bound
#define KNELL_FLAG_PRIVILEGES_WITHHELD \
  (UINT32_C(1) << 3)  // exec, via ptrace: the program is set-user-ID or set-group-ID or has file
                      // capabilities, and runs without them because it is traced
#define KNELL_FLAG_NOT_FOLLOWED \
  (UINT32_C(1) << 4)  // exec, via ptrace: the program uses ptrace(2) itself, so no events of this
                      // process and of those that it forks follow; a lost event comes next
#define KNELL_FLAG_REDELIVERED \
  (UINT32_C(1) << 5)  // of a durable listener: the event may have been returned before, by an
                      // earlier connection, and was not acknowledged
#define KNELL_FLAG_DETAILS_LOST \
  (UINT32_C(1) << 6)  // exit: its details were requested and are lost (no room in the kernel's
                      // buffer, or the process was dying when it was added). Those that are unknown
                      // pass every predicate.

// One event. Fields that do not belong to its type are 0. docs and JSON use the same names.
struct knell_event {
  size_t size;           // the number of bytes that are present
  uint64_t has;          // KNELL_HAS_*
  uint32_t type;         // one KNELL_EVENT_*
  uint32_t flags;        // KNELL_FLAG_*
  uint32_t via;          // enum knell_via
  uint32_t exit_signal;  // exit, raw level: the signal sent to the parent
  uint64_t seq;          // number of the event in this handle: 1, 2, ...
  uint64_t mono_ns;      // the kernel's timestamp, CLOCK_MONOTONIC
  int64_t time_ns;       // the same instant, CLOCK_REALTIME ns since the epoch
  uint64_t cookie;       // the cookie passed to knell_add() for this pid, else 0
  struct knell_id id, parent_id;
  int32_t pid, tid, ppid;  // process, thread, parent process
  uint32_t uid, gid;       // real ids at the time of the event
  int32_t wait_status;     // exit: what wait(2) reports
  uint64_t duration_ns;    // exit: lifetime of the process
  struct knell_string comm, parent_comm;
  struct knell_string exe, cwd;
  struct knell_string
      args;  // the arguments, each ended by a NUL byte; use knell_next_arg() to iterate
  struct knell_string user;  // the user name of uid
  struct knell_string cgroup, unit, container_id;
  // exit: the sender of the signal that killed the process. Set only if it is certain.
  struct {
    // USER: the sender. KERNEL: the process whose exit made the kernel send the signal
    // (parent-death signal, end of a pid namespace, hangup of a session, exit of a tracer).
    // Unknown if there is no such process or it is outside the pid namespace of this listener;
    // then uid, comm, parent and unit are unknown, too.
    int32_t pid;
    uint32_t uid;              // real uid
    struct knell_string comm;  // comm and the members below: when the signal was sent
    uint32_t cause;            // enum knell_cause
    int32_t parent_pid;        // its parent process
    struct knell_string parent_comm;
    struct knell_string unit;           // systemd unit of its cgroup
    struct knell_string memory_cgroup;  // OOM: the memory cgroup of the killed process
  } killed_by;
  // per type
  struct knell_id child_id;              // fork
  int32_t child_pid, child_tid;          // fork
  uint32_t ruid, euid;                   // uid
  uint32_t rgid, egid;                   // gid
  int32_t tracer_pid;                    // ptrace; 0: detach
  struct knell_string new_comm;          // comm
  uint64_t lost_count;                   // lost
  uint32_t lost_types;                   // lost: mask of the types that may be missing
  uint64_t lost_from_ns, lost_until_ns;  // lost: CLOCK_MONOTONIC
  int64_t lost_from_time_ns, lost_until_time_ns;
  // exit: the last termination request (SIGTERM, SIGINT, SIGQUIT, SIGHUP) that another process sent
  // and that this process received (by a handler, sigwait(3) or signalfd(2)) before it exited.
  struct {
    int32_t signal;
    int32_t pid;  // the sender; unknown if it is outside the pid namespace of this listener; then
                  // uid, comm and parent_comm are unknown, too
    uint32_t uid;
    struct knell_string comm, parent_comm;  // when the signal was sent
    uint64_t ago_ns;                        // time from the signal to the exit
  } last_signal;
  struct knell_string tty;  // controlling terminal: "pts/3", "ttyS0"; NULL: none, or unknown
  // Of a durable listener and of a journal: the place of the event in the journal, for
  // knell_options.cursor. Opaque text.
  struct knell_string cursor;
};

// -------------------------------------------------------------------------------------------------
// a listener

struct knell_listener;  // one listener

// Opens a listener, which receives events from now on. `options` may be NULL. On success the caller
// must pass *ret_knell to knell_close(). Errors: -EINVAL bad options; -E2BIG options of a later
// version; -EPERM not allowed here; -EPROTONOSUPPORT this kernel or namespace has no such events;
// -ENOTSUP the source does not work here; -EMFILE. Through the daemon, whose answer is awaited for
// a few seconds at most: -ENOENT, -ECONNREFUSED no daemon is running; -ETIMEDOUT it does not
// answer; -EUSERS and others: it refuses, knell_explain() says why. The environment variable
// KNELL_SOCKET is the path of its socket; if empty, the daemon is not used.
KNELL_API int knell_open(const struct knell_options* options, struct knell_listener** ret_knell);

// Adds a predicate to a listener. Keys: pid, under, comm, exe, uid, user, unit, cgroup, container,
// tty, ended (also spelt exit-code and signal), longer, shorter. Values separated by commas and
// values of repeated calls are alternatives, `!value` excludes, different keys must all match; a
// lost event always passes. Takes effect with the next read of the source; events already read but
// not yet returned are kept. Errors: -EINVAL unknown key or value: knell_explain() says what would
// be right; under: -ESRCH no such process; -EEXIST it named an earlier process with this pid.
KNELL_API int knell_match(struct knell_listener* k, const char* key, const char* value);
// Checks key and value as knell_match() does, without a listener. Does not check whether a process
// exists. Errors: -EINVAL.
KNELL_API int knell_check_match(const char* key, const char* value);

// Adds a process to a listener that was opened with `only_added`. `start` is its start time in
// clock ticks since boot, to detect pid reuse, or 0; `cookie` is returned in its events. O(1);
// through the daemon one request and its answer. Errors: -EINVAL the listener was opened without
// only_added, or pid is below 1; -ESRCH the process no longer exists, no event will follow (a
// zombie can be added); -EEXIST; via pidfd also -EMFILE, -EPROTONOSUPPORT before Linux 5.3, and
// -EAGAIN: the exit of an earlier process with this pid must be read first, by knell_read(). Else a
// pid can be added again as soon as another process has it: both are reported with their cookies.
// Via ptrace, where only_added is not needed, begins to trace the process, which must not have
// ended. The library forks the process that traces, so a wait for any child, as waitpid(-1),
// reports its end; it ends when this thread ends. Errors: also -EBUSY a process was added before;
// -EPERM it is traced already, or this system forbids it; -ENOTSUP not in this pid namespace.
KNELL_API int knell_add(struct knell_listener* k, pid_t pid, uint64_t start, uint64_t cookie);

// A process to add, and whether it was added. The structure will not grow.
struct knell_added {
  int32_t pid;
  int32_t error;           // set by the call: 0, or the error as knell_add() returns it, negative
  uint64_t start, cookie;  // as in knell_add(); in a time namespace `start` is set to the kernel's
};
// Adds `count` processes, each as knell_add() does; through the daemon 64 with each request,
// which takes about half of the time. Returns how many were added; `error` of each says whether it
// was. Errors, with which the call ends early: -EINVAL the listener was opened without only_added;
// -ENOMEM, which is also the `error` of those not added.
KNELL_API ssize_t knell_add_many(struct knell_listener* k, struct knell_added* processes,
                                 size_t count);
// Removes an added process: of those that had this pid, the one added last. A process that has
// exited is removed automatically. Errors: -ENOENT it was not added.
KNELL_API int knell_remove(struct knell_listener* k, pid_t pid);

// Changes the mask of an open listener. As with options.events, unknown bits are cleared, then 0
// means all. Events that are in both masks are not lost by the change. Errors: via bpf -EPERM:
// types that were not asked for before need the capabilities that knell_open() needed.
KNELL_API int knell_set_events(struct knell_listener* k, uint32_t mask);

// The descriptor to poll for POLLIN; it never changes and is owned by the handle. When it is
// readable, call knell_read().
KNELL_API int knell_fd(const struct knell_listener* k);

// Returns up to `count` events, oldest first; 0: none now (more may follow within the latency
// budget). The events and everything they point to are valid until the next call with this handle.
// Never waits for events. With names or full details, the first event of a user may query the
// system's user database (NSS). Lost events are reported as an event (KNELL_EVENT_LOST), never as
// an error.
// Errors: -ENOMEM out of memory: call again; a lost event without a count follows if events could
// not be stored. -EIO and others: the source failed, knell_explain() says why; the events returned
// before it failed are correct. Of a recording: -ENODATA it has ended; -EBADMSG it is truncated or
// corrupt here. Of the daemon: if the daemon goes away, this is not an error: the library
// reconnects, and then reports one lost event without a count, from the last event received to the
// new subscription; -EBADMSG the daemon sent malformed data; any other: the daemon closed the
// connection for good, and knell_explain() has its reason.
KNELL_API ssize_t knell_read(struct knell_listener* k, const struct knell_event** ret_events,
                             size_t count);

// A durable listener has a name, which knelld stores with its mask and predicates. Its events come
// from the journal: an event is returned until it is acknowledged, even if this program or knelld
// was killed in between. The name belongs to the real uid of the program that created it; only one
// process can use it at a time. A name that was not used for 30 days is removed.
//
// The first knell_read() or knell_ack() replaces the stored predicates and mask, and reports errors
// of the registration: -EBUSY the name is in use; -EDQUOT, -EUSERS too many names, or their
// filters take too much time; -ESTALE `cursor` is from another journal; -ERANGE it is beyond the
// end of the journal; -EOPNOTSUPP knelld has no journal or is older, or this program is in another
// pid namespace; -EIO the journal cannot be written. `under` can only exclude processes.
//
// Events are returned in the order of the journal, each once for a connection to knelld. While
// max_unacked events are not acknowledged, no further events are returned. After the library has
// reconnected, unacknowledged events are returned again, with KNELL_FLAG_REDELIVERED. Events that
// the journal no longer has are reported as lost; their number is exact if KNELL_FLAG_EXACT is set.

// Acknowledges the event and all events that were returned before it: they are not returned again.
// Does not wait; the acknowledgement is sent at the latest by the next knell_read() or
// knell_close(). If knelld was killed before it committed an acknowledgement, the event can be
// returned again, but not in this handle. `event` NULL: waits, some seconds at most, until all
// acknowledgements are committed; [journal] sync in knelld.toml(5) says what they then survive.
// Errors: -EINVAL the listener is not durable; with NULL those above, and -ETIMEDOUT, -ECONNRESET
// there is no connection to knelld: the acknowledgements are sent later.
KNELL_API int knell_ack(struct knell_listener* k, const struct knell_event* event);
// Counts an event that the program could not handle, for `knell status`. Does not acknowledge it.
// Errors: -EINVAL the listener is not durable.
KNELL_API int knell_mark_failed(struct knell_listener* k, const struct knell_event* event);
// Removes an unused durable listener of this user, or, if `owner` is not -1, of the user `owner`
// (root only). Errors: -EINVAL; -ENOENT there is no such name; -EBUSY it is in use; -EPERM; those
// of the connection to knelld.
KNELL_API int knell_remove_durable(const char* name, int64_t owner);

enum knell_daemon {
  KNELL_DAEMON_NONE = 0,  // the listener does not use the daemon
  KNELL_DAEMON_HERE = 1,  // events come from knelld
  KNELL_DAEMON_AWAY = 2   // no connection to knelld; no events arrive until the library reconnects
};
enum knell_scope {
  KNELL_SCOPE_ALL = 0,       // every process
  KNELL_SCOPE_USER = 1,      // processes of one user
  KNELL_SCOPE_NAMESPACE = 2  // processes of this pid namespace and those below it
};

struct knell_stats {
  size_t size;               // set by the caller; then the number of bytes filled
  uint64_t buffer_bytes;     // size of the kernel's buffer (the kernel reports twice the requested
                             // size); through the daemon: its queue for this listener
  uint64_t received, shown;  // events from the kernel or the daemon; events returned
  uint64_t lost;             // lost events, as far as their number is known
  uint64_t wakeups, drains;
  uint64_t repairs;                   // times the connector stopped sending events and was repaired
  uint64_t processes, process_bytes;  // processes in the table, and its memory
  uint64_t forgotten;                 // processes not in the table because it was full
  uint32_t kernel_mask;               // mask requested from the kernel
  uint32_t kernel_filter;             // 1: the kernel's own filter is on
  uint32_t via;                       // enum knell_via: the source in use, here or in the daemon
  uint32_t daemon;                    // enum knell_daemon
  uint32_t scope;                     // enum knell_scope: which processes may be reported
  uint32_t scope_uid;                 // KNELL_SCOPE_USER: the uid of these processes
};
KNELL_API int knell_get_stats(const struct knell_listener* k, struct knell_stats* ret_stats);

// Calls `visit` for each process that is alive now and matches the predicates of the listener,
// parents before their children, until `visit` returns non-zero, which is then the result. `event`
// has type 0, via KNELL_VIA_PROC and the details in /proc, up to those of the listener; `mono_ns`
// is the time at which it was read. It is valid during the call. With a predicate about the exit
// (ended, longer, shorter) no process matches. `under` goes by the parents that are alive. Ignores
// which processes were added by knell_add(). Reads all of /proc, thus the pid namespace of this
// process. Through the daemon, the daemon reads it, and the processes are those whose events it
// reports (knell_stats.scope); events that arrive meanwhile are returned by knell_read(). If the
// daemon is away, or older and does not know the request, /proc is read in this process, with the
// same scope. Errors: -EINVAL the listener reads a recording; those of open(2); of the daemon:
// -EDQUOT, -ENOBUFS, -ETIMEDOUT, -EBADMSG.
KNELL_API int knell_snapshot(struct knell_listener* k,
                             int (*visit)(const struct knell_event* event, void* context),
                             void* context);

KNELL_API void knell_close(struct knell_listener* k);  // NULL is fine

// -------------------------------------------------------------------------------------------------
// recordings (docs: the recording format)
//
// A recorder writes the events of a listener to a file, and a listener of that recording reports
// them again: mask, predicates, added processes and knell_fd() work as for live events; `via` is
// KNELL_VIA_RECORDING, and `seq` starts at 1. `under` uses the forks in the recording and the
// parents in its events.

struct knell_recorder;

// Begins a recording of the events of `k`, with a header: versions, boot id, time, subscription.
// Writes at the current position of `fd`, which the caller keeps and must close; it should be
// blocking. `selection` describes for the reader which processes are recorded; may be NULL.
// Errors: those of write(2).
KNELL_API int knell_recorder_open(int fd, const struct knell_listener* k, const char* selection,
                                  struct knell_recorder** ret_recorder);
// Begins a recording after those in the file `fd`, which must be open for reading and writing; an
// empty file gets its first. A recording that ends early, because the recorder was killed, is first
// completed after its last whole frame. Reads all of the file, so the time grows with its size; the
// caller must ensure that no other recorder writes to the file. Errors: -EBADMSG not a recording,
// or corrupt; -EINVAL its mask or level is another; those of read(2) and write(2).
KNELL_API int knell_recorder_append(int fd, const struct knell_listener* k, const char* selection,
                                    struct knell_recorder** ret_recorder);
// Writes `count` events to `fd`, usually with one write(2). Does not fsync(2). Errors: -EINTR,
// -EAGAIN (a signal was caught, or `fd` is non-blocking and full): the events are accepted, and the
// next call, which may have no events, first writes the rest of them; if that call fails the same
// way, it accepts no events. -EMSGSIZE an event has more than 60 KiB of text: no event is accepted.
// Other errors of write(2): the recording ends with the last complete frame if `fd` is a file, and
// later calls fail with -EIO.
KNELL_API int knell_recorder_write(struct knell_recorder* recorder,
                                   const struct knell_event* const* events, size_t count);
// The number of bytes that this recorder has written so far.
KNELL_API uint64_t knell_recorder_bytes(const struct knell_recorder* recorder);
// Writes the remaining data and the end mark, and frees the recorder, also on failure. A recording
// without the end mark is reported as truncated. NULL is fine.
KNELL_API int knell_recorder_close(struct knell_recorder* recorder);

// Members that are 0 have their defaults; `size` must be set.
struct knell_replay_options {
  size_t size;          // sizeof(struct knell_replay_options)
  uint32_t events;      // as in knell_options
  uint32_t only_added;  // as in knell_options
  double speed;  // 1: original speed, 10: ten times as fast, up to 1e9; 0: as fast as possible
};
#define KNELL_REPLAY_OPTIONS_INIT {sizeof(struct knell_replay_options), 0, 0, 0}

// Opens a listener of a recording, and of those that follow it in the file: a file, or a pipe such
// as /dev/stdin, where it waits for the header. `options` may be NULL. Errors: -EINVAL, -E2BIG as
// knell_open(); those of open(2) and read(2); -EINTR a signal was caught while waiting; -EBADMSG
// not a recording, or corrupt; -ENOTSUP a later format, or the byte order of another machine.
KNELL_API int knell_open_recording(const char* path, const struct knell_replay_options* options,
                                   struct knell_listener** ret_knell);

// The origin of a recording. Text that is too long is cut.
struct knell_recording {
  size_t size;                  // set by the caller; then the number of bytes filled
  uint32_t events;              // the mask of the recorded listener
  uint32_t level, details;      // enum knell_level, knell_details
  uint32_t via;                 // enum knell_via: the source
  int64_t started_ns;           // CLOCK_REALTIME, ns since the epoch
  char knell[32], kernel[160];  // versions
  char boot_id[40];             // of the boot in which it was recorded
  char selection[1024];         // as passed to knell_recorder_open()
};
// Errors: -ENODATA `k` does not read a recording.
KNELL_API int knell_get_recording(const struct knell_listener* k,
                                  struct knell_recording* ret_recording);

// -------------------------------------------------------------------------------------------------
// the journal: past events, which knelld has stored

#define KNELL_JOURNAL_PATH "/var/lib/knell/journal.db"

// Members that are 0 have their defaults; `size` must be set.
struct knell_history_options {
  size_t size;         // sizeof(struct knell_history_options)
  uint32_t events;     // as in knell_options
  uint32_t follow;     // 1: after the last event wait for more, which are returned as they are
                       // stored; 0: then -ENODATA
  int64_t since_ns;    // CLOCK_REALTIME, ns since the epoch; 0: from the oldest event on
  int64_t until_ns;    // up to and including this time; 0: no limit
  uint64_t last;       // return only this number of events, the last that match; 0: all
  uint32_t this_boot;  // 1: only events since this machine was booted
  uint32_t reserved;   // must be 0
};
#define KNELL_HISTORY_OPTIONS_INIT {sizeof(struct knell_history_options), 0, 0, 0, 0, 0, 0, 0}

// Opens a listener of the journal at `path`, with or without a running knelld. NULL: the journal at
// KNELL_JOURNAL_PATH; if it does not exist or the caller may not read it, knelld reads its journal
// for the caller: root and the members of its group get all events, others those of processes of
// their own uid; then knell_stats has `daemon` and `scope`. The configuration of knelld selects the
// stored events; `seq` is their number in the journal, and `user` is looked up in this process.
// Mask, predicates and knell_fd() work as for live events; add predicates before the first
// knell_read(). `under` uses the forks and the parents of the events that are read. Events that are
// missing because the journal is damaged, or because they were deleted while it was read, are
// reported as lost. `options` may be NULL. Errors: -EINVAL, -E2BIG as knell_open(); -ENOENT there
// is no journal; -EACCES only root and the group of the file may read it; with NULL both mean that
// reading through knelld fails, too, and knell_explain() says why; -ENODATA it is empty; -ENOTSUP
// it was written by a later version; -EEXIST it is another program's database; -EBADMSG it is no
// journal, or damaged. knell_read() also: -ENODATA there are no more events.
KNELL_API int knell_open_history(const char* path, const struct knell_history_options* options,
                                 struct knell_listener** ret_knell);

struct knell_finding;
// Checks every page, record and text of the journal at `path` (NULL: KNELL_JOURNAL_PATH), and calls
// `on_finding` for each problem and for a summary; stops when it returns non-zero. Changes nothing.
// Returns 0 if the journal is intact. Errors: as knell_open_history(); -EBADMSG it is damaged.
KNELL_API int knell_verify_journal(const char* path,
                                   int (*on_finding)(const struct knell_finding*, void*),
                                   void* context);

// Waits until the process `pid` has exited; it need not be a child. `timeout` NULL: no limit. The
// caller sets `size` of *ret_event, which is filled with the exit; its strings are NULL. The status
// is known for children of the caller, and from Linux 6.15 on for all processes (also after they
// were reaped); if it is unknown, KNELL_HAS_STATUS is not set. Does not reap a child. Errors:
// -ESRCH no such process; -ETIMEDOUT it is still alive; -EPROTONOSUPPORT before Linux 5.3.
KNELL_API int knell_wait(pid_t pid, const struct timespec* timeout, struct knell_event* ret_event);

// Sends `signal` to the process `pid`, and waits until the process has exited and its memory is
// free, as knell_wait() does. With SIGKILL the kernel frees the memory at once
// (process_mrelease(2), Linux 5.15), even if the process is blocked. Allocates nothing unless it
// fails. The signal is sent to the process that is then waited for, never to a later one with its
// pid. If the status of a process that is not a child is not known at its death, it is reported
// without. Errors: those of knell_wait(), -ETIMEDOUT: the signal was sent, but the process did not
// end in time; -EPERM the caller may not send it; -EINVAL no such signal, or `pid` is the caller.
KNELL_API int knell_kill(pid_t pid, int signal, const struct timespec* timeout,
                         struct knell_event* ret_event);

// --------------------------------------------------------------------------------------------------
// text

// The last error of this library in the calling thread, in one line. Valid until the thread's next
// call into the library. Never NULL.
KNELL_API const char* knell_explain(void);

// Converts names to a mask: "exec,exit", "-comm", "nonzero". Errors: -EINVAL, with the nearest
// valid name in knell_explain().
KNELL_API int knell_events_parse(const char* text, uint32_t* ret_mask);
// Converts a mask to names, separated by commas. Like snprintf: returns the length without NUL,
// writes at most `size` bytes.
KNELL_API ssize_t knell_events_text(uint32_t mask, char* buffer, size_t size);
KNELL_API const char* knell_type_name(uint32_t type);  // "exit", ...; "unknown"
// Converts "bpf", "daemon", ... to enum knell_via. Errors: -EINVAL, with the nearest valid name in
// knell_explain().
KNELL_API int knell_via_parse(const char* text, uint32_t* ret_via);
KNELL_API const char* knell_via_name(uint32_t via);  // "bpf", ...; "unknown"

// One JSON object (docs: the fields), no newline. Like snprintf.
KNELL_API ssize_t knell_event_json(const struct knell_event* event, char* buffer, size_t size);
// How a process ended: "exit 1", "SIGSEGV core", "SIGKILL oom", "unknown". Like snprintf.
KNELL_API ssize_t knell_event_ended(const struct knell_event* event, char* buffer, size_t size);
// An id as text, `boot-pid-start` or `boot-pid-x<timestamp>`; "" for none. Like snprintf.
KNELL_API ssize_t knell_id_text(const struct knell_id* id, char* buffer, size_t size);
// Makes bytes safe for a terminal or JSON: valid UTF-8 is kept, invalid bytes and control
// characters are written as \xff. Like snprintf.
KNELL_API ssize_t knell_printable(const char* bytes, size_t count, char* buffer, size_t size);

// Converts any bytes to a JSON string with its quotes, as knell_event_json() writes it. Like
// snprintf.
KNELL_API ssize_t knell_json_string(const char* bytes, size_t count, char* buffer, size_t size);

// The argument after `previous` in event->args ({NULL, 0}: the first). data is NULL after the last.
static inline struct knell_string knell_next_arg(const struct knell_event* event,
                                                 struct knell_string previous) {
  struct knell_string word = {NULL, 0};
  const char* p = previous.data ? previous.data + previous.size + 1 : event->args.data;
  const char* end = event->args.data ? event->args.data + event->args.size : NULL;
  if (p == NULL || p >= end) return word;
  word.data = p;
  while (p < end && *p != '\0') p++;
  word.size = (size_t)(p - word.data);
  return word;
}

// ----------------------------------------------------------------------------------------------------
// doctor

enum knell_finding_level {
  KNELL_FINDING_OK = 0,
  KNELL_FINDING_WARN = 1,
  KNELL_FINDING_NO = 2,
  KNELL_FINDING_NOTE = 3
};
struct knell_finding {
  size_t size;
  uint32_t level;       // enum knell_finding_level
  const char* subject;  // "connector", "buffer", ...
  const char* text;
  const char* fix;  // how to fix it; NULL: nothing is wrong, or there is no fix
};
// Checks what works on this machine for this user, and calls `on_finding` for each finding, in the
// order in which they should be read; stops when it returns non-zero. Opens and closes sockets,
// changes nothing. Returns 0 if any events can be observed here, even if only through pidfds, else
// -ENOTSUP.
KNELL_API int knell_doctor(int (*on_finding)(const struct knell_finding*, void*), void* context);

// The status of knelld: one JSON object (docs: the status), no newline. Like snprintf: returns the
// length without NUL, writes at most `size` bytes. Errors: -ENOENT, -ECONNREFUSED no daemon is
// running; -ETIMEDOUT it does not answer.
KNELL_API ssize_t knell_status(char* buffer, size_t size);

KNELL_API const char* knell_version(void);  // "1.0.0"

#ifdef __cplusplus
}
#endif
