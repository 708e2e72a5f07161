// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

namespace knell {

// A lock of a whole file (F_OFD_SETLK of fcntl(2)). It belongs to the open file description, so it
// is held until all copies of the descriptor are closed. Unlike flock(2), another process can test
// it without taking it. `fd` must be open for writing. Does not wait: false with errno EAGAIN if
// another open file description has the lock.
bool lock_file(int fd);

// Whether somebody holds the lock of the file. False also if the file cannot be opened.
bool is_locked(const std::string& path);

}  // namespace knell
