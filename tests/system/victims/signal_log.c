// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// signal_log LAST [FILE]: writes "ready PID", then a line "SIGNAL CODE VALUE" for each signal it
// gets, to standard output or appended to FILE; ends with 0 after signal LAST.
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void say(const char* line) {
  if (write(STDOUT_FILENO, line, strlen(line)) < 0) _exit(3);
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  const int last = atoi(argv[1]);
  if (argc > 2) {
    const int fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0) return 2;
  }
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  char line[80];
  snprintf(line, sizeof line, "ready %d\n", (int)getpid());
  say(line);
  for (;;) {
    siginfo_t info;
    const long signal = syscall(SYS_rt_sigtimedwait, &all, &info, NULL, _NSIG / 8);
    if (signal < 0) continue;
    const int value = info.si_code == SI_QUEUE ? info.si_value.sival_int : 0;
    snprintf(line, sizeof line, "%ld %d %d\n", signal, info.si_code, value);
    say(line);
    if (signal == last) return 0;
  }
}
