// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Calls all functions of the library that take or fill a structure with `size`, and needs no
// privilege. Behind each structure there is no memory, so that an access past its end faults; with
// AddressSanitizer it is allocated, so that the report names the access.
#define _GNU_SOURCE
#include <errno.h>
#include <knell/knell.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define WITH_ASAN
#endif

#define CHECK(condition)                                                           \
  do {                                                                             \
    if (!(condition)) {                                                            \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, knell_explain()); \
      exit(1);                                                                     \
    }                                                                              \
  } while (0)

#define CANARY 0x5a  // in the member that a later header has

// Memory for a structure: zeroed, with `size` set.
static void* place(size_t size) {
#ifdef WITH_ASAN
  static void* kept[16];  // kept until the end, so it is no leak
  static size_t count;
  CHECK(count < sizeof kept / sizeof *kept);
  void* at = kept[count++] = calloc(1, size);
#else
  const size_t page = 65536;  // the largest page size
  char* pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(pages != MAP_FAILED && mprotect(pages + page, page, PROT_NONE) == 0);
  void* at = pages + page - size;
#endif
  CHECK(at != NULL);
  memcpy(at, &size, sizeof size);
  return at;
}

#ifdef KNELL_GROWN
#define PLACE(name)                        \
  struct name* name = place(sizeof *name); \
  memset(&name->later, CANARY, 8)
// The library filled the members it has, and set size.
#define CHECK_FILLED(name) \
  CHECK(!KNELL_FILLED(name, later) && name->later == UINT64_C(0x5a5a5a5a5a5a5a5a))
#else
#define PLACE(name) struct name* name = place(sizeof *name)
#define CHECK_FILLED(name) CHECK(name->size == sizeof *name)
#endif

static struct knell_listener* open_listener(void) {
  struct knell_options* options = place(sizeof *options);
  struct knell_listener* k = NULL;
  *options = (struct knell_options)KNELL_OPTIONS_INIT;
  options->via = KNELL_VIA_PIDFD;
#ifdef KNELL_GROWN
  options->later = 1;
  CHECK(knell_open(options, &k) == -E2BIG);
  CHECK(strstr(knell_explain(), "knell_options") != NULL);
  options->later = 0;
#endif
  CHECK(knell_open(options, &k) == 0);
  return k;
}

static pid_t child(void) {
  const pid_t pid = fork();
  if (pid == 0) _exit(7);
  return pid;
}

static void check_json(const struct knell_event* event) {
  char json[4096];
  CHECK(knell_event_json(event, json, sizeof json) > 0);
  CHECK(strstr(json, "\"exit_code\":7,") != NULL);
  CHECK(strstr(json, "\"last_signal\":null,") != NULL);
  char ended[32];
  CHECK(knell_event_ended(event, ended, sizeof ended) > 0 && strcmp(ended, "exit 7") == 0);
}

static int visit(const struct knell_event* event, void* context) {
  *(pid_t*)context = event->pid;
#ifdef KNELL_GROWN
  CHECK(KNELL_FILLED(event, comm) && !KNELL_FILLED(event, later));
#endif
  return 1;
}

// The recorded events are read again.
static void check_recording(const struct knell_listener* k, const struct knell_event* event) {
  char path[] = "/tmp/knell-abi-XXXXXX";
  const int fd = mkstemp(path);
  struct knell_recorder* recorder = NULL;
  CHECK(fd >= 0 && knell_recorder_open(fd, k, "all", &recorder) == 0);
  CHECK(knell_recorder_write(recorder, &event, 1) == 0 && knell_recorder_close(recorder) == 0);
  close(fd);

  struct knell_replay_options* options = place(sizeof *options);
  *options = (struct knell_replay_options)KNELL_REPLAY_OPTIONS_INIT;
  struct knell_listener* recorded = NULL;
#ifdef KNELL_GROWN
  options->later = 1;
  CHECK(knell_open_recording(path, options, &recorded) == -E2BIG);
  options->later = 0;
#endif
  CHECK(knell_open_recording(path, options, &recorded) == 0);
  const struct knell_event* again = NULL;
  CHECK(knell_read(recorded, &again, 1) == 1);
  CHECK(again->pid == event->pid && again->wait_status == event->wait_status);
  CHECK(again->has == KNELL_HAS_STATUS);
  check_json(again);
  PLACE(knell_recording);
  CHECK(knell_get_recording(recorded, knell_recording) == 0);
  CHECK_FILLED(knell_recording);
  CHECK(strlen(knell_recording->boot_id) == 36);
  knell_close(recorded);
  unlink(path);
}

int main(void) {
  struct knell_listener* k = open_listener();
  const pid_t pid = child();
  CHECK(knell_add(k, pid, 0, 0) == 0);
  PLACE(knell_stats);
  for (int i = 0; i < 2; i++) {  // `size` still is the size of the memory
    CHECK(knell_get_stats(k, knell_stats) == 0);
    CHECK_FILLED(knell_stats);
    CHECK(knell_stats->via == KNELL_VIA_PIDFD);
  }
  knell_stats->size = 8;
  CHECK(knell_get_stats(k, knell_stats) == -EINVAL);

  PLACE(knell_event);
  CHECK(knell_wait(pid, NULL, knell_event) == 0);
  CHECK_FILLED(knell_event);
  CHECK(knell_event->pid == pid && WEXITSTATUS(knell_event->wait_status) == 7);
  check_json(knell_event);
  pid_t seen = 0;
  CHECK(knell_snapshot(k, visit, &seen) == 1 && seen > 0);

  // An event as a later library would return it, with members and bits that this version does not
  // know.
  knell_event->size = sizeof *knell_event;
#ifndef KNELL_TODAY
  knell_event->has |= UINT64_C(1) << 63;
#endif
#ifdef KNELL_OLDER
  knell_event->has |= KNELL_HAS_LAST_SIGNAL;  // a member that the event has no room for
#endif
  check_json(knell_event);
  check_recording(k, knell_event);
  knell_event->size = 8;
  CHECK(knell_event_json(knell_event, NULL, 0) == -EINVAL);
  CHECK(waitpid(pid, NULL, 0) == pid);
  knell_close(k);
  return 0;
}
