// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Makes a sibling with CLONE_PARENT that exits with 5, waits until it was reaped, and exits with 0.
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void) {
  const pid_t sibling = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, NULL, NULL, NULL, 0);
  if (sibling == 0) _exit(5);
  if (sibling < 0) return 1;
  while (kill(sibling, 0) == 0 || errno != ESRCH) usleep(1000);
  return 0;
}
