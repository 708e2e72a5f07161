#include <knell/knell.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  struct timespec five = {5, 0};
  struct knell_event e = {.size = sizeof e};
  char how[32];
  if (argc != 2) return fprintf(stderr, "usage: wait PID\n"), 2;
  if (knell_wait(atoi(argv[1]), &five, &e) < 0) return fprintf(stderr, "%s\n", knell_explain()), 1;
  knell_event_ended(&e, how, sizeof how);
  puts(how);
}
