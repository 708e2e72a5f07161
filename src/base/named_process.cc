// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/named_process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <string_view>

#include "base/pidfd.h"
#include "base/proc_stat.h"

namespace knell {
namespace {

std::unexpected<Error> is_thread(pid_t id, pid_t process) {
  return say(ESRCH, std::to_string(id) + " is a thread of process " + std::to_string(process) +
                        ", not a process");
}

// Whether /proc has the pids of this pid namespace.
bool is_proc_ours() {
  std::array<char, 16> text;
  const ssize_t n = ::readlink("/proc/self", text.data(), text.size());
  return n > 0 &&
         std::string_view(text.data(), static_cast<size_t>(n)) == std::to_string(::getpid());
}

}  // namespace

Result<UniqueFd> open_named_process(pid_t pid, uint64_t start) {
  if (pid <= 0) return say(EINVAL, "a process id must be above 0, not " + std::to_string(pid));
  auto pidfd = try_pidfd_open(pid);
  if (const auto process = !pidfd ? process_of_thread(pid) : std::nullopt)
    return is_thread(pid, *process);
  if (!pidfd && pidfd.error() == ESRCH) return no_pidfd(pid, ESRCH);
  // Read after the pidfd is open, so that the start is that of the process it refers to.
  const auto stat = start != 0 ? read_proc_stat(pid) : std::nullopt;
  if (stat && stat->start != start)
    return say(ESRCH,
               "process " + std::to_string(pid) + " has another start time: its pid was reused");
  return pidfd ? *std::move(pidfd) : UniqueFd();
}

uint64_t start_of_named(pid_t pid, int pidfd) {
  const auto stat = is_proc_ours() ? read_proc_stat(pid) : std::nullopt;
  // Until it is reaped no other process gets its pid, so the file was its own.
  if (!stat || (pidfd >= 0 && send_signal(pidfd, 0) == ESRCH)) return 0;
  return stat->start;
}

// For a thread that is not the leader of its process the kernel returns EINVAL, and from 6.16 on
// ENOENT.
std::unexpected<Error> no_pidfd(pid_t pid, int error) {
  if (error == ENOSYS || error == EPERM)
    return say(EPROTONOSUPPORT,
               "this kernel has no descriptors for processes (pidfd_open, Linux 5.3), or a seccomp "
               "filter denies them");
  if (error == EINVAL || error == ENOENT) {
    if (const auto process = process_of_thread(pid)) return is_thread(pid, *process);
    error = ESRCH;
  }
  if (error == ESRCH) return say(ESRCH, "there is no process " + std::to_string(pid));
  return make_error(error, "watch process " + std::to_string(pid));
}

bool process_exists(pid_t pid) { return ::kill(pid, 0) == 0 || errno != ESRCH; }

Life life_of(pid_t pid, uint64_t start, UniqueFd& ret_pidfd) {
  auto pidfd = try_pidfd_open(pid);
  const int error = pidfd ? 0 : pidfd.error();
  // EINVAL, ENOENT: a thread of another process has the pid.
  if (error == ESRCH || error == EINVAL || error == ENOENT) return Life::kEnded;
  // Read after the pidfd is open, so that the start is that of the process it refers to. Cannot be
  // read without a free descriptor, and on a /proc that hides other users' processes.
  const auto stat = start != 0 || !pidfd ? read_proc_stat(pid) : std::nullopt;
  if (stat && start != 0 && stat->start != start) return Life::kEnded;  // its pid was reused
  if (pidfd) {
    const bool dead = is_dead(pidfd->get());
    if (!dead || start == 0 || stat) ret_pidfd = *std::move(pidfd);
    return dead ? Life::kEnded : Life::kAlive;
  }
  if (!process_exists(pid) || process_of_thread(pid)) return Life::kEnded;
  if (!stat) return error == EMFILE || error == ENFILE ? Life::kUnknown : Life::kAlive;
  // A leader that has exited is a zombie, too, while other threads run.
  const bool is_zombie = stat->state == 'Z' || stat->state == 'X';
  return is_zombie && stat->threads <= 1 ? Life::kEnded : Life::kAlive;
}

std::optional<pid_t> process_of_thread(pid_t id) {
  const UniqueFd fd(
      ::open(("/proc/" + std::to_string(id) + "/status").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 1024> buffer;  // Tgid is the fourth line
  const ssize_t n = fd ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
  if (n <= 0) return std::nullopt;
  const std::string_view text(buffer.data(), static_cast<size_t>(n));
  constexpr std::string_view kKey = "\nTgid:\t";
  const size_t at = text.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  pid_t process = 0;
  std::from_chars(text.data() + at + kKey.size(), text.data() + text.size(), process);
  if (process <= 0 || process == id) return std::nullopt;
  return process;
}

}  // namespace knell
