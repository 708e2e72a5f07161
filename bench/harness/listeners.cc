// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The process of a listener; the naive client of the process connector; programs on libknell.
#include <knell/cn_proc.h>
#include <knell/knell.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "bench/harness/listener_process.h"

namespace knell::bench {
namespace {

constexpr int kBufferBytes = 64 << 20;
constexpr uint64_t kStartPatienceNs = 60 * kSecondNs;  // 100 listeners over bpf take ten seconds
constexpr uint64_t kStopPatienceNs = 2 * kSecondNs;
constexpr uint32_t kAnyExit = KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT;

// --- The naive client ---

bool send_request(int sock, Request kind, uint32_t op, uint32_t mask) {
  struct {
    nlmsghdr header;
    knell_cn_msg message;
    knell_proc_input input;
  } request{};
  static_assert(sizeof request == 44);
  const size_t payload = kind == Request::kFiltered ? sizeof request.input : sizeof op;
  request.header.nlmsg_len = static_cast<uint32_t>(sizeof request - sizeof request.input + payload);
  request.header.nlmsg_type = NLMSG_DONE;
  request.message.idx = KNELL_CN_IDX_PROC;
  request.message.val = KNELL_CN_VAL_PROC;
  request.message.len = static_cast<uint16_t>(payload);
  request.input = {op, mask};
  return ::send(sock, &request, request.header.nlmsg_len, 0) ==
         static_cast<ssize_t>(request.header.nlmsg_len);
}

UniqueFd open_connector() {
  UniqueFd sock(::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = KNELL_CN_IDX_PROC;
  if (!sock || ::bind(sock.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return {};
  (void)::setsockopt(sock.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBufferBytes, sizeof kBufferBytes);
  return sock;
}

// Records one event if it is of a process (not of a thread) and in the mask. A legacy client, which
// sends no mask, receives every event.
void receive_one(ListenerProcess& self, size_t listener, int sock, uint32_t mask) {
  unsigned char bytes[4096];
  if (::recv(sock, bytes, sizeof bytes, 0) != KNELL_CN_DATAGRAM_BYTES) return;
  knell_proc_event event;
  std::memcpy(&event, bytes + sizeof(nlmsghdr) + sizeof(knell_cn_msg), sizeof event);
  uint64_t stamp_ns = 0;
  std::memcpy(&stamp_ns, &event.timestamp_ns, sizeof stamp_ns);
  bool is_wanted = (event.what & mask) != 0;
  int32_t pid = event.data.exec.process_tgid;  // every event but a fork has the pid at this offset
  int32_t ppid = 0;
  int32_t wait_status = 0;
  if (event.what == KNELL_EVENT_FORK) {
    pid = event.data.fork.child_tgid;
    ppid = event.data.fork.parent_tgid;
    is_wanted &= event.data.fork.child_pid == pid;
  } else if (event.what == KNELL_EVENT_EXIT) {
    ppid = event.data.exit.parent_tgid;
    wait_status = static_cast<int32_t>(event.data.exit.exit_code);
    is_wanted |= (mask & KNELL_EVENT_NONZERO_EXIT) != 0 && wait_status != 0;
    is_wanted &= event.data.exit.process_pid == pid;
  }
  if (is_wanted) self.record(listener, event.what, pid, ppid, wait_status, stamp_ns);
}

bool watch_fd(int epoll, int fd, uint64_t index) {
  epoll_event wanted{.events = EPOLLIN, .data = {.u64 = index}};
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

bool listen_naively(ListenerProcess& self, size_t listener, Request request) {
  const uint32_t mask = self.listeners().masks[listener];
  const UniqueFd sock = open_connector();
  if (!sock || !send_request(sock.get(), request, KNELL_MCAST_LISTEN, mask))
    return self.control().fail("the process connector", std::strerror(errno));
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll || !watch_fd(epoll.get(), sock.get(), 0) || !watch_fd(epoll.get(), self.stop_fd(), 1))
    return self.control().fail("epoll", std::strerror(errno));
  ++self.control().ready;
  for (;;) {
    epoll_event ready{};
    if (::epoll_wait(epoll.get(), &ready, 1, -1) != 1) continue;
    if (ready.data.u64 == 1) break;
    receive_one(self, listener, sock.get(), mask);
  }
  return send_request(sock.get(), request, KNELL_MCAST_IGNORE, mask);
}

// The first listener runs in this process, each other one in a child.
bool listen_naively_each(ListenerProcess& self, Request request) {
  for (size_t i = 1; i < self.listeners().masks.size(); ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) return self.control().fail("fork", std::strerror(errno));
    if (pid != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(listen_naively(self, i, request) ? 0 : 1);
  }
  const bool done = listen_naively(self, 0, request);
  while (::wait(nullptr) > 0) {
  }
  return done;
}

// --- Programs on libknell ---

bool read_all(ListenerProcess& self, size_t listener, knell_listener* handle) {
  std::array<const knell_event*, 64> events{};
  ssize_t count = 0;
  while ((count = knell_read(handle, events.data(), events.size())) > 0) {
    for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
      const knell_event& event = *events[i];
      const bool is_fork = event.type == KNELL_EVENT_FORK;
      self.record(listener, event.type, is_fork ? event.child_pid : event.pid,
                  is_fork ? event.pid : event.ppid, event.wait_status, event.mono_ns);
    }
  }
  return count == 0 || self.control().fail("knell_read", knell_explain());
}

bool listen_with_library(ListenerProcess& self, const LibraryOptions& options) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  const std::vector<uint32_t>& masks = self.listeners().masks;
  std::vector<LibraryHandle> handles;
  for (const uint32_t mask : masks) {
    handles.push_back(open_library(options, mask));
    if (!handles.back()) return self.control().fail("knell_open", knell_explain());
    watch_fd(epoll.get(), knell_fd(handles.back().get()), handles.size() - 1);
  }
  if (!watch_fd(epoll.get(), self.stop_fd(), masks.size()))
    return self.control().fail("epoll", std::strerror(errno));
  // Drop the events that came while the other listeners were opened
  for (size_t i = 0; i < masks.size(); ++i) {
    if (!read_all(self, i, handles[i].get())) return false;
  }
  self.control().ready = static_cast<uint32_t>(masks.size());
  for (;;) {
    std::array<epoll_event, 64> ready{};
    const int fds = ::epoll_wait(epoll.get(), ready.data(), ready.size(), -1);
    for (int i = 0; i < fds; ++i) {
      const size_t listener = ready[static_cast<size_t>(i)].data.u64;
      if (listener == masks.size()) return true;
      if (!read_all(self, listener, handles[listener].get())) return false;
    }
  }
}

// The pid that the daemon reports. The peer of the socket may be systemd, which created it.
pid_t pid_of_daemon() {
  std::string status(1 << 20, '\0');
  if (knell_status(status.data(), status.size()) <= 0) return 0;
  const char* at = std::strstr(status.c_str(), "\"pid\":");
  return at == nullptr ? 0 : std::atoi(at + std::strlen("\"pid\":"));
}

}  // namespace

bool EventLog::contains(pid_t wanted, uint32_t mask) const {
  if ((mask & kAnyExit) != 0) return marker.load(std::memory_order_acquire) == wanted;
  // The marker is a fork or an exit: a mask without either never reports it.
  if ((mask & KNELL_EVENT_FORK) == 0) return true;
  const size_t end = size();
  const LoggedEvent* last = events + end - std::min<size_t>(end, 256);
  return std::find_if(last, events + end, [&](const LoggedEvent& e) { return e.pid == wanted; }) !=
         events + end;
}

bool Control::fail(const char* what, const char* why) {
  std::snprintf(error, sizeof error, "%s: %s", what, why);
  return false;
}

ListenerProcess::ListenerProcess(std::string name, Listeners listeners, Body body)
    : Contender(std::move(name)),
      listeners_(std::move(listeners)),
      body_(std::move(body)),
      stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  for (size_t i = 0; i < listeners_.masks.size(); ++i) logs_.push_back(map_shared<EventLog>());
}

void ListenerProcess::clear_logs() {
  for (const auto& log : logs_) {
    log->marker = 0;
    log->count = 0;
  }
}

Result<void> ListenerProcess::start(const Cores& cores) {
  clear_logs();
  control_->ready = 0;
  control_->error[0] = '\0';
  uint64_t old = 0;
  (void)!::read(stop_.get(), &old, sizeof old);
  KNELL_TRY(fork_body(cores, [this] { ::_exit(body_(*this) ? 0 : 1); }));
  for (const uint64_t end = now_ns() + kStartPatienceNs; control_->ready < logs_.size();) {
    if (await_exit(0))
      return refuse(ENOTSUP, "{}", control_->error[0] != '\0' ? control_->error : "it died");
    if (now_ns() > end || interrupted())
      return refuse(ENOTSUP, "the program does not start to listen");
    ::usleep(200);
  }
  return {};
}

void ListenerProcess::stop() {
  if (pid() <= 0) return;
  const uint64_t one = 1;
  (void)!::write(stop_.get(), &one, sizeof one);
  if (!await_exit(kStopPatienceNs)) kill_now();
}

void ListenerProcess::record(size_t listener, uint32_t type, int32_t pid, int32_t ppid,
                             int32_t wait_status, uint64_t stamp_ns) {
  // Others may have had the pid of a process of the storm: their events are only counted.
  if (ppid != 0 && ppid != storm_pid_) type = KNELL_EVENT_NONE;
  const bool is_exit = type == KNELL_EVENT_EXIT;
  const bool is_marker = is_exit && wait_status == kMarkerStatus << 8;
  uint32_t delay_ns = 0;
  if (listeners_.measure_delay && is_exit && !is_marker)
    delay_ns = static_cast<uint32_t>(std::min<uint64_t>(now_ns() - stamp_ns, UINT32_MAX));
  log(listener).append({type, pid, delay_ns});
  if (is_marker) log(listener).append_marker(pid);
}

std::optional<uint64_t> ListenerProcess::handled(pid_t marker) {
  uint64_t latest = logs_.empty() ? now_ns() : 0;
  for (size_t i = 0; i < logs_.size(); ++i) {
    if (!log(i).contains(marker, listeners_.masks[i])) return std::nullopt;
    latest = std::max(latest, log(i).marker_ns.load(std::memory_order_relaxed));
  }
  return latest;
}

void ListenerProcess::start_recording() {
  first_.clear();
  for (const auto& log : logs_) first_.push_back(log->size());
}

std::vector<Recording> ListenerProcess::recordings() {
  std::vector<Recording> all;
  for (size_t i = 0; i < logs_.size(); ++i)
    all.push_back(
        {listeners_.masks[i], {log(i).events + first_[i], log(i).events + log(i).size()}});
  return all;
}

std::unique_ptr<Contender> make_null() {
  return std::make_unique<ListenerProcess>("null", Listeners{}, [](ListenerProcess& self) {
    pollfd wait{.fd = self.stop_fd(), .events = POLLIN, .revents = 0};
    while (::poll(&wait, 1, -1) < 0) {
    }
    return true;
  });
}

Request best_request() {
  utsname kernel{};
  int major = 0;
  int minor = 0;
  (void)::uname(&kernel);
  (void)std::sscanf(kernel.release, "%d.%d", &major, &minor);  // NOLINT(cert-err34-c)
  return major * 1000 + minor >= 6006 ? Request::kFiltered : Request::kLegacy;
}

std::unique_ptr<Contender> make_naive(std::string name, Request request, Listeners listeners) {
  return std::make_unique<ListenerProcess>(
      std::move(name), std::move(listeners),
      [request](ListenerProcess& self) { return listen_naively_each(self, request); });
}

std::unique_ptr<Contender> make_library(std::string name, LibraryOptions options,
                                        Listeners listeners) {
  auto made = std::make_unique<ListenerProcess>(
      std::move(name), std::move(listeners),
      [options](ListenerProcess& self) { return listen_with_library(self, options); });
  made->set_daemon(options.source.daemon);
  return made;
}

LibraryHandle open_library(const LibraryOptions& wish, uint32_t mask) {
  knell_options options = KNELL_OPTIONS_INIT;
  options.events = mask;
  options.details = wish.details;
  if (knell_via_parse(wish.source.via.c_str(), &options.via) != 0) return {};
  options.latency_ns = wish.latency_ns;
  options.only_added = wish.only_added ? 1 : 0;
  options.buffer_bytes = wish.buffer_bytes;
  knell_listener* listener = nullptr;
  return LibraryHandle(knell_open(&options, &listener) == 0 ? listener : nullptr);
}

std::vector<Source> usable_sources(Report& report, bool with_daemon) {
  std::vector<Source> usable;
  for (Source source : {Source{"connector"}, Source{"bpf"}, Source{"daemon", -1}}) {
    if (source.daemon != 0 && !with_daemon) continue;
    if (!open_library({.source = source}, KNELL_EVENT_EXIT)) {
      report.absent(source.name(), knell_explain());
      continue;
    }
    if (source.daemon != 0) source.daemon = pid_of_daemon();
    usable.push_back(source);
  }
  return usable;
}

}  // namespace knell::bench
