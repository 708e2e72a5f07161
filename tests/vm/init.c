// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The first process of the guest: static, so that it needs no other file. It mounts the usual file
// systems, runs the programs of /vm/list one after the other, prints how each ended, and ends the
// machine through QEMU's isa-debug-exit: 21 (QEMU exits with 43) when all ended with 0, 22 (45)
// otherwise.
//
// /vm/list: a line is `SECONDS COMMAND`, run by /bin/sh; /vm/env: lines NAME=VALUE.
// Its own output begins with "knell-vm: ", for the script on the host to read.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { kExitPort = 0xf4, kAllPassed = 21, kSomeFailed = 22 };

static double seconds_up(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void mount_at(const char* type, const char* where) {
  (void)mkdir(where, 0755);
  if (mount(type, where, type, 0, NULL) != 0 && errno != EBUSY)
    printf("knell-vm: no %s at %s: %s\n", type, where, strerror(errno));
}

static void set_up(void) {
  mount_at("proc", "/proc");
  mount_at("sysfs", "/sys");
  mount_at("devtmpfs", "/dev");
  mount_at("devpts", "/dev/pts");
  mount_at("tmpfs", "/dev/shm");
  mount_at("cgroup2", "/sys/fs/cgroup");
  // /tmp and /run stay on the root, which is in memory anyway: the tested tree may be in them.
  (void)chmod("/tmp", 01777);
  (void)chmod("/dev/shm", 01777);
  (void)symlink("/proc/self/fd", "/dev/fd");

  struct ifreq lo = {.ifr_name = "lo"};
  const int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  lo.ifr_flags = IFF_UP;
  if (sock >= 0) {
    (void)ioctl(sock, SIOCSIFFLAGS, &lo);
    close(sock);
  }
}

static void read_environment(void) {
  char* line = NULL;
  size_t size = 0;
  FILE* file = fopen("/vm/env", "re");
  clearenv();
  while (file && getline(&line, &size, file) > 0) {
    line[strcspn(line, "\n")] = '\0';
    if (strchr(line, '=')) putenv(strdup(line));
  }
  if (file) fclose(file);
  free(line);
}

// Waits for `child`, and reaps orphans in the meantime; false: `limit` seconds have passed.
static int wait_for(pid_t child, double limit, int* status) {
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  const double deadline = seconds_up() + limit;
  for (;;) {
    int any = 0;
    for (pid_t pid; (pid = waitpid(-1, &any, WNOHANG)) > 0;) {
      if (pid != child) continue;
      *status = any;
      return 1;
    }
    const double left = deadline - seconds_up();
    if (left <= 0) return 0;
    const struct timespec pause = {(time_t)left, (long)((left - (double)(time_t)left) * 1e9)};
    (void)sigtimedwait(&chld, NULL, &pause);
  }
}

static int run(const char* command, double limit) {
  const double began = seconds_up();
  int status = 0;
  const pid_t child = fork();
  if (child == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setsid();
    if (chdir("/tmp") != 0) _exit(126);
    execl("/bin/sh", "sh", "-c", command, (char*)NULL);
    _exit(127);
  }
  const int over = wait_for(child, limit, &status);
  if (!over) {
    kill(-1, SIGKILL);  // kills all processes but this one
    (void)wait_for(child, 5, &status);
  }
  char how[64];
  if (!over)
    snprintf(how, sizeof how, "timed out");
  else if (WIFSIGNALED(status))
    snprintf(how, sizeof how, "signal %d", WTERMSIG(status));
  else
    snprintf(how, sizeof how, "status %d", WEXITSTATUS(status));
  printf("\nknell-vm: %s after %.1f s: %s\n", how, seconds_up() - began, command);
  return over && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  const double up = seconds_up();
  set_up();
  read_environment();
  sigset_t chld;
  sigemptyset(&chld);
  sigaddset(&chld, SIGCHLD);
  sigprocmask(SIG_BLOCK, &chld, NULL);

  struct utsname name;
  uname(&name);
  printf("\nknell-vm: Linux %s, up after %.1f s\n", name.release, up);

  int all = 1;
  char* line = NULL;
  size_t size = 0;
  FILE* list = fopen("/vm/list", "re");
  if (!list) all = 0;
  while (list && getline(&line, &size, list) > 0) {
    char* command = NULL;
    line[strcspn(line, "\n")] = '\0';
    const double limit = strtod(line, &command);
    if (*command == ' ') all &= run(command + 1, limit);
  }
  printf("knell-vm: done\n");
  fflush(stdout);
  tcdrain(STDOUT_FILENO);
  sync();
  if (ioperm(kExitPort, 4, 1) == 0) outb(all ? kAllPassed : kSomeFailed, kExitPort);
  reboot(RB_POWER_OFF);
  return 1;
}
