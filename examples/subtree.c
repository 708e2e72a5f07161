// Prints, as JSON, each process below PID that fails, from an event loop that waits for signals too.
#include <errno.h>
#include <knell/knell.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static void add(int loop, int fd) {
  struct epoll_event in = {.events = EPOLLIN, .data = {.fd = fd}};
  if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &in) < 0) perror("epoll_ctl");
}

int main(int argc, char **argv) {
  if (argc != 2) return fprintf(stderr, "usage: subtree PID\n"), 2;
  sigset_t stop;
  sigemptyset(&stop);
  sigaddset(&stop, SIGINT);
  sigaddset(&stop, SIGTERM);
  sigprocmask(SIG_BLOCK, &stop, NULL);

  struct knell_options options = KNELL_OPTIONS_INIT;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  struct knell_listener *k;
  // Both predicates must hold; of the comma-separated values any.
  if (knell_open(&options, &k) < 0 || knell_match(k, "under", argv[1]) < 0 ||
      knell_match(k, "ended", "1-255,signal") < 0)
    return fprintf(stderr, "%s\n", knell_explain()), 3;

  const int loop = epoll_create1(EPOLL_CLOEXEC), signals = signalfd(-1, &stop, SFD_CLOEXEC);
  add(loop, knell_fd(k));
  add(loop, signals);
  struct epoll_event ready;
  ssize_t n = 0;
  while (n >= 0) {
    const int count = epoll_wait(loop, &ready, 1, -1);
    if (count < 0 && errno == EINTR) continue;  // stopped, and continued
    if (count < 0 || ready.data.fd == signals) break;
    const struct knell_event *e;
    char line[65536];
    while ((n = knell_read(k, &e, 1)) == 1) {
      const ssize_t bytes = knell_event_json(e, line, sizeof line);
      if (bytes >= 0 && (size_t)bytes < sizeof line) puts(line);
    }
    fflush(stdout);
  }
  if (n < 0) fprintf(stderr, "%s\n", knell_explain());
  knell_close(k);
  return n < 0;
}
