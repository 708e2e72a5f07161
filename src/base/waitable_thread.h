// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace knell {

// A thread for work that may block on the disk. Other threads can wait for its end with a timeout.
// All signals are blocked in it, so the main thread handles them.
class WaitableThread {
 public:
  // `name`: at most 15 bytes, pthread_setname_np(3).
  WaitableThread(const char* name, std::function<void()> run);
  // Waits until the thread has ended.
  ~WaitableThread() { thread_.join(); }
  WaitableThread(const WaitableThread&) = delete;
  WaitableThread& operator=(const WaitableThread&) = delete;

  // Waits until the thread has ended, or until the deadline. Returns whether it has ended. May be
  // called by any thread.
  bool await_end(std::chrono::steady_clock::time_point deadline);

 private:
  std::mutex mutex_;
  std::condition_variable change_;
  bool ended_ = false;  // guarded by mutex_
  std::thread thread_;
};

}  // namespace knell
