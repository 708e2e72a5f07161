// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/threads.h"

namespace knell::process {

void Threads::begin(const ProcReader& proc) {
  end();
  counting_ = true;
  scan_.begin(proc.list());
}

bool Threads::scan_some(const ProcReader& proc, ScanBudget& budget) {
  (void)scan_.advance(budget, 1, [&](int32_t pid) {
    const ProcFolder folder = proc.folder(pid);
    const auto stat = folder ? folder.stat() : std::nullopt;
    if (stat && stat->threads > 1) others_.emplace(pid).first->count = kUncounted;
  });
  if (scan_.failed()) end();
  return !scan_.running();
}

void Threads::end() {
  counting_ = false;
  scan_.cancel();
  others_.clear();
}

void Threads::on_fork(int32_t pid) {
  if (!counting_) return;
  Others& others = *others_.emplace(pid).first;
  if (others.count != kUncounted) ++others.count;
  if (others_.size() > kMost) end();
}

void Threads::on_exit(int32_t pid) {
  Others* others = others_.find(pid);
  if (others == nullptr || others->count == kUncounted) return;
  if (--others->count == 0) others_.erase(pid);
}

uint32_t Threads::others(int32_t pid) const {
  if (!counting_ || scan_.running()) return kUnknown;
  const Others* others = others_.find(pid);
  return others == nullptr ? 0 : others->count;
}

}  // namespace knell::process
