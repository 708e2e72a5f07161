// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// <knell/knell.h> of knell 1.0.0, the first library with the soname libknell.so.1, without its
// comments. check_layout compares the current one with it. Do not change it: programs that were
// compiled with it exist.

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

#define KNELL_FILLED(structure, member)                                            \
  ((size_t)((const char*)(&(structure)->member + 1) - (const char*)(structure)) <= \
   (structure)->size)

enum knell_level { KNELL_LEVEL_PROCESS = 0, KNELL_LEVEL_RAW = 1 };

enum knell_details {
  KNELL_DETAILS_FULL = 0,
  KNELL_DETAILS_NAMES = 1,
  KNELL_DETAILS_STATUS = 2

};

enum knell_via {
  KNELL_VIA_AUTO = 0,

  KNELL_VIA_CONNECTOR = 1,
  KNELL_VIA_BPF = 2,
  KNELL_VIA_PIDFD = 3,
  KNELL_VIA_PROC = 4,
  KNELL_VIA_RECORDING = 5,
  KNELL_VIA_DAEMON = 6,
  KNELL_VIA_PTRACE = 7,

  KNELL_VIA_JOURNAL = 8
};

#define KNELL_LATENCY_DEFAULT_NS 1000000
#define KNELL_LATENCY_UNDER_LOAD_NS 10000000
#define KNELL_LATENCY_NONE (-1)

enum knell_from { KNELL_FROM_ACKNOWLEDGED = 0, KNELL_FROM_OLDEST = 1, KNELL_FROM_NEWEST = 2 };

struct knell_options {
  size_t size;
  uint32_t events;

  uint32_t level;
  uint32_t details;
  uint32_t via;
  int64_t latency_ns;

  uint32_t only_added;

  uint32_t args_bytes;

  size_t buffer_bytes;

  uint32_t recover;

  uint32_t reserved;

  const char* durable;

  const char* cursor;
  uint32_t from;
  uint32_t max_unacked;
};
#define KNELL_OPTIONS_INIT {sizeof(struct knell_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

struct knell_string {
  const char* data;
  size_t size;
};

enum knell_id_kind {
  KNELL_ID_NONE = 0,
  KNELL_ID_START = 1,
  KNELL_ID_STAMP = 2

};

struct knell_id {
  uint32_t boot;
  int32_t pid;
  uint64_t start;
  uint32_t kind;
};
#define KNELL_ID_TEXT_BYTES 48

enum knell_cause { KNELL_CAUSE_USER = 1, KNELL_CAUSE_KERNEL = 2, KNELL_CAUSE_OOM = 3 };

#define KNELL_HAS_UID (UINT64_C(1) << 0)
#define KNELL_HAS_GID (UINT64_C(1) << 1)
#define KNELL_HAS_STATUS (UINT64_C(1) << 2)
#define KNELL_HAS_DURATION (UINT64_C(1) << 3)
#define KNELL_HAS_KILLER (UINT64_C(1) << 4)
#define KNELL_HAS_COUNT (UINT64_C(1) << 5)
#define KNELL_HAS_LAST_SIGNAL (UINT64_C(1) << 6)
#define KNELL_HAS_PPID (UINT64_C(1) << 7)
#define KNELL_HAS_KILLER_PID (UINT64_C(1) << 8)
#define KNELL_HAS_KILLER_UID (UINT64_C(1) << 9)
#define KNELL_HAS_KILLER_PPID (UINT64_C(1) << 10)
#define KNELL_HAS_LAST_SIGNAL_PID (UINT64_C(1) << 11)
#define KNELL_HAS_LAST_SIGNAL_UID (UINT64_C(1) << 12)

#define KNELL_FLAG_RECOVERED (UINT32_C(1) << 0)

#define KNELL_FLAG_ARGS_TRUNCATED (UINT32_C(1) << 1)
#define KNELL_FLAG_EXACT (UINT32_C(1) << 2)
#define KNELL_FLAG_PRIVILEGES_WITHHELD (UINT32_C(1) << 3)

#define KNELL_FLAG_NOT_FOLLOWED (UINT32_C(1) << 4)

#define KNELL_FLAG_REDELIVERED (UINT32_C(1) << 5)

#define KNELL_FLAG_DETAILS_LOST (UINT32_C(1) << 6)

struct knell_event {
  size_t size;
  uint64_t has;
  uint32_t type;
  uint32_t flags;
  uint32_t via;
  uint32_t exit_signal;
  uint64_t seq;
  uint64_t mono_ns;
  int64_t time_ns;
  uint64_t cookie;
  struct knell_id id, parent_id;
  int32_t pid, tid, ppid;
  uint32_t uid, gid;
  int32_t wait_status;
  uint64_t duration_ns;
  struct knell_string comm, parent_comm;
  struct knell_string exe, cwd;
  struct knell_string args;
  struct knell_string user;
  struct knell_string cgroup, unit, container_id;

  struct {
    int32_t pid;
    uint32_t uid;
    struct knell_string comm;
    uint32_t cause;
    int32_t parent_pid;
    struct knell_string parent_comm;
    struct knell_string unit;
    struct knell_string memory_cgroup;
  } killed_by;

  struct knell_id child_id;
  int32_t child_pid, child_tid;
  uint32_t ruid, euid;
  uint32_t rgid, egid;
  int32_t tracer_pid;
  struct knell_string new_comm;
  uint64_t lost_count;
  uint32_t lost_types;
  uint64_t lost_from_ns, lost_until_ns;
  int64_t lost_from_time_ns, lost_until_time_ns;

  struct {
    int32_t signal;
    int32_t pid;

    uint32_t uid;
    struct knell_string comm, parent_comm;
    uint64_t ago_ns;
  } last_signal;
  struct knell_string tty;

  struct knell_string cursor;
};

struct knell_listener;

KNELL_API int knell_open(const struct knell_options* options, struct knell_listener** ret_knell);

KNELL_API int knell_match(struct knell_listener* k, const char* key, const char* value);

KNELL_API int knell_check_match(const char* key, const char* value);

KNELL_API int knell_add(struct knell_listener* k, pid_t pid, uint64_t start, uint64_t cookie);

struct knell_added {
  int32_t pid;
  int32_t error;
  uint64_t start, cookie;
};

KNELL_API ssize_t knell_add_many(struct knell_listener* k, struct knell_added* processes,
                                 size_t count);

KNELL_API int knell_remove(struct knell_listener* k, pid_t pid);

KNELL_API int knell_set_events(struct knell_listener* k, uint32_t mask);

KNELL_API int knell_fd(const struct knell_listener* k);

KNELL_API ssize_t knell_read(struct knell_listener* k, const struct knell_event** ret_events,
                             size_t count);

KNELL_API int knell_ack(struct knell_listener* k, const struct knell_event* event);

KNELL_API int knell_mark_failed(struct knell_listener* k, const struct knell_event* event);

KNELL_API int knell_remove_durable(const char* name, int64_t owner);

enum knell_daemon { KNELL_DAEMON_NONE = 0, KNELL_DAEMON_HERE = 1, KNELL_DAEMON_AWAY = 2 };
enum knell_scope { KNELL_SCOPE_ALL = 0, KNELL_SCOPE_USER = 1, KNELL_SCOPE_NAMESPACE = 2 };

struct knell_stats {
  size_t size;
  uint64_t buffer_bytes;

  uint64_t received, shown;
  uint64_t lost;
  uint64_t wakeups, drains;
  uint64_t repairs;
  uint64_t processes, process_bytes;
  uint64_t forgotten;
  uint32_t kernel_mask;
  uint32_t kernel_filter;
  uint32_t via;
  uint32_t daemon;
  uint32_t scope;
  uint32_t scope_uid;
};
KNELL_API int knell_get_stats(const struct knell_listener* k, struct knell_stats* ret_stats);

KNELL_API int knell_snapshot(struct knell_listener* k,
                             int (*visit)(const struct knell_event* event, void* context),
                             void* context);

KNELL_API void knell_close(struct knell_listener* k);

struct knell_recorder;

KNELL_API int knell_recorder_open(int fd, const struct knell_listener* k, const char* selection,
                                  struct knell_recorder** ret_recorder);

KNELL_API int knell_recorder_append(int fd, const struct knell_listener* k, const char* selection,
                                    struct knell_recorder** ret_recorder);

KNELL_API int knell_recorder_write(struct knell_recorder* recorder,
                                   const struct knell_event* const* events, size_t count);

KNELL_API uint64_t knell_recorder_bytes(const struct knell_recorder* recorder);

KNELL_API int knell_recorder_close(struct knell_recorder* recorder);

struct knell_replay_options {
  size_t size;
  uint32_t events;
  uint32_t only_added;
  double speed;
};
#define KNELL_REPLAY_OPTIONS_INIT {sizeof(struct knell_replay_options), 0, 0, 0}

KNELL_API int knell_open_recording(const char* path, const struct knell_replay_options* options,
                                   struct knell_listener** ret_knell);

struct knell_recording {
  size_t size;
  uint32_t events;
  uint32_t level, details;
  uint32_t via;
  int64_t started_ns;
  char knell[32], kernel[160];
  char boot_id[40];
  char selection[1024];
};

KNELL_API int knell_get_recording(const struct knell_listener* k,
                                  struct knell_recording* ret_recording);

#define KNELL_JOURNAL_PATH "/var/lib/knell/journal.db"

struct knell_history_options {
  size_t size;
  uint32_t events;
  uint32_t follow;

  int64_t since_ns;
  int64_t until_ns;
  uint64_t last;
  uint32_t this_boot;
  uint32_t reserved;
};
#define KNELL_HISTORY_OPTIONS_INIT {sizeof(struct knell_history_options), 0, 0, 0, 0, 0, 0, 0}

KNELL_API int knell_open_history(const char* path, const struct knell_history_options* options,
                                 struct knell_listener** ret_knell);

struct knell_finding;

KNELL_API int knell_verify_journal(const char* path,
                                   int (*on_finding)(const struct knell_finding*, void*),
                                   void* context);

KNELL_API int knell_wait(pid_t pid, const struct timespec* timeout, struct knell_event* ret_event);

KNELL_API int knell_kill(pid_t pid, int signal, const struct timespec* timeout,
                         struct knell_event* ret_event);

KNELL_API const char* knell_explain(void);

KNELL_API int knell_events_parse(const char* text, uint32_t* ret_mask);

KNELL_API ssize_t knell_events_text(uint32_t mask, char* buffer, size_t size);
KNELL_API const char* knell_type_name(uint32_t type);

KNELL_API int knell_via_parse(const char* text, uint32_t* ret_via);
KNELL_API const char* knell_via_name(uint32_t via);

KNELL_API ssize_t knell_event_json(const struct knell_event* event, char* buffer, size_t size);

KNELL_API ssize_t knell_event_ended(const struct knell_event* event, char* buffer, size_t size);

KNELL_API ssize_t knell_id_text(const struct knell_id* id, char* buffer, size_t size);

KNELL_API ssize_t knell_printable(const char* bytes, size_t count, char* buffer, size_t size);

KNELL_API ssize_t knell_json_string(const char* bytes, size_t count, char* buffer, size_t size);

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

enum knell_finding_level {
  KNELL_FINDING_OK = 0,
  KNELL_FINDING_WARN = 1,
  KNELL_FINDING_NO = 2,
  KNELL_FINDING_NOTE = 3
};
struct knell_finding {
  size_t size;
  uint32_t level;
  const char* subject;
  const char* text;
  const char* fix;
};

KNELL_API int knell_doctor(int (*on_finding)(const struct knell_finding*, void*), void* context);

KNELL_API ssize_t knell_status(char* buffer, size_t size);

KNELL_API const char* knell_version(void);

#ifdef __cplusplus
}
#endif
