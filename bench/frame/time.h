// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace knell::bench {

uint64_t now_ns();                  // CLOCK_MONOTONIC, what the kernel stamps events with
void rest(uint64_t ns);             // sleeps; ends early only when interrupted() is set
void rest_until(uint64_t mono_ns);  // the same, by absolute time: for loads that must not drift

// Ctrl-C or SIGTERM came: storms end early, a case stops after the turn in hand, and what was
// measured so far is printed and said to be partial.
void catch_interrupts();
bool interrupted();
int interrupted_by();  // the signal, 0: none

}  // namespace knell::bench
