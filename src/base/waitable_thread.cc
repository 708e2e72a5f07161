// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/waitable_thread.h"

#include <pthread.h>

#include <csignal>
#include <utility>

namespace knell {

WaitableThread::WaitableThread(const char* name, std::function<void()> run) {
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, run = std::move(run)] {
    run();
    const std::lock_guard lock(mutex_);
    ended_ = true;
    change_.notify_all();
  });
  ::pthread_setname_np(thread_.native_handle(), name);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

bool WaitableThread::await_end(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  return change_.wait_until(lock, deadline, [&] { return ended_; });
}

}  // namespace knell
