// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// leader_leaves STATUS: main() ends its thread with pthread_exit; when it is a zombie, a worker
// exits with STATUS.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int leader_is_over(void) {
  char path[64], text[256];
  snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)getpid());
  FILE* file = fopen(path, "re");
  if (file == NULL) return 1;
  const size_t size = fread(text, 1, sizeof text - 1, file);
  fclose(file);
  text[size] = '\0';
  const char* end_of_name = strrchr(text, ')');
  return end_of_name != NULL && (end_of_name[2] == 'Z' || end_of_name[2] == 'X');
}

static void* worker(void* status) {
  while (!leader_is_over()) sched_yield();
  exit(*(int*)status);
}

int main(int argc, char** argv) {
  static int status;  // outlives the stack frame of main
  status = argc > 1 ? atoi(argv[1]) : 99;
  pthread_t thread;
  if (pthread_create(&thread, NULL, worker, &status) != 0) return 99;
  pthread_exit(NULL);
}
