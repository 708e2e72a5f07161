/* SPDX-FileCopyrightText: The knell authors */
/* SPDX-License-Identifier: Apache-2.0 */

/* torture_storm NAME LIST: for each line with a number N on standard input, makes N processes one
 * after another and prints "done N". One in ten ends with a status other than 0, of these one in
 * seven by a signal. LIST gets a line "PID START STATUS" for each of those, as waitpid(2) and
 * /proc report them: START in clock ticks since boot, STATUS the raw wait status. All processes
 * have the name NAME. Ends with its input. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static const int kSignals[] = {SIGKILL, SIGSEGV, SIGTERM, SIGABRT};
enum { kFailedOneIn = 10, kSignalledOneIn = 7 };

/* Field 22 of /proc/PID/stat of a process that is not reaped; 0: it cannot be read. */
static unsigned long long start_of(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE* file = fopen(path, "re");
  if (file == NULL) return 0;
  const size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[size] = '\0';
  const char* at = strrchr(text, ')');
  for (int field = 2; at != NULL && field < 22; ++field) at = strchr(at + 1, ' ');
  return at == NULL ? 0 : strtoull(at, NULL, 10);
}

static int make_one(long number, FILE* list) {
  const int failed = number % kFailedOneIn == 0;
  const long failure = number / kFailedOneIn;
  const int signal =
      failed && failure % kSignalledOneIn == 0 ? kSignals[failure / kSignalledOneIn % 4] : 0;
  /* Children share the memory of this process until they end: no copies are made. */
  const pid_t pid = vfork();
  if (pid == 0) {
    if (signal != 0) kill(getpid(), signal);
    _exit(failed ? 1 + (int)(failure % 255) : 0);
  }
  if (pid < 0) return -1;
  unsigned long long start = 0;
  if (failed) {
    siginfo_t info;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0) return -1;
    start = start_of(pid);
    if (start == 0) return -1;
  }
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) return -1;
  if (failed && fprintf(list, "%d %llu %d\n", (int)pid, start, status) < 0) return -1;
  return 0;
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const struct rlimit none = {0, 0}; /* no core files */
  FILE* list = fopen(argv[2], "we");
  if (list == NULL || setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_NAME, argv[1]) != 0)
    return 1;
  char line[64];
  long number = 0;
  while (fgets(line, sizeof line, stdin) != NULL) {
    const long count = strtol(line, NULL, 10);
    for (long i = 0; i < count; ++i)
      if (make_one(++number, list) != 0) {
        perror("torture_storm");
        return 1;
      }
    if (fflush(list) != 0) return 1;
    printf("done %ld\n", count);
    if (fflush(stdout) != 0) return 1;
  }
  return fclose(list) == 0 ? 0 : 1;
}
