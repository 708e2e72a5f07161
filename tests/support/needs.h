// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace knell::test {

// Each says in words what this machine or user lacks for a test, and nothing when all is there.
// They ask the system itself, never libknell: a library that cannot open the connector must fail
// tests, not skip them.
std::string
lacks_connector();  // the process events connector, reachable from these namespaces by this user
std::string lacks_kernel_filter();  // Linux 6.6: by behaviour, an ack to an eight byte request
std::string lacks_bpf();            // root, and a kernel with BTF
std::string lacks_root();
std::string lacks_shell();                        // /bin/sh
std::string lacks_file(const std::string& path);  // a program or a file of /proc
std::string lacks_core_files();  // kernel.core_pattern writes into the working directory
std::string only_in_vm();        // what must never be done to a machine in use
std::string not_in_vm();         // what the small guest has no room or programs for

// KNELL_IN_VM=1: in a guest of tests/vm, which has one emulated processor and little besides
// busybox.
bool in_vm();
// How often to repeat what goes one way or another by chance: `count`, fewer in a guest.
int repetitions(int count);

}  // namespace knell::test

// Skips the test when `reason`, one of the above, has something to say.
#define KNELL_NEEDS(reason)                                                  \
  do {                                                                       \
    if (const std::string why = (reason); !why.empty()) GTEST_SKIP() << why; \
  } while (false)
