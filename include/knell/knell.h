// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// libknell: hear of processes that fork, exec, change and die, and only of those you asked for.
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
// Threads: a handle belongs to one thread at a time; different handles are independent. The library
// starts no threads and installs no signal handlers. It keeps descriptors of its own, all
// close-on-exec. Errors: functions return 0 or a count, or a negative errno; errno itself is left
// alone. No exception leaves it: a program that runs out of memory inside is ended.
// knell_explain() says the last error of the calling thread in words. After fork(2) a handle still
// belongs to the process that opened it: the child may close it, which changes nothing for its
// parent; all else fails there with -EINVAL.
//
// Structures that begin with `size` grow at their end only, so a program runs with a library that
// is older or newer than its header. Whoever makes a structure sets `size`: the program that of
// options and of what is to be filled, to its sizeof; the library that of what it hands out.
// Nothing past `size` is read or written.
// - Options: members that the program's header lacks have their defaults; members that the library
//   does not know must be 0, else -E2BIG.
// - What a function fills (ret_stats, ret_recording, ret_event): `size` is then what was filled,
// and
//   members past it are left alone.
// - Events that the library hands out may be shorter than the program's header says: KNELL_FILLED()
//   tells whether a member is there. Events that the program hands back may be of either size: what
//   is absent is unknown, and what is not known is left out.
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

// Whether *structure is large enough to have `member`: KNELL_FILLED(event, tty). Not needed for
// members that the first header with this structure had.
#define KNELL_FILLED(structure, member)                                            \
  ((size_t)((const char*)(&(structure)->member + 1) - (const char*)(structure)) <= \
   (structure)->size)

// ----------------------------------------------------------------------------------------------------
// options

enum knell_level {
  KNELL_LEVEL_PROCESS =
      0,  // one event a process: an exit when its last thread is gone, with wait's status
  KNELL_LEVEL_RAW = 1  // the kernel's thread-level events, as they come
};

// How much an event tells. A predicate that needs more than the level gives raises it.
enum knell_details {
  KNELL_DETAILS_FULL = 0,   // everything
  KNELL_DETAILS_NAMES = 1,  // pids, status, comm, uid, cgroup, unit
  KNELL_DETAILS_STATUS = 2  // pids and status: subscribes to nothing beyond the
                            // mask, remembers nothing of processes
};

// Where events come from.
enum knell_via {
  KNELL_VIA_AUTO = 0,  // options: the daemon (knelld) where it answers and takes us, else the best
                       // that works in this process
  KNELL_VIA_CONNECTOR = 1,  // the kernel's process events connector
  KNELL_VIA_BPF = 2,        // programs in the kernel
  KNELL_VIA_PIDFD = 3,      // options: exits of added processes, without privilege
  KNELL_VIA_PROC = 4,       // events: of knell_snapshot()
  KNELL_VIA_RECORDING = 5,  // events: of knell_open_recording()
  KNELL_VIA_DAEMON = 6      // options: knelld; its events name the source that it has them from
};

#define KNELL_LATENCY_DEFAULT_NS 1000000  // 1 ms
#define KNELL_LATENCY_NONE (-1)           // every event at once

// Zeroes but for `size` mean the defaults.
struct knell_options {
  size_t size;       // sizeof(struct knell_options)
  uint32_t events;   // mask of KNELL_EVENT_*; unknown bits are dropped, then 0 means all, as in the
                     // kernel
  uint32_t level;    // enum knell_level
  uint32_t details;  // enum knell_details
  uint32_t via;      // enum knell_via: AUTO, DAEMON, BPF, CONNECTOR or PIDFD
  int64_t latency_ns;   // how long an event may wait for others while many come, up to 60 s. A lone
                        // event never waits. 0: KNELL_LATENCY_DEFAULT_NS; KNELL_LATENCY_NONE
  uint32_t only_added;  // 1: reports processes that are added with knell_add(), and no others; 0:
                        // all that match, and none can be added. PIDFD implies 1
  uint32_t args_bytes;  // over bpf: the most of an event's args, up to 4096; 0: 1024. What is
                        // longer is cut, with KNELL_FLAG_ARGS_TRUNCATED
  size_t buffer_bytes;  // room asked of the kernel for events not yet read; 0: 64 MiB over the
                        // connector, 8 MiB for exits over bpf, less in a memory cgroup whose limit
                        // is below 256 MiB. What was given: knell_stats
};
#define KNELL_OPTIONS_INIT {sizeof(struct knell_options), 0, 0, 0, 0, 0, 0, 0, 0}

// -----------------------------------------------------------------------------------------------------
// events

struct knell_string {
  const char* data;  // not NUL-terminated, any bytes; NULL: unknown
  size_t size;       // bytes
};

enum knell_id_kind {
  KNELL_ID_NONE = 0,   // unknown
  KNELL_ID_START = 1,  // `start` is clock ticks since boot, as in /proc/PID/stat field 22
  KNELL_ID_STAMP = 2   // the start could not be known; `start` is the CLOCK_MONOTONIC ns of the
                       // event that told us
};

// Names a process for ever, where a pid is reused.
struct knell_id {
  uint32_t boot;  // the first 8 hex digits of the boot id
  int32_t pid;
  uint64_t start;
  uint32_t kind;  // enum knell_id_kind
};
#define KNELL_ID_TEXT_BYTES 48  // 8 + 1 + 11 + 2 + 20 + NUL, rounded up

enum knell_cause {
  KNELL_CAUSE_USER = 1,    // a process sent it, or the process itself
  KNELL_CAUSE_KERNEL = 2,  // the kernel: a fault, a timer, a resource limit, a hangup, ...
  KNELL_CAUSE_OOM = 3      // the kernel, out of memory
};

// Which numbers of an event are known; one that is not is 0. A string that is not known has data
// NULL (one without bytes does not), an id has the kind KNELL_ID_NONE.
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
  (UINT32_C(1) << 0)  // not seen live: found missing afterwards and put back
#define KNELL_FLAG_ARGS_TRUNCATED (UINT32_C(1) << 1)  // args were cut
#define KNELL_FLAG_EXACT (UINT32_C(1) << 2)           // lost_count is exact, not an upper bound

// One event. Fields of other types than its own are 0. docs and JSON use the same names.
struct knell_event {
  size_t size;           // the bytes of it that are there
  uint64_t has;          // KNELL_HAS_*
  uint32_t type;         // one KNELL_EVENT_*
  uint32_t flags;        // KNELL_FLAG_*
  uint32_t via;          // enum knell_via
  uint32_t exit_signal;  // exit, raw level: the signal the parent gets
  uint64_t seq;          // rises by one per event of this handle, from 1
  uint64_t mono_ns;      // the kernel's stamp, CLOCK_MONOTONIC
  int64_t time_ns;       // the same instant, CLOCK_REALTIME ns since the epoch
  uint64_t cookie;       // what knell_add() was given for this pid, else 0
  struct knell_id id, parent_id;
  int32_t pid, tid, ppid;  // process, thread, parent process
  uint32_t uid, gid;       // real ids at the event
  int32_t wait_status;     // exit: what wait(2) reports
  uint64_t duration_ns;    // exit: life of the process
  struct knell_string comm, parent_comm;
  struct knell_string exe, cwd;
  struct knell_string
      args;  // the words, each ended by a NUL byte; knell_next_arg() steps through them
  struct knell_string user;  // the name of uid
  struct knell_string cgroup, unit, container_id;
  // exit: who sent the signal that the process died of. Set only where it is certain.
  struct {
    // USER: the sender. KERNEL: the process whose end made the kernel send it (parent-death signal,
    // end of a pid namespace, hangup of a session, exit of a tracer). Unknown: there is none, or it
    // is outside the pid namespace of this listener; then uid, comm, parent and unit are, too.
    int32_t pid;
    uint32_t uid;              // real
    struct knell_string comm;  // this and what follows: when the signal was sent
    uint32_t cause;            // enum knell_cause
    int32_t parent_pid;        // its parent process
    struct knell_string parent_comm;
    struct knell_string unit;           // systemd unit of its cgroup
    struct knell_string memory_cgroup;  // OOM: the memory cgroup of the process that was killed
  } killed_by;
  // per type
  struct knell_id child_id;              // fork
  int32_t child_pid, child_tid;          // fork
  uint32_t ruid, euid;                   // uid
  uint32_t rgid, egid;                   // gid
  int32_t tracer_pid;                    // ptrace; 0: detach
  struct knell_string new_comm;          // comm
  uint64_t lost_count;                   // lost
  uint32_t lost_types;                   // lost: what may be missing, a mask
  uint64_t lost_from_ns, lost_until_ns;  // lost: CLOCK_MONOTONIC
  int64_t lost_from_time_ns, lost_until_time_ns;
  // exit: the last request to end (SIGTERM, SIGINT, SIGQUIT, SIGHUP) that another process sent and
  // that this one took (by a handler, sigwait(3) or signalfd(2)) before it exited.
  struct {
    int32_t signal;
    int32_t pid;  // the sender; unknown: it is outside the pid namespace of this listener; then
                  // uid, comm and parent_comm are, too
    uint32_t uid;
    struct knell_string comm, parent_comm;  // when it was sent
    uint64_t ago_ns;                        // from the sending to the end of the process
  } last_signal;
  struct knell_string tty;  // its controlling terminal: "pts/3", "ttyS0"; NULL: none, or unknown
};

// -------------------------------------------------------------------------------------------------
// a listener

struct knell_listener;  // one listener

// Opens a listener: it hears of what happens from now on. `options` may be NULL. On success
// *ret_knell is to be given to knell_close(). Errors: -EINVAL bad options; -E2BIG options of a
// later version; -EPERM not allowed here; -EPROTONOSUPPORT this kernel or namespace has no such
// events; -ENOTSUP the source does not work here; -EMFILE. Through the daemon, which is waited for
// some seconds at the most: -ENOENT, -ECONNREFUSED there is none; -ETIMEDOUT it does not answer;
// -EUSERS and others: it refuses, knell_explain() says why. KNELL_SOCKET in the environment names
// its socket; empty: it is not to be used.
KNELL_API int knell_open(const struct knell_options* options, struct knell_listener** ret_knell);

// Narrows a listener. Keys: pid, under, comm, exe, uid, user, unit, cgroup, container, tty, ended
// (also spelt exit-code and signal), longer, shorter. Commas and repeated calls are alternatives,
// `!value` excludes, different keys must all hold; a lost event passes all. Works from the next
// drain on; what was read from the kernel already but not yet handed out stays. Errors: -EINVAL
// unknown key or value: knell_explain() says what would be right; -ESRCH under: no such process.
KNELL_API int knell_match(struct knell_listener* k, const char* key, const char* value);
// Checks the key and the value as knell_match() does, without a listener. Whether a process is
// there is not looked at. Errors: -EINVAL.
KNELL_API int knell_check_match(const char* key, const char* value);

// Adds a process to a listener that was opened with `only_added`. `start` is its start in clock
// ticks since boot, against pid reuse, or 0; `cookie` comes back in its events. O(1); through the
// daemon one question and its answer. Errors: -EINVAL the listener reports all that match, or a pid
// below 1; -ESRCH it is gone already, nothing will come (a zombie still comes); -EEXIST; -EMFILE
// (via pidfd).
KNELL_API int knell_add(struct knell_listener* k, pid_t pid, uint64_t start, uint64_t cookie);
// Errors: -ENOENT it was not there. It leaves by itself when it has died.
KNELL_API int knell_remove(struct knell_listener* k, pid_t pid);

// Changes the mask, live: from here on other events come. As with options.events unknown bits are
// dropped, then 0 means all. Nothing that both masks want is lost by it.
KNELL_API int knell_set_events(struct knell_listener* k, uint32_t mask);

// A descriptor to poll for POLLIN; it stays the same and belongs to the handle. Readable means:
// call knell_read() now.
KNELL_API int knell_fd(const struct knell_listener* k);

// Up to `count` events, oldest first; 0: none now (within the latency budget more may be on its
// way). They and all they point to are valid until the next call with this handle. Never waits for
// events. With names or full details the first sight of a user may ask the system's user database
// (NSS). A hole in the stream is an event (KNELL_EVENT_LOST), never an error. Errors: -EIO and
// others: the source broke, knell_explain() says how; what was read before stays good. Of a
// recording: -ENODATA it has ended; -EBADMSG it breaks off or is damaged here. Of the daemon: that
// it went away is no error: it is looked for, and when it is back the hole is told by a lost event
// without a count, from the last event heard until the new subscription; -EBADMSG it sends what is
// malformed; any other: it ended the connection for good, and knell_explain() has its reason.
KNELL_API ssize_t knell_read(struct knell_listener* k, const struct knell_event** ret_events,
                             size_t count);

enum knell_daemon {
  KNELL_DAEMON_NONE = 0,  // the listener is of this process alone
  KNELL_DAEMON_HERE = 1,  // its events come from knelld
  KNELL_DAEMON_AWAY = 2   // knelld is gone, and looked for; nothing comes meanwhile
};
enum knell_scope {
  KNELL_SCOPE_ALL = 0,       // every process
  KNELL_SCOPE_USER = 1,      // those of one user
  KNELL_SCOPE_NAMESPACE = 2  // those of this pid namespace, and below
};

struct knell_stats {
  size_t size;               // set by the caller; then what was filled
  uint64_t buffer_bytes;     // what the kernel gave (its own count: twice what was asked); through
                             // the daemon: its queue for this listener
  uint64_t received, shown;  // events from the kernel or the daemon; events handed out
  uint64_t lost;             // the count of what did not fit, as far as it is known
  uint64_t wakeups, drains;
  uint64_t healed;                    // times the connector was found deaf and mended
  uint64_t processes, process_bytes;  // remembered, and the memory it takes
  uint64_t forgotten;                 // not remembered because the limit was reached
  uint32_t kernel_mask;               // what the kernel is asked for
  uint32_t kernel_filter;             // 1: the kernel's own filter is on
  uint32_t via;                       // enum knell_via: the source in use, here or in the daemon
  uint32_t daemon;                    // enum knell_daemon
  uint32_t scope;                     // enum knell_scope: what may be heard of at all
  uint32_t scope_uid;                 // KNELL_SCOPE_USER: whose processes
};
KNELL_API int knell_get_stats(const struct knell_listener* k, struct knell_stats* ret_stats);

// Calls `visit` for each process that is alive now and passes the predicates of the listener, a
// parent before its children, until it returns non-zero, which is returned then. `event` has the
// type 0, `via` KNELL_VIA_PROC and what /proc shows; it is valid during the call. Reads all of
// /proc, of this process's own pid namespace. Predicates about an end (ended, longer, shorter) let
// none pass. Processes that are added by knell_add() do not count. Errors: -EINVAL the listener
// reads a recording; those of open(2).
KNELL_API int knell_snapshot(struct knell_listener* k,
                             int (*visit)(const struct knell_event* event, void* context),
                             void* context);

KNELL_API void knell_close(struct knell_listener* k);  // NULL is fine

// -------------------------------------------------------------------------------------------------
// recordings (docs: the recording format)
//
// A recorder puts the events of a listener into a file, and a listener of that recording reports
// them again: mask, predicates, added processes and knell_fd() work as they do live, `via` is
// KNELL_VIA_RECORDING and `seq` counts anew. `under` goes by the births in the recording, and by
// the parents that events name.

struct knell_recorder;

// Begins a recording of what `k` tells, with who, where and when. `fd` is written from where it
// stands, stays the caller's, and should be blocking. `selection`: which processes, in words for
// who reads it; may be NULL. Errors: those of write(2).
KNELL_API int knell_recorder_open(int fd, const struct knell_listener* k, const char* selection,
                                  struct knell_recorder** ret_recorder);
// All are written to `fd` when it returns: with one write(2), mostly. Does not fsync(2). Errors:
// -EINTR, -EAGAIN (a signal was caught, or `fd` is non-blocking and has no room): the events are
// taken, and what is left of them is written first by the next call, which may be for no events;
// such a call that ends so again takes none. -EMSGSIZE an event with more than 60 KiB of text: none
// is taken. Others of write(2): then the recording ends with the last whole frame where `fd` is a
// file, and later calls give -EIO.
KNELL_API int knell_recorder_write(struct knell_recorder* recorder,
                                   const struct knell_event* const* events, size_t count);
KNELL_API uint64_t knell_recorder_bytes(const struct knell_recorder* recorder);  // written so far
// Marks the end, after what is left to write, and frees the recorder, also when that fails; a
// recording without the mark reads as broken off. NULL is fine.
KNELL_API int knell_recorder_close(struct knell_recorder* recorder);

// Zeroes but for `size` mean the defaults.
struct knell_replay_options {
  size_t size;          // sizeof(struct knell_replay_options)
  uint32_t events;      // as in knell_options
  uint32_t only_added;  // as in knell_options
  double
      speed;  // 1: as it happened, 10: ten times as fast, up to 1e9; 0: as fast as it can be read
};
#define KNELL_REPLAY_OPTIONS_INIT {sizeof(struct knell_replay_options), 0, 0, 0}

// Opens a listener of a recording: a file, or a pipe such as /dev/stdin, whose beginning is waited
// for. `options` may be NULL. Errors: -EINVAL, -E2BIG as knell_open(); those of open(2) and
// read(2); -EINTR a signal was caught while waiting; -EBADMSG no recording, or one that is damaged;
// -ENOTSUP of a later format, or of a machine of another byte order.
KNELL_API int knell_open_recording(const char* path, const struct knell_replay_options* options,
                                   struct knell_listener** ret_knell);

// Where a recording is from. Text is cut where it is too long.
struct knell_recording {
  size_t size;                  // set by the caller; then what was filled
  uint32_t events;              // the mask that was recorded
  uint32_t level, details;      // enum knell_level, knell_details
  uint32_t via;                 // enum knell_via: the source
  int64_t started_ns;           // CLOCK_REALTIME, ns since the epoch
  char knell[32], kernel[160];  // versions
  char boot_id[40];             // of that boot
  char selection[1024];         // which processes, in words
};
// Errors: -ENODATA `k` reads no recording.
KNELL_API int knell_get_recording(const struct knell_listener* k,
                                  struct knell_recording* ret_recording);

// Waits until `pid`, any process, is over. `timeout` NULL: for ever. *ret_event, whose `size` is
// set before, is its exit; strings in it are NULL. The status is known for own children, and for
// others from Linux 6.15 on (then also after it was reaped); where it is not, KNELL_HAS_STATUS is
// not set. An own child is left to be reaped by the caller. Errors: -ESRCH no such process;
// -ETIMEDOUT; -EPROTONOSUPPORT before Linux 5.3.
KNELL_API int knell_wait(pid_t pid, const struct timespec* timeout, struct knell_event* ret_event);

// --------------------------------------------------------------------------------------------------
// in words

// The calling thread's last error from this library in one line; valid until its next call into it.
// Never NULL.
KNELL_API const char* knell_explain(void);

// "exec,exit", "-comm", "nonzero": names to a mask. Errors: -EINVAL, with the nearest right name in
// knell_explain().
KNELL_API int knell_events_parse(const char* text, uint32_t* ret_mask);
// A mask in names, comma-separated. Like snprintf: returns the length without NUL, writes at most
// `size` bytes.
KNELL_API ssize_t knell_events_text(uint32_t mask, char* buffer, size_t size);
KNELL_API const char* knell_type_name(uint32_t type);  // "exit", ...; "unknown"
// "bpf", "daemon", ... to enum knell_via. Errors: -EINVAL, with the nearest right name in
// knell_explain().
KNELL_API int knell_via_parse(const char* text, uint32_t* ret_via);
KNELL_API const char* knell_via_name(uint32_t via);  // "bpf", ...; "unknown"

// One JSON object (docs: the fields), no newline. Like snprintf.
KNELL_API ssize_t knell_event_json(const struct knell_event* event, char* buffer, size_t size);
// How a process ended: "exit 1", "SIGSEGV core", "SIGKILL oom", "unknown". Like snprintf.
KNELL_API ssize_t knell_event_ended(const struct knell_event* event, char* buffer, size_t size);
// An id as text, `boot-pid-start` or `boot-pid-x<stamp>`; "" for none. Like snprintf.
KNELL_API ssize_t knell_id_text(const struct knell_id* id, char* buffer, size_t size);
// Bytes made safe for a terminal or JSON: valid UTF-8 stays, others and controls become \xff. Like
// snprintf.
KNELL_API ssize_t knell_printable(const char* bytes, size_t count, char* buffer, size_t size);

// A JSON string with its quotes, of any bytes, spelled as knell_event_json() spells it. Like
// snprintf.
KNELL_API ssize_t knell_json_string(const char* bytes, size_t count, char* buffer, size_t size);

// The word of event->args after `previous` ({NULL, 0}: the first). data is NULL after the last.
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
  const char* fix;  // what would help; NULL: nothing is wrong, or nothing helps
};
// Looks at this machine and this user, and calls `on_finding` for each thing found, in the order to
// be read; stops when it returns non-zero. Opens and closes sockets, changes nothing. Returns 0
// when something can be observed here, be it by pidfds only, else -ENOTSUP.
KNELL_API int knell_doctor(int (*on_finding)(const struct knell_finding*, void*), void* context);

// What knelld says of itself: one JSON object (docs: the status), no newline. Like snprintf:
// returns the length without NUL, writes at most `size` bytes. Errors: -ENOENT, -ECONNREFUSED there
// is no daemon; -ETIMEDOUT it does not answer.
KNELL_API ssize_t knell_status(char* buffer, size_t size);

KNELL_API const char* knell_version(void);  // "0.2.0"

#ifdef __cplusplus
}
#endif
