// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A C11 program of a user of the library: uses functions that need no privilege, with the installed
// files.
#define _POSIX_C_SOURCE 200809L
#include <knell/knell.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int fail(const char* what, int result) {
  fprintf(stderr, "user.c: %s: %d: %s\n", what, result, knell_explain());
  return 1;
}

int main(void) {
  uint32_t mask = 0;
  int result = knell_events_parse("exec,exit", &mask);
  if (result != 0) return fail("knell_events_parse", result);

  char names[64];
  if (knell_events_text(mask, names, sizeof names) < 0 || strcmp(names, "exec,exit") != 0)
    return fail(names, 0);

  pid_t child = fork();
  if (child == 0) _exit(7);
  struct timespec limit = {10, 0};
  struct knell_event event = {.size = sizeof event};
  result = knell_wait(child, &limit, &event);
  if (result != 0) return fail("knell_wait", result);
  if (event.pid != child || !(event.has & KNELL_HAS_STATUS) || WEXITSTATUS(event.wait_status) != 7)
    return fail("the exit of a child", event.wait_status);
  int status = 0;
  if (waitpid(child, &status, 0) != child) return fail("the child is still ours to reap", 0);
  printf("C11: libknell %s\n", knell_version());
  return 0;
}
