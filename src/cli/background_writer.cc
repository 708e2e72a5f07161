// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "cli/background_writer.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace knell::cli {

struct BackgroundWriter::Shared {
  Shared(UniqueFd fd, std::string name, UniqueFd done)
      : to(std::move(fd)), out(to.get(), std::move(name)), finished(std::move(done)) {}

  void serve();

  UniqueFd to;        // closed when the thread no longer writes to it
  OutputBuffer out;   // only the thread uses it while `work` is set
  UniqueFd finished;  // an eventfd
  std::mutex mutex;
  std::condition_variable changed;
  bool work = false, end = false;
  Outcome<OutputBuffer::Reader> result = OutputBuffer::Reader::kOpen;
};

void BackgroundWriter::Shared::serve() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [this] { return work || end; });
    if (end) return;
    lock.unlock();
    auto done = out.flush();
    lock.lock();
    result = std::move(done);
    work = false;
    const uint64_t one = 1;
    (void)!::write(finished.get(), &one, sizeof one);
  }
}

Outcome<std::unique_ptr<BackgroundWriter>> BackgroundWriter::create(int fd, std::string name) {
  UniqueFd to(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!to) return failed("cannot write {}: {}", name, std::strerror(errno));
  UniqueFd finished(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!finished) return failed("cannot create an eventfd: {}", std::strerror(errno));
  auto shared = std::make_shared<Shared>(std::move(to), std::move(name), std::move(finished));
  try {
    std::thread([shared] { shared->serve(); }).detach();
  } catch (const std::system_error& error) {
    return failed("cannot start a thread: {}", error.what());
  }
  return std::unique_ptr<BackgroundWriter>(new BackgroundWriter(std::move(shared)));
}

BackgroundWriter::~BackgroundWriter() {
  const std::lock_guard lock(shared_->mutex);
  shared_->end = true;
  shared_->changed.notify_one();
}

int BackgroundWriter::fd() const { return shared_->finished.get(); }

void BackgroundWriter::write(std::string& text) {
  const std::lock_guard lock(shared_->mutex);
  std::swap(shared_->out.buffer(), text);
  shared_->work = true;
  busy_ = true;
  shared_->changed.notify_one();
}

std::optional<Outcome<OutputBuffer::Reader>> BackgroundWriter::finish() {
  const std::lock_guard lock(shared_->mutex);
  if (!busy_ || shared_->work) return std::nullopt;
  uint64_t drained = 0;
  (void)!::read(shared_->finished.get(), &drained, sizeof drained);
  busy_ = false;
  return std::exchange(shared_->result, OutputBuffer::Reader::kOpen);
}

}  // namespace knell::cli
