// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

// The programs of the next version of knelld, for the test of an upgrade. They differ only in their
// stamps, which are always odd, so a test can see which version has sent a record.
#define bpf_ktime_get_ns() (bpf_ktime_get_ns() | 1)
#include "../../src/source/bpf/programs.bpf.c"
