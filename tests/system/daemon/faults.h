// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The faults that a test causes in a knelld that runs with faulty_libc.c: in memory shared with it.
#pragma once

#include <stdint.h>

// The members that are `int` are futexes.
struct knell_faults {
  int stalls;        // 1: calls that write to a journal wait
  int waiting;       // number of calls that have begun to wait
  int syncs_fail;    // 1: fsync(2) of a journal fails with EIO, after it has written
  int failed;        // number of failed calls
  int64_t ahead_ns;  // added to CLOCK_REALTIME
};
