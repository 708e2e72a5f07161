// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>

#include <cstring>
#include <string>

#include "watch/process_table.h"

namespace knell::watch {

// What an event says of a text that lives elsewhere; empty: not known.
inline knell_string view_of(const Comm& comm) {
  const size_t size = ::strnlen(comm.data(), comm.size());
  return size == 0 ? knell_string{nullptr, 0} : knell_string{comm.data(), size};
}
inline knell_string view_of(const std::string& text) {
  return text.empty() ? knell_string{nullptr, 0} : knell_string{text.data(), text.size()};
}

}  // namespace knell::watch
