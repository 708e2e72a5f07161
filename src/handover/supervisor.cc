// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The parent process that holds the descriptors. It reads only notifications, and only from its own
// child. Its memory is bounded by kMostStored descriptors.
//
// It handles a stored descriptor as PID 1 does: it polls the descriptor with no events, and drops
// it when it reports EPOLLHUP or EPOLLERR, unless FDPOLL=0 was sent with it. Descriptors that epoll
// refuses are kept without polling. The next child inherits them, and the supervisor keeps its
// own. Notifications are read before the child is reaped, so messages that the child sent before it
// was killed are handled.
//
// A child that was ready and then dies is restarted immediately. A child that dies before it was
// ready, or that cannot be started, is restarted after a pause that doubles up to kMostPause. The
// supervisor ends if a child was never ready, or if a child ends with status 0 or 2 (wrong usage).
//
// While it runs, the supervisor needs no further descriptor, because the limit may be reached: the
// forked child, which has its own table of descriptors, moves them to their numbers.
#include "handover/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <string_view>

#include "base/unique_fd.h"

namespace knell::handover {
namespace {

using std::chrono::milliseconds;

constexpr size_t kMostStored =
    16384;  // chosen, not measured: above FileDescriptorStoreMax= of the unit
constexpr milliseconds kLeastPause{100}, kMostPause{5000};  // chosen, not measured
constexpr int kUsage = 2;
constexpr int kFirst = 3;
constexpr uint64_t kSignalTag = 0, kNotifyTag = 1, kTimerTag = 2, kFirstStored = 3;
constexpr std::array kForwarded{SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGQUIT};

struct Stored {
  std::string name;
  UniqueFd fd;
};

struct Notification {
  bool store = false, remove = false, polled = true, ready = false;
  std::string name;
  std::string rest;  // the lines that do not refer to descriptors
};

Notification parse(std::string_view text) {
  Notification read;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line == "FDSTORE=1")
      read.store = true;
    else if (line == "FDSTOREREMOVE=1")
      read.remove = true;
    else if (line == "FDPOLL=0")
      read.polled = false;
    else if (line.starts_with("FDNAME="))
      read.name = line.substr(line.find('=') + 1);
    else if (!line.empty())
      read.rest.append(line).push_back('\n');
    if (line == "READY=1") read.ready = true;
  }
  return read;
}

class Supervisor {
 public:
  Supervisor(const std::vector<std::string>& command, const SupervisorLog& log)
      : command_(command), log_(log) {}
  Result<int> run();

 private:
  Result<void> open();
  Result<void> start();
  void start_again();
  void start_later();
  [[noreturn]] void become_child();
  void read_notifications();
  void handle(const Notification& read, std::vector<UniqueFd> fds);
  void keep(const std::string& name, UniqueFd fd, bool polled);
  void drop_polled(uint64_t id);
  void forward(const std::string& text) const;
  void on_signal();
  std::optional<int> reap();
  void set_timer(milliseconds after);

  const std::vector<std::string>& command_;
  const SupervisorLog& log_;
  UniqueFd epoll_, signals_, notify_, timer_;
  UniqueFd to_outer_;        // a socket to outer_
  std::string notify_name_;  // for $NOTIFY_SOCKET
  std::string outer_;        // $NOTIFY_SOCKET of the supervisor itself
  std::map<uint64_t, Stored> stored_;
  uint64_t next_ = kFirstStored;
  pid_t child_ = 0;
  bool ready_ = false, ever_ready_ = false, stopping_ = false;
  milliseconds pause_ = kLeastPause;
  sigset_t before_{};
};

Result<void> add(int epoll, int fd, uint64_t tag, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) return errno_error("poll a descriptor");
  return {};
}

Result<void> Supervisor::open() {
  if (const char* outer = std::getenv("NOTIFY_SOCKET")) outer_ = outer;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kForwarded) ::sigaddset(&set, number);
  ::sigaddset(&set, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &set, &before_);
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  timer_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  notify_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!epoll_ || !signals_ || !timer_ || !notify_) return errno_error("open a descriptor");
  const int on = 1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  socklen_t bytes = sizeof(sa_family_t);  // the kernel chooses an abstract name
  if (::setsockopt(notify_.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), bytes) != 0)
    return errno_error("open the socket for notifications");
  bytes = sizeof address;
  if (::getsockname(notify_.get(), reinterpret_cast<sockaddr*>(&address), &bytes) != 0)
    return errno_error("open the socket for notifications");
  const size_t begin = offsetof(sockaddr_un, sun_path) + 1;
  notify_name_ = "@" + std::string(address.sun_path + 1, bytes - begin);
  KNELL_TRY(add(epoll_.get(), signals_.get(), kSignalTag, EPOLLIN));
  KNELL_TRY(add(epoll_.get(), notify_.get(), kNotifyTag, EPOLLIN));
  if (!outer_.empty()) {
    to_outer_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!to_outer_) return errno_error("open a socket to the service manager");
  }
  return add(epoll_.get(), timer_.get(), kTimerTag, EPOLLIN);
}

// Moves the descriptors to the numbers from kFirst on, in their order, and clears close-on-exec.
// Needs one free descriptor.
Result<void> place(std::vector<int> fds) {
  std::map<int, size_t> by_number;
  for (size_t i = 0; i < fds.size(); ++i) by_number[fds[i]] = i;
  for (size_t i = 0; i < fds.size(); ++i) {
    const int target = kFirst + static_cast<int>(i);
    if (fds[i] == target) {
      if (::fcntl(target, F_SETFD, 0) != 0) return errno_error("pass the stored descriptors");
      continue;
    }
    // Another one that is not placed yet may have this number.
    if (const auto other = by_number.find(target); other != by_number.end()) {
      const int moved = ::fcntl(target, F_DUPFD_CLOEXEC, kFirst);
      if (moved < 0) return errno_error("pass the stored descriptors");
      fds[other->second] = moved;
      by_number[moved] = other->second;
      by_number.erase(target);
    }
    if (::dup2(fds[i], target) < 0) {
      if (errno == EBADF) errno = EMFILE;  // the number is above RLIMIT_NOFILE
      return errno_error("pass the stored descriptors");
    }
    ::close(fds[i]);
    by_number.erase(fds[i]);
  }
  return {};
}

// Runs in the forked child, which has one thread and its own memory, so any function may be called.
void Supervisor::become_child() {
  for (UniqueFd* own : {&epoll_, &signals_, &notify_, &timer_, &to_outer_}) own->reset();
  std::vector<int> fds;
  fds.reserve(stored_.size());
  for (const auto& [id, one] : stored_) fds.push_back(one.fd.get());
  if (const auto placed = place(fds); !placed) {
    log_(placed.error().message());
    ::_exit(127);
  }
  std::string names;
  for (const auto& [id, one] : stored_) names += (names.empty() ? "" : ":") + one.name;
  ::setenv("NOTIFY_SOCKET", notify_name_.c_str(), 1);
  ::setenv(kSupervisorPid, std::to_string(::getppid()).c_str(), 1);
  end_with_supervisor();
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);
  if (!fds.empty()) {
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    ::setenv("LISTEN_FDS", std::to_string(fds.size()).c_str(), 1);
    ::setenv("LISTEN_FDNAMES", names.c_str(), 1);
  }
  ::sigprocmask(SIG_SETMASK, &before_, nullptr);
  std::vector<char*> words;
  words.reserve(command_.size() + 1);
  for (const std::string& word : command_) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(words[0], words.data());
  ::_exit(127);
}

Result<void> Supervisor::start() {
  ready_ = false;
  const pid_t child = ::fork();
  if (child < 0) return errno_error("start knelld");
  if (child == 0) become_child();
  child_ = child;
  return {};
}

// A failure, for example because the machine has no memory for another process, is like the death
// of a child that was not ready: the descriptors that this process holds must not be lost.
void Supervisor::start_again() {
  if (const auto started = start(); !started) {
    log_(started.error().message() + "; trying again");
    start_later();
  }
}

void Supervisor::start_later() {
  set_timer(pause_);
  pause_ = std::min(2 * pause_, kMostPause);
}

void Supervisor::forward(const std::string& text) const {
  if (!to_outer_ || text.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (outer_.size() >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, outer_.data(), outer_.size());
  if (outer_[0] == '@') address.sun_path[0] = '\0';
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + outer_.size());
  (void)!::sendto(to_outer_.get(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                  reinterpret_cast<const sockaddr*>(&address), bytes);
}

void Supervisor::keep(const std::string& name, UniqueFd fd, bool polled) {
  const bool valid =
      !name.empty() && name.size() < 256 &&
      std::ranges::all_of(name, [](char c) { return c > ' ' && c < 127 && c != ':'; });
  if (!valid || stored_.size() >= kMostStored) return;
  const uint64_t id = next_++;
  // EPERM: a descriptor that cannot be polled, such as a bpf link.
  if (polled && !add(epoll_.get(), fd.get(), id, 0) && errno != EPERM) return;
  stored_.emplace(id, Stored{.name = name, .fd = std::move(fd)});
}

void Supervisor::drop_polled(uint64_t id) {
  const auto found = stored_.find(id);
  if (found == stored_.end()) return;
  // Explicitly: epoll removes a descriptor only when its last duplicate is closed.
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, found->second.fd.get(), nullptr);
  stored_.erase(found);
}

void Supervisor::handle(const Notification& read, std::vector<UniqueFd> fds) {
  if (read.store)
    for (UniqueFd& fd : fds) keep(read.name, std::move(fd), read.polled);
  if (read.remove) {
    std::vector<uint64_t> ids;
    for (const auto& [id, one] : stored_)
      if (one.name == read.name) ids.push_back(id);
    for (const uint64_t id : ids) drop_polled(id);
  }
  if (read.ready) {
    ready_ = ever_ready_ = true;
    pause_ = kLeastPause;
  }
  forward(read.rest);
}

void Supervisor::read_notifications() {
  while (true) {
    std::array<char, 4096> text;
    iovec part{text.data(), text.size()};
    // Room for credentials and the descriptors of one message.
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(16 * sizeof(int))>
        control;
    msghdr header{};
    header.msg_iov = &part;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t n = ::recvmsg(notify_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return;
    std::vector<UniqueFd> fds;
    pid_t sender = 0;
    for (cmsghdr* at = CMSG_FIRSTHDR(&header); at != nullptr; at = CMSG_NXTHDR(&header, at)) {
      if (at->cmsg_level != SOL_SOCKET) continue;
      if (at->cmsg_type == SCM_RIGHTS) {
        for (size_t i = 0; i < (at->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
          int fd = -1;
          std::memcpy(&fd, CMSG_DATA(at) + i * sizeof fd, sizeof fd);
          fds.emplace_back(fd);
        }
      } else if (at->cmsg_type == SCM_CREDENTIALS) {
        ucred who{};
        std::memcpy(&who, CMSG_DATA(at), sizeof who);
        sender = who.pid;
      }
    }
    if (sender != child_ || (header.msg_flags & MSG_TRUNC) != 0) continue;
    handle(parse({text.data(), static_cast<size_t>(n)}), std::move(fds));
  }
}

void Supervisor::set_timer(milliseconds after) {
  itimerspec when{};
  when.it_value.tv_sec = after.count() / 1000;
  when.it_value.tv_nsec = after.count() % 1000 * 1'000'000 + 1;
  (void)::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

// Returns the exit status of the supervisor if it has to end.
std::optional<int> Supervisor::reap() {
  int status = 0;
  if (child_ == 0 || ::waitpid(child_, &status, WNOHANG) != child_) return std::nullopt;
  read_notifications();
  child_ = 0;
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  const bool by_itself = WIFEXITED(status) && (code == 0 || code == kUsage);
  if (by_itself || stopping_ || !ever_ready_) return code;
  if (ready_)
    set_timer(milliseconds(0));
  else
    start_later();
  return std::nullopt;
}

void Supervisor::on_signal() {
  signalfd_siginfo info{};
  while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    const int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) continue;
    stopping_ |= number == SIGTERM || number == SIGINT || number == SIGQUIT;
    if (child_ != 0) ::kill(child_, number);
  }
}

Result<int> Supervisor::run() {
  KNELL_TRY(open());
  KNELL_TRY(start());
  while (true) {
    std::array<epoll_event, 64> events;
    const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < n; ++i) {
      const epoll_event& event = events[static_cast<size_t>(i)];
      if (event.data.u64 == kSignalTag) on_signal();
      if (event.data.u64 == kTimerTag) {
        uint64_t times = 0;
        if (::read(timer_.get(), &times, sizeof times) > 0 && child_ == 0) start_again();
      }
      if (event.data.u64 >= kFirstStored && (event.events & (EPOLLHUP | EPOLLERR)) != 0)
        drop_polled(event.data.u64);
    }
    read_notifications();
    if (const auto status = reap()) return *status;
    if (stopping_ && child_ == 0) return 0;
  }
}

}  // namespace

void end_with_supervisor() {
  const char* supervisor = std::getenv(kSupervisorPid);
  if (supervisor == nullptr) return;
  (void)::prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
  // the supervisor has already died
  if (std::to_string(::getppid()) != supervisor) (void)::raise(SIGTERM);
}

Result<int> supervise(const std::vector<std::string>& command, const SupervisorLog& log) {
  KNELL_CHECK(!command.empty());
  return Supervisor(command, log).run();
}

}  // namespace knell::handover
