// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/pid_list.h"

#include <dirent.h>
#include <fcntl.h>

#include <charconv>
#include <cstring>

namespace knell {

PidList::PidList() : PidList(UniqueFd(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {}

bool PidList::fill() {
  const ssize_t size = folder_ ? ::getdents64(folder_.get(), buffer_.data(), buffer_.size()) : -1;
  failed_ = size < 0;
  at_ = 0;
  end_ = size > 0 ? static_cast<size_t>(size) : 0;
  return end_ > 0;
}

int32_t PidList::next() {
  while (at_ < end_ || fill()) {
    const char* const entry = buffer_.data() + at_;
    unsigned short bytes = 0;
    std::memcpy(&bytes, entry + offsetof(dirent64, d_reclen), sizeof bytes);
    at_ += bytes;
    const char* const name = entry + offsetof(dirent64, d_name);
    const char* const end = name + std::strlen(name);
    int32_t pid = 0;
    if (std::from_chars(name, end, pid).ptr == end && pid > 0) return pid;
  }
  return 0;
}

}  // namespace knell
