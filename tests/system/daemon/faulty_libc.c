// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Preloaded into knelld: delays or fails its calls to the journal's disk, and shifts its clock, as
// set in struct knell_faults in the file $KNELL_TEST_FAULTS.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "faults.h"

static struct knell_faults* faults;

__attribute__((constructor)) static void open_faults(void) {
  const char* path = getenv("KNELL_TEST_FAULTS");
  const int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* memory = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory != MAP_FAILED) faults = memory;
  close(fd);
}

static int is_set(const int* value) {
  return faults != NULL && __atomic_load_n(value, __ATOMIC_SEQ_CST);
}

static void add_one(int* value) {
  __atomic_add_fetch(value, 1, __ATOMIC_SEQ_CST);
  syscall(SYS_futex, value, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static int is_journal(int fd) {
  char name[64], path[512];
  snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
  const ssize_t bytes = readlink(name, path, sizeof path - 1);
  if (bytes <= 0) return 0;
  path[bytes] = '\0';
  return strstr(path, "/journal.db") != NULL;
}

static void wait_for_disk(int fd) {
  if (faults == NULL || !is_set(&faults->stalls) || !is_journal(fd)) return;
  const int error = errno;
  add_one(&faults->waiting);
  while (is_set(&faults->stalls)) syscall(SYS_futex, &faults->stalls, FUTEX_WAIT, 1, NULL, NULL, 0);
  errno = error;
}

static int sync_fails(int fd) {
  if (faults == NULL || !is_set(&faults->syncs_fail) || !is_journal(fd)) return 0;
  add_one(&faults->failed);
  errno = EIO;
  return 1;
}

#pragma GCC visibility push(default)

// Calls the function of the C library that has the name of this one.
#define REAL(type, ...)             \
  static type (*real)(__VA_ARGS__); \
  if (real == NULL) *(void**)&real = dlsym(RTLD_NEXT, __func__)

ssize_t write(int fd, const void* bytes, size_t count) {
  REAL(ssize_t, int, const void*, size_t);
  wait_for_disk(fd);
  return real(fd, bytes, count);
}

ssize_t pwrite(int fd, const void* bytes, size_t count, off_t at) {
  REAL(ssize_t, int, const void*, size_t, off_t);
  wait_for_disk(fd);
  return real(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void* bytes, size_t count, off64_t at) {
  REAL(ssize_t, int, const void*, size_t, off64_t);
  wait_for_disk(fd);
  return real(fd, bytes, count, at);
}

int fsync(int fd) {
  REAL(int, int);
  wait_for_disk(fd);
  const int done = real(fd);
  return sync_fails(fd) ? -1 : done;
}

int fdatasync(int fd) {
  REAL(int, int);
  wait_for_disk(fd);
  const int done = real(fd);
  return sync_fails(fd) ? -1 : done;
}

int clock_gettime(clockid_t clock, struct timespec* time) {
  REAL(int, clockid_t, struct timespec*);
  const int done = real(clock, time);
  if (done != 0 || clock != CLOCK_REALTIME || faults == NULL) return done;
  const int64_t kSecond = 1000000000;
  const int64_t now =
      time->tv_sec * kSecond + time->tv_nsec + __atomic_load_n(&faults->ahead_ns, __ATOMIC_SEQ_CST);
  time->tv_sec = now / kSecond;
  time->tv_nsec = now % kSecond;
  return 0;
}
