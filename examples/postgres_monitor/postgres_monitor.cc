// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// postgres_monitor POSTMASTER STATE CLEANUP: watches the server processes ("backends") of a
// PostgreSQL whose first process is POSTMASTER, and runs `CLEANUP PID HOW` for each that crashed.
// HOW is "first" for the one that crashed, "cascade" for those that the postmaster ends because of
// it, and "missed" for one that ended while this monitor did not run. CLEANUP must be idempotent:
// if the monitor is killed while it runs, it runs again.
//
// An exit with status 0 or 1 is no crash for PostgreSQL: a client went away, or an error or an
// administrator (pg_terminate_backend) ended the session. Nothing is cleaned up then; the second
// kind is printed.
//
// The file STATE names the backends that are alive or not yet cleaned up, `PID START` a line. A
// backend is removed from it after its cleanup. So after a restart of the monitor those that are in
// it, but no longer alive, are the missed ones: a process with the same pid has another start.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <knell/knell.hpp>
#include <map>
#include <optional>
#include <string>

namespace {

// How a backend ends when the postmaster asks it to because another one crashed: it gets SIGQUIT
// and exits with status 2.
constexpr int kCascadeStatus = 2;

class Monitor {
 public:
  Monitor(pid_t postmaster, std::string state, std::string cleanup)
      : postmaster_(postmaster), state_(std::move(state)), cleanup_(std::move(cleanup)) {}
  int run();

 private:
  void find_missed(knell::Listener& listener);
  bool on_event(const knell_event& event);
  void on_exit(const knell_event& event);
  void clean_up(pid_t pid, const char* how);
  void save() const;

  pid_t postmaster_;
  std::string state_, cleanup_;
  std::map<pid_t, uint64_t> backends_;  // with the start of each
  bool crashed_ = false;                // the postmaster is ending the others
};

// Returns only when the new file is complete, so that a crash leaves the old one or the new one.
void Monitor::save() const {
  const std::string next = state_ + ".new";
  {
    std::ofstream out(next);
    for (const auto& [pid, start] : backends_) out << pid << ' ' << start << '\n';
  }
  if (std::rename(next.c_str(), state_.c_str()) != 0) std::perror(state_.c_str());
}

void Monitor::clean_up(pid_t pid, const char* how) {
  const std::string command = cleanup_ + ' ' + std::to_string(pid) + ' ' + how;
  if (std::system(command.c_str()) != 0) std::cout << "the cleanup of " << pid << " failed\n";
  backends_.erase(pid);
  save();
}

// The listener is open already: what ends from now on is an event.
void Monitor::find_missed(knell::Listener& listener) {
  std::map<pid_t, uint64_t> alive;
  const std::error_code error = listener.snapshot([&](const knell_event& process) {
    if (process.ppid == postmaster_ && process.id.kind == KNELL_ID_START)
      alive[process.pid] = process.id.start;
  });
  if (error) std::cout << "cannot list the processes: " << knell::explain() << '\n';
  std::ifstream in(state_);
  std::map<pid_t, uint64_t> known;
  for (std::pair<pid_t, uint64_t> one; in >> one.first >> one.second;) known.insert(one);
  backends_ = alive;
  for (const auto& [pid, start] : known) {
    if (const auto found = alive.find(pid); found != alive.end() && found->second == start)
      continue;
    std::cout << pid << " ended while the monitor did not run\n";
    backends_.emplace(pid, start);  // until it is cleaned up
    clean_up(pid, "missed");
  }
  save();
}

void Monitor::on_exit(const knell_event& event) {
  const auto code = knell::exit_code(event);
  if (!code || *code > 1) {
    const bool cascade = crashed_ && code == kCascadeStatus;
    const std::string title(knell::view(event.args).substr(0, knell::view(event.args).find('\0')));
    std::cout << event.pid << ' ' << (cascade ? "cascade: " : "first: ") << knell::ended(event)
              << ", " << (title.empty() ? knell::view(event.comm) : std::string_view(title));
    if ((event.has & KNELL_HAS_KILLER_PID) != 0)
      std::cout << ", by " << event.killed_by.pid << ' ' << knell::view(event.killed_by.comm);
    std::cout << std::endl;
    crashed_ = true;
    clean_up(event.pid, cascade ? "cascade" : "first");
    return;
  }
  if (*code == 1) {
    std::cout << event.pid << " session ended: exit 1";
    if ((event.has & KNELL_HAS_LAST_SIGNAL_PID) != 0)
      std::cout << ", asked by " << event.last_signal.pid << ' '
                << knell::view(event.last_signal.comm);
    std::cout << std::endl;
  }
  backends_.erase(event.pid);
  save();
}

// Returns false when the postmaster has ended.
bool Monitor::on_event(const knell_event& event) {
  switch (event.type) {
    case KNELL_EVENT_FORK:
      if (event.pid != postmaster_) break;
      // A new server process: the postmaster starts none while it ends the others.
      crashed_ = false;
      backends_[event.child_pid] = event.child_id.start;
      save();
      break;
    case KNELL_EVENT_EXIT:
      if (event.pid == postmaster_) {
        std::cout << "the postmaster ended: " << knell::ended(event);
        if ((event.has & KNELL_HAS_LAST_SIGNAL_PID) != 0)
          std::cout << ", asked by " << event.last_signal.pid << ' '
                    << knell::view(event.last_signal.comm) << " (uid " << event.last_signal.uid
                    << ')';
        std::cout << std::endl;
        return false;
      }
      if (event.ppid == postmaster_ || backends_.contains(event.pid)) on_exit(event);
      break;
    default:
      break;
  }
  return true;
}

int Monitor::run() {
  knell::Options options;
  options.events = KNELL_EVENT_FORK | KNELL_EVENT_EXIT;
  knell::Listener listener(options);
  if (listener.match("under", std::to_string(postmaster_)))
    return std::cerr << knell::explain() << '\n', 1;
  find_missed(listener);
  std::cout << "watching " << backends_.size() << " server processes" << std::endl;
  std::error_code error;
  for (const knell_event& event : listener.events(error)) {
    if (event.type == KNELL_EVENT_LOST)
      find_missed(listener);  // what is missing has ended
    else if (!on_event(event))
      return 0;
  }
  return std::cerr << knell::explain() << '\n', 1;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) return std::cerr << "postgres_monitor POSTMASTER STATE CLEANUP\n", 2;
  return Monitor(std::atoi(argv[1]), argv[2], argv[3]).run();
} catch (const knell::OpenError& error) {
  return std::cerr << error.what() << '\n', 3;
}
