// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// one_exit PID: prints the exit of the process as JSON. The three programs in this folder do the
// same.
#include <knell/knell.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  struct knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_EXIT;
  options.via = KNELL_VIA_PIDFD;
  struct knell_listener* k;
  if (knell_open(&options, &k) < 0 || knell_add(k, atoi(argv[1]), 0, 0) < 0)
    return fprintf(stderr, "%s\n", knell_explain()), 1;
  puts("ready");
  fflush(stdout);
  struct pollfd ready = {knell_fd(k), POLLIN, 0};
  const struct knell_event* event;
  ssize_t n;
  while ((n = knell_read(k, &event, 1)) == 0) poll(&ready, 1, -1);
  char json[65536];
  if (n < 0 || knell_event_json(event, json, sizeof json) < 0)
    return fprintf(stderr, "%s\n", knell_explain()), 1;
  puts(json);
  knell_close(k);
}
