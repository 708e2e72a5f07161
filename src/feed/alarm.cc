// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "feed/alarm.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/time_namespace.h"

namespace knell::feed {

Result<Alarm> Alarm::create(int epoll, uint64_t tag) {
  Alarm alarm;
  alarm.timer_ = UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!alarm.timer_) return errno_error("make a timer descriptor");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, alarm.timer_.get(), &event) != 0)
    return errno_error("poll a timer");
  return alarm;
}

void Alarm::set(uint64_t at_ns) {
  if (at_ns == at_ns_) return;
  at_ns_ = at_ns;
  itimerspec when{};
  when.it_value = timer_time(at_ns);
  (void)::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
}

void Alarm::on_fired() {
  uint64_t expirations = 0;
  (void)!::read(timer_.get(), &expirations, sizeof expirations);
  at_ns_ = 0;
}

}  // namespace knell::feed
