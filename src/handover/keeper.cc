// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A message that could not be sent holds a duplicate of its descriptor, so the caller may close its
// own immediately. The number of waiting messages is bounded by the number of descriptors.
#include "handover/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>

namespace knell::handover {
namespace {

constexpr int kFirst = 3;  // SD_LISTEN_FDS_START
// chosen, not measured: above any LimitNOFILE= of our units
constexpr size_t kMostInherited = 65536;

std::optional<long> number_in(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr) return std::nullopt;
  long value = 0;
  const char* end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  return error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

// The names of $LISTEN_FDNAMES. systemd passes "unknown" for a descriptor without a name.
std::vector<std::string> listed_names(size_t count) {
  const char* text = std::getenv("LISTEN_FDNAMES");
  std::vector<std::string> names;
  std::string_view rest = text == nullptr ? "" : text;
  while (names.size() < count) {
    const size_t end = rest.find(':');
    names.emplace_back(rest.substr(0, end));
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  names.resize(count);
  return names;
}

}  // namespace

Result<Keeper> Keeper::from_environment() {
  Keeper keeper;
  const auto process = number_in("LISTEN_PID"), count = number_in("LISTEN_FDS");
  if (process == ::getpid() && count) {
    if (*count < 0 || static_cast<size_t>(*count) > kMostInherited)
      return say(EINVAL, "LISTEN_FDS must be the number of passed descriptors");
    const auto names = listed_names(static_cast<size_t>(*count));
    for (size_t i = 0; i < names.size(); ++i) {
      const int fd = kFirst + static_cast<int>(i);
      if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
        return errno_error("take over the descriptors of $LISTEN_FDS");
      keeper.inherited_.emplace(names[i], UniqueFd(fd));
    }
  }
  for (const char* name : {"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}) ::unsetenv(name);

  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (*path != '/' && *path != '@')) return keeper;
  const size_t bytes = std::strlen(path);
  if (bytes >= sizeof keeper.address_.sun_path) return keeper;
  keeper.address_.sun_family = AF_UNIX;
  std::memcpy(keeper.address_.sun_path, path, bytes);
  if (*path == '@') keeper.address_.sun_path[0] = '\0';
  keeper.address_bytes_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + bytes);
  keeper.socket_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!keeper.socket_) return errno_error("open a socket to the service manager");
  if (!keeper.connect()) keeper.socket_.reset();
  return keeper;
}

// Connected, so that poll(2) waits for room in the keeper's queue.
bool Keeper::connect() const {
  return ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address_), address_bytes_) ==
         0;
}

void Keeper::add_inherited_for_testing(const std::string& name, UniqueFd fd) {
  inherited_.emplace(name, std::move(fd));
}

Keeper::Sent Keeper::send(const Message& message) const {
  iovec text{const_cast<char*>(message.text.data()), message.text.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &text;
  header.msg_iovlen = 1;
  if (message.fd) {
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    cmsghdr* part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = message.fd.get();
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
  }
  ssize_t done = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  // The keeper may have bound a new socket to this name.
  if (done < 0 && (errno == ECONNREFUSED || errno == ENOTCONN) && connect())
    done = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL);
  // ETOOMANYREFS: too many descriptors are in flight to a keeper that does not receive them.
  const bool later = done < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS ||
                                  errno == ENOMEM || errno == ETOOMANYREFS);
  return later ? Sent::kLater : Sent::kYes;  // any other error: the keeper does not exist any more
}

void Keeper::post(Message message) {
  if (!stores()) return;
  if (waiting_.empty() && send(message) == Sent::kYes) return;
  waiting_.push_back(std::move(message));
}

void Keeper::store(const std::string& name, int fd, Poll poll) {
  if (!stores()) return;
  UniqueFd held(::fcntl(fd, F_DUPFD_CLOEXEC, kFirst));
  if (!held) return;  // behave as if the keeper had refused it
  const char* polled = poll == Poll::kNo ? "\nFDPOLL=0" : "";
  post({.text = "FDSTORE=1\nFDNAME=" + name + polled, .fd = std::move(held)});
}

void Keeper::remove(const std::string& name) {
  taken_.erase(name);
  post({.text = "FDSTOREREMOVE=1\nFDNAME=" + name, .fd = {}});
}

void Keeper::notify(const std::string& text) { post({.text = text, .fd = {}}); }

bool Keeper::flush(int timeout_ms) {
  while (!waiting_.empty()) {
    if (send(waiting_.front()) == Sent::kYes) {
      waiting_.pop_front();
      continue;
    }
    pollfd room{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
    if (timeout_ms == 0 || ::poll(&room, 1, timeout_ms) <= 0) return false;
  }
  return true;
}

UniqueFd Keeper::take(const std::string& name) {
  const auto found = inherited_.find(name);
  if (found == inherited_.end()) return {};
  taken_.insert(name);
  return std::move(inherited_.extract(found).mapped());
}

std::vector<std::string> Keeper::names(std::string_view prefix) const {
  std::vector<std::string> all;
  for (auto at = inherited_.lower_bound(prefix);
       at != inherited_.end() && at->first.starts_with(prefix); ++at)
    all.push_back(at->first);
  return all;
}

void Keeper::drop(std::string_view prefix, Drop which) {
  for (const std::string& name : names(prefix)) {
    remove(name);
    inherited_.erase(name);
  }
  if (which == Drop::kNotTaken) return;
  const auto first = taken_.lower_bound(prefix);
  const auto last = std::find_if(
      first, taken_.end(), [&](const std::string& name) { return !name.starts_with(prefix); });
  for (const std::string& name : std::vector(first, last)) remove(name);
}

}  // namespace knell::handover
