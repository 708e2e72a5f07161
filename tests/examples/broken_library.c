// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A library that is loaded before libknell: its listener returns one exit and one loss, and then an
// error at every read.
#include <errno.h>
#include <knell/knell.h>
#include <string.h>
#include <sys/eventfd.h>

static int reads;

int knell_open(const struct knell_options* options, struct knell_listener** ret_knell) {
  (void)options;
  *ret_knell = (struct knell_listener*)&reads;
  return 0;
}

int knell_fd(const struct knell_listener* k) {
  static int fd = -1;
  (void)k;
  if (fd < 0) fd = eventfd(1, EFD_CLOEXEC);  // always readable
  return fd;
}

ssize_t knell_read(struct knell_listener* k, const struct knell_event** ret_events, size_t count) {
  static struct knell_event event;
  (void)k;
  (void)count;
  memset(&event, 0, sizeof event);
  event.size = sizeof event;
  *ret_events = &event;
  switch (reads++) {
    case 0:
      event.type = KNELL_EVENT_EXIT;
      event.has = KNELL_HAS_STATUS;
      event.pid = 42;
      event.wait_status = 7 << 8;
      event.comm.data = "sh";
      event.comm.size = 2;
      return 1;
    case 1:
      event.type = KNELL_EVENT_LOST;
      return 1;
    case 2:
      return 0;
    default:
      return -EIO;
  }
}

const char* knell_explain(void) { return "the source broke"; }

void knell_close(struct knell_listener* k) { (void)k; }
