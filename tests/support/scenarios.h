// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "support/stage.h"

// Ways to fork and to die that can mislead a reader of the kernel's thread-level events. Each
// function is a Scenario (stage.h) or returns one. Where a name states an order, the order is
// certain: see settled().
namespace knell::test::scenario {

// ---- births (scenarios_births.cc)
Scenario ends_with(int exit_code);
Scenario killed_by(int signal);
void forked_with_vfork(std::vector<Fate>&);
Scenario vfork_then_exec(int exit_code);
Scenario posix_spawned(int exit_code);
void failed_exec(std::vector<Fate>&);
// Executes a `#!` file in `directory`.
Scenario script(const std::string& directory);
Scenario cloned_with_exit_signal(int signal);  // 0: none
void cloned_as_sibling(std::vector<Fate>&);    // CLONE_PARENT
void init_of_a_pid_namespace(std::vector<Fate>&);
void reaped_by_the_kernel(std::vector<Fate>&);                 // SIGCHLD ignored
void reaped_by_the_kernel_with_nocldwait(std::vector<Fate>&);  // SA_NOCLDWAIT
void orphans(std::vector<Fate>&);                              // a double fork, as daemons do

// ---- threads (scenarios_threads.cc)
void threads_come_and_go(std::vector<Fate>&);
// A worker calls exit(7) while the leader waits
void worker_exits_process(std::vector<Fate>&);
void main_exits_with_workers_alive(std::vector<Fate>&);  // exit(5)
// the leader exits; then a worker calls SYS_exit with 7
void leader_leaves_first(std::vector<Fate>&);
void leader_leaves_first_by_pthread_exit(std::vector<Fate>&);
void leader_leaves_first_then_all_is_well(std::vector<Fate>&);  // then a worker calls exit(0)
void leader_leaves_with_four_worker_exits_nine(std::vector<Fate>&);
// The leader exits with 4, then the worker with 3
void both_leave_leader_first(std::vector<Fate>&);
// The worker exits with 3, then the leader with 4
void both_leave_worker_first(std::vector<Fate>&);
void both_leave_together(std::vector<Fate>&);
void worker_leaves_with_five_process_exits_zero(std::vector<Fate>&);
void leader_leaves_with_five_worker_exits_zero(std::vector<Fate>&);
void sigkill_of_fifty_threads(std::vector<Fate>&);
Scenario exec_from_a_worker(int exit_code);
Scenario exec_from_the_leader_of_many(int exit_code);
// In `directory`, with room for a core file or without.
enum class CoreFile { kNo, kYes };
Scenario core_in_a_worker(const std::string& directory, CoreFile core_file);
Scenario core_in_the_leader(const std::string& directory, CoreFile core_file);

}  // namespace knell::test::scenario
