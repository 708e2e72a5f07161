#include <errno.h>
#include <knell/knell.h>
#include <poll.h>
#include <stdio.h>

int main(void) {
  struct knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  struct knell_listener *k;
  if (knell_open(&options, &k) < 0) return fprintf(stderr, "%s\n", knell_explain()), 3;
  struct pollfd ready = {knell_fd(k), POLLIN, 0};
  ssize_t n = 0;
  while (n >= 0 && fflush(stdout) == 0) {
    if (poll(&ready, 1, -1) < 0 && errno != EINTR) return perror("poll"), 1;
    const struct knell_event *e;
    while ((n = knell_read(k, &e, 1)) == 1) {
      char how[32];
      if (e->type == KNELL_EVENT_LOST)
        puts("some exits were lost");
      else if (knell_event_ended(e, how, sizeof how) >= 0)
        printf("%d %.*s: %s\n", e->pid, (int)e->comm.size,
               e->comm.data ? e->comm.data : "", how);
    }
  }
  if (n < 0) fprintf(stderr, "%s\n", knell_explain());
  knell_close(k);
  return 1;
}
