// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// postgres_monitor POSTMASTER NAME CLEANUP: watches the server processes ("backends") of a
// PostgreSQL whose first process is POSTMASTER, and runs `CLEANUP PID HOW` for each that crashed.
// HOW is "first" for the one that crashed, and "cascade" for those that the postmaster ends because
// of it. Needs knelld. Ends when the postmaster has ended.
//
// An exit with status 0 or 1 is no crash for PostgreSQL: a client went away, or an error or an
// administrator (pg_terminate_backend) ended the session. Nothing is cleaned up then; knelld does
// not even send an exit with 0.
//
// NAME is the name of the durable listener. This program acknowledges a crash after its cleanup. If
// it is killed before that, it receives the crash again. Crashes that happen while it does not run
// are delivered when it runs again, also those of an earlier postmaster. So CLEANUP must be
// idempotent. `CLEANUP 0 lost` runs when events were lost: then any process may have crashed, and
// CLEANUP has to check all of them.
#include <poll.h>
#include <unistd.h>

#include <climits>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <knell/knell.hpp>
#include <string>
#include <string_view>

namespace {

// The status of a backend that the postmaster stops by SIGQUIT because another one crashed.
constexpr int kCascadeStatus = 2;

class Monitor {
 public:
  Monitor(pid_t postmaster, std::string cleanup)
      : postmaster_(postmaster), cleanup_(std::move(cleanup)) {}
  int run(const std::string& name);

 private:
  bool open(const std::string& name);
  bool handle_crashes();
  bool postmaster_ended();
  void on_crash(const knell_event& event);
  void clean_up(pid_t pid, const char* how);

  pid_t postmaster_;
  std::string cleanup_;
  knell::Listener crashes_, shutdown_;
};

int fail() { return std::cerr << knell::explain() << '\n', 1; }

std::string_view title(const knell_event& event) {
  const std::string_view args = knell::view(event.args);
  return args.empty() ? knell::view(event.comm) : args.substr(0, args.find('\0'));
}

// The parent of a backend has the name of this PostgreSQL's program; the parent of the postmaster
// has another name.
bool is_backend(const knell_event& event) {
  return event.parent_comm.data == nullptr || knell::view(event.parent_comm) == "postgres";
}

bool is_cascade(const knell_event& event) {
  if ((event.has & KNELL_HAS_LAST_SIGNAL_PID) != 0 && event.last_signal.signal == SIGQUIT)
    return event.last_signal.pid == event.ppid;
  if ((event.has & KNELL_HAS_KILLER_PID) != 0) return event.killed_by.pid == event.ppid;
  return knell::exit_code(event) == kCascadeStatus;  // only bpf reports the sender of a signal
}

void print_asker(const knell_event& event) {
  if ((event.has & KNELL_HAS_LAST_SIGNAL_PID) != 0)
    std::cout << ", asked by " << event.last_signal.pid << ' '
              << knell::view(event.last_signal.comm) << " (uid " << event.last_signal.uid << ')';
  std::cout << std::endl;
}

void Monitor::clean_up(pid_t pid, const char* how) {
  const std::string command = cleanup_ + ' ' + std::to_string(pid) + ' ' + how;
  if (std::system(command.c_str()) != 0) std::cout << "the cleanup of " << pid << " failed\n";
}

void Monitor::on_crash(const knell_event& event) {
  if (event.type == KNELL_EVENT_LOST) {
    std::cout << "events were lost: any process may have crashed" << std::endl;
    return clean_up(0, "lost");
  }
  if (!is_backend(event)) return;
  if (knell::exit_code(event) == 1) {
    std::cout << event.pid << " session ended: exit 1";
    return print_asker(event);
  }
  const char* const how = is_cascade(event) ? "cascade" : "first";
  std::cout << event.pid << ' ' << how << ": " << knell::ended(event) << ", " << title(event);
  if ((event.has & KNELL_HAS_KILLER_PID) != 0)
    std::cout << ", by " << event.killed_by.pid << ' ' << knell::view(event.killed_by.comm);
  std::cout << std::endl;
  clean_up(event.pid, how);
}

// Handles the crashes that were received. Returns false on an error.
bool Monitor::handle_crashes() {
  for (;;) {
    std::error_code error;
    // One at a time: reading the next event acknowledges the one before.
    const knell_event* event = nullptr;
    if (crashes_.read({&event, 1}, error).empty()) return !error;
    on_crash(*event);
    if (crashes_.ack(*event)) return false;
  }
}

bool Monitor::postmaster_ended() {
  std::error_code error;
  for (const knell_event& event : shutdown_.read(error)) {
    if (event.type != KNELL_EVENT_EXIT) continue;
    std::cout << "postmaster " << event.pid << " ended: " << knell::ended(event);
    print_asker(event);
    return true;
  }
  return static_cast<bool>(error);
}

bool Monitor::open(const std::string& name) {
  char program[PATH_MAX];
  const std::string link = "/proc/" + std::to_string(postmaster_) + "/exe";
  const ssize_t size = ::readlink(link.c_str(), program, sizeof program);
  if (size < 0) return std::cerr << "there is no process " << postmaster_ << '\n', false;
  knell::Options options;
  options.via = KNELL_VIA_DAEMON;
  options.events = KNELL_EVENT_NONZERO_EXIT;
  options.durable = name.c_str();
  crashes_ = knell::Listener(options);
  if (crashes_.match("exe", {program, static_cast<size_t>(size)})) return fail(), false;

  knell::Options one;
  one.via = KNELL_VIA_DAEMON;
  one.events = KNELL_EVENT_EXIT;
  one.only_added = 1;
  shutdown_ = knell::Listener(one);
  // From here on knelld stores each crash.
  if (shutdown_.add(postmaster_) || crashes_.flush_acks()) return fail(), false;
  return true;
}

int Monitor::run(const std::string& name) {
  if (!open(name)) return 3;
  std::cout << "watching " << postmaster_ << std::endl;
  for (;;) {
    if (!handle_crashes()) return fail();
    // Crashes that are not received by then are delivered to the monitor of the next postmaster.
    if (postmaster_ended()) return handle_crashes() ? 0 : fail();
    pollfd ready[] = {{crashes_.fd(), POLLIN, 0}, {shutdown_.fd(), POLLIN, 0}};
    if (::poll(ready, 2, -1) < 0 && errno != EINTR) return 1;
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 4) return std::cerr << "postgres_monitor POSTMASTER NAME CLEANUP\n", 2;
  return Monitor(std::atoi(argv[1]), argv[3]).run(argv[2]);
} catch (const knell::OpenError& error) {
  return std::cerr << error.what() << '\n', 3;
}
