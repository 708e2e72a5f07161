// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace knell::test {

// Each function returns what this machine or user lacks for a test, as text, and an empty string
// when nothing is missing. They ask the system itself, never libknell: a library that cannot open
// the connector must fail tests, not skip them.
std::string
lacks_connector();  // the process events connector, reachable from these namespaces by this user
std::string lacks_kernel_filter();  // Linux 6.6: by behaviour, an ack to an eight byte request
std::string lacks_bpf();            // root, and a kernel with BTF
std::string lacks_root();
std::string lacks_shell();                        // /bin/sh
std::string lacks_file(const std::string& path);  // `path`: a program, or a file of /proc
std::string lacks_core_files();  // kernel.core_pattern writes into the working directory
std::string only_in_vm();        // for tests that would disturb other users of the machine
std::string not_in_vm();         // for tests that need more memory or programs than the guest has

// Whether this is a guest of tests/vm (KNELL_IN_VM=1), which has one emulated processor and little
// more than busybox.
bool in_vm();
// How often to repeat a test whose result depends on chance: `count`, fewer in a guest.
int repetitions(int count);

}  // namespace knell::test

// Skips the test when `reason`, the result of one of the functions above, is not empty.
#define KNELL_NEEDS(reason)                                                  \
  do {                                                                       \
    if (const std::string why = (reason); !why.empty()) GTEST_SKIP() << why; \
  } while (false)
