// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// low_memory_killer CGROUP_PROCS [PRESSURE [STALL_MS]]: kills one of the processes that the file
// CGROUP_PROCS lists, each time when processes waited for memory for STALL_MS (200) within 2 s.
// PRESSURE is the file of the pressure stall information (/proc/pressure/memory). Other windows need
// CAP_SYS_RESOURCE.
//
// The victim is the process with the highest oom_score_adj, and of these the one with the highest
// oom_score. knell_kill() returns when the memory of the victim is free: only then does the next
// pressure count. A victim that does not end in time is left to itself, and the next one is killed.
// Prints a line for each victim. Ends when no process is left.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <knell/knell.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MOST_STUCK 64

static pid_t stuck[MOST_STUCK];  // victims that did not end in time
static size_t stuck_count;

static int is_stuck(pid_t pid) {
  for (size_t i = 0; i < stuck_count; ++i)
    if (stuck[i] == pid) return 1;
  return 0;
}

// Reads a file into `buffer`; returns its length, or -1. stdio is not used: it allocates.
static ssize_t read_file(const char* path, char* buffer, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t length = 0;
  ssize_t n;
  while (length < size - 1 && (n = read(fd, buffer + length, size - 1 - length)) > 0)
    length += (size_t)n;
  close(fd);
  buffer[length] = '\0';
  return (ssize_t)length;
}

// A number in a file of /proc/PID; `missing` if the process has ended.
static long number_of(pid_t pid, const char* file, long missing) {
  char path[64], text[32];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  return read_file(path, text, sizeof text) > 0 ? strtol(text, NULL, 10) : missing;
}

static pid_t choose(const char* procs) {
  static char list[1 << 16];
  if (read_file(procs, list, sizeof list) < 0) return -1;
  pid_t victim = 0;
  long adjustment = -1001, score = -1;
  for (char *at = list, *end; (end = strchr(at, '\n')) != NULL; at = end + 1) {
    const pid_t pid = atoi(at);
    const long one = number_of(pid, "oom_score_adj", -1000);  // -1000: never to be killed
    if (pid == getpid() || is_stuck(pid) || one <= -1000 || one < adjustment) continue;
    const long other = number_of(pid, "oom_score", 0);
    if (one == adjustment && other <= score) continue;
    victim = pid;
    adjustment = one;
    score = other;
  }
  return victim;
}

static double milliseconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

int main(int argc, char** argv) {
  if (argc < 2 || argc > 4)
    return fprintf(stderr, "low_memory_killer CGROUP_PROCS [PRESSURE [MS]]\n"), 2;
  const char* pressure = argc > 2 ? argv[2] : "/proc/pressure/memory";
  char trigger[64];
  const int stall_ms = argc > 3 ? atoi(argv[3]) : 200;
  const int length = snprintf(trigger, sizeof trigger, "some %d 2000000", stall_ms * 1000);
  const int fd = open(pressure, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 || write(fd, trigger, (size_t)length + 1) < 0)
    return fprintf(stderr, "%s: %s\n", pressure, strerror(errno)), 1;
  // From here on nothing needs more memory.
  mlockall(MCL_CURRENT);
  setvbuf(stdout, NULL, _IONBF, 0);
  puts("watching");

  const struct timespec patience = {2, 0};
  struct pollfd ready = {fd, POLLPRI, 0};
  pid_t victim;
  while ((victim = choose(argv[1])) > 0) {
    if (poll(&ready, 1, 1000) <= 0) continue;  // looks once a second whether a process is left
    if (ready.revents & POLLERR) return fprintf(stderr, "%s has gone\n", pressure), 1;
    if ((victim = choose(argv[1])) <= 0) break;
    struct knell_event event = {.size = sizeof event};
    const double began = milliseconds();
    const int error = knell_kill(victim, SIGKILL, &patience, &event);
    const double took = milliseconds() - began;
    if (error == 0) {
      printf("%d ended, memory free after %.1f ms\n", (int)victim, took);
    } else if (error == -ESRCH) {
      printf("%d had ended\n", (int)victim);
    } else {
      printf("%d: %s\n", (int)victim, knell_explain());
      if (stuck_count < MOST_STUCK) stuck[stuck_count++] = victim;
    }
  }
  puts("no process is left");
  return 0;
}
