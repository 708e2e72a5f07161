// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "lib/abi.h"

#include <knell/knell.h>
#include <pthread.h>

namespace knell::lib {
namespace {

constexpr char kOutOfMemory[] = "out of memory";

// In place of the texts of a thread for which there was no memory.
char no_memory;
void* const kNoMemory = &no_memory;

// Of the texts of threads. Not thread_local: the C library ends the program if it has no memory for
// a thread_local variable of a library that was loaded later, or for its destructor.
class Key {
 public:
  Key() : made_(::pthread_key_create(&key_, free_texts) == 0) {}
  Key(const Key&) = delete;
  Key& operator=(const Key&) = delete;
  ~Key() {
    if (!made_) return;
    free_texts(get());
    ::pthread_key_delete(key_);
    made_ = false;
  }
  void* get() const { return made_ ? ::pthread_getspecific(key_) : nullptr; }
  bool set(void* texts) { return made_ && ::pthread_setspecific(key_, texts) == 0; }

 private:
  static void free_texts(void* texts) {
    if (texts != kNoMemory) delete static_cast<ThreadTexts*>(texts);
  }

  pthread_key_t key_{};
  bool made_;
};

Key key;  // NOLINT(cert-err58-cpp): it does not throw

}  // namespace

ThreadTexts* thread_texts() noexcept {
  void* const there = key.get();
  if (there != nullptr && there != kNoMemory) return static_cast<ThreadTexts*>(there);
  auto* texts = new (std::nothrow) ThreadTexts;
  if (texts == nullptr) {
    (void)key.set(kNoMemory);  // the error that knell_explain() describes
    return nullptr;
  }
  if (there == kNoMemory) texts->error = kOutOfMemory;
  if (key.set(texts)) return texts;
  delete texts;
  return nullptr;
}

std::string& scratch() {
  ThreadTexts* texts = thread_texts();
  if (texts == nullptr) throw std::bad_alloc();
  texts->scratch.clear();
  return texts->scratch;
}

int store_error(const Error& error) {
  ThreadTexts* texts = thread_texts();
  if (texts == nullptr) return -ENOMEM;
  texts->error = error.message();
  return error.code > 0 ? -error.code : -EIO;
}

int store_out_of_memory() noexcept {
  // A string has at least this capacity, so nothing is allocated.
  static_assert(sizeof kOutOfMemory <= 16);
  if (ThreadTexts* texts = thread_texts()) texts->error.assign(kOutOfMemory);
  return -ENOMEM;
}

}  // namespace knell::lib

const char* knell_explain() {
  const knell::lib::ThreadTexts* texts = knell::lib::thread_texts();
  return texts != nullptr ? texts->error.c_str() : knell::lib::kOutOfMemory;
}
