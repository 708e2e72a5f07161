// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "base/waitable_thread.h"

namespace knell::daemon {

// A thread that handles requests one after the other, for work that may block on the disk.
template <class Request, class Answer>
class WorkerThread {
 public:
  // The thread calls `serve` with each request, and `on_answer` when take() has the answer.
  WorkerThread(const char* name, std::function<Answer(const Request&)> serve,
               std::function<void()> on_answer)
      : serve_(std::move(serve)),
        on_answer_(std::move(on_answer)),
        thread_(name, [this] { run(); }) {}
  // Waits for the current request.
  ~WorkerThread() { request_stop(); }
  WorkerThread(const WorkerThread&) = delete;
  WorkerThread& operator=(const WorkerThread&) = delete;

  void request(Request request) {
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(std::move(request));
    }
    wake_.notify_one();
  }
  // Makes the thread end after the current request.
  void request_stop() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_one();
  }
  // Waits for the end of the thread until the deadline. false: the current request is not finished,
  // and this object must not be destroyed.
  bool await_end(std::chrono::steady_clock::time_point deadline) {
    return thread_.await_end(deadline);
  }
  // Returns the answers since the last call, in the order of their requests.
  std::vector<Answer> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(answers_, {});
  }

 private:
  void run() {
    for (;;) {
      Request request;
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || !requests_.empty(); });
        if (stop_) return;
        request = std::move(requests_.front());
        requests_.pop_front();
      }
      Answer answer = serve_(request);
      {
        const std::lock_guard lock(mutex_);
        answers_.push_back(std::move(answer));
      }
      on_answer_();
    }
  }

  const std::function<Answer(const Request&)> serve_;
  const std::function<void()> on_answer_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Request> requests_;  // guarded by mutex_, as are the next two members
  std::vector<Answer> answers_;
  bool stop_ = false;
  WaitableThread thread_;
};

}  // namespace knell::daemon
