// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace knell {

// A thread for work that may wait for a disk: its end can be awaited for a limited time. It handles
// no signals; these are for the main thread.
class WaitableThread {
 public:
  // `name`: at most 15 bytes, pthread_setname_np(3).
  WaitableThread(const char* name, std::function<void()> run);
  // Waits until it has ended.
  ~WaitableThread() { thread_.join(); }
  WaitableThread(const WaitableThread&) = delete;
  WaitableThread& operator=(const WaitableThread&) = delete;

  // Waits until it has ended, or until the deadline. Returns whether it has ended. Any thread.
  bool await_end(std::chrono::steady_clock::time_point deadline);

 private:
  std::mutex mutex_;
  std::condition_variable change_;
  bool ended_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace knell
