// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// exit_with STATUS [after-eof] [WORD...]: exits with STATUS; with after-eof, when its standard
// input has ended.
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc < 2) return 99;
  if (argc > 2 && strcmp(argv[2], "after-eof") == 0) {
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
  }
  return atoi(argv[1]);
}
