// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// make_journal FILE: writes a small journal for the tests of knell history: five exits of the last
// five hours, one an hour, and one of three days ago.
#include <cstdio>
#include <cstring>
#include <string>

#include "base/clock.h"
#include "journal/store.h"

namespace {

using knell::journal::Store;

knell_string bytes(const char* text) { return {text, std::strlen(text)}; }

bool append(Store& store, int32_t pid, const char* comm, int32_t status, int64_t seconds_ago) {
  knell_event event{};
  event.size = sizeof event;
  event.type = KNELL_EVENT_EXIT;
  event.has = KNELL_HAS_STATUS | KNELL_HAS_UID;
  event.via = KNELL_VIA_BPF;
  event.pid = event.tid = pid;
  event.comm = bytes(comm);
  event.args = {comm, std::strlen(comm) + 1};
  event.unit = bytes("cron.service");
  event.wait_status = status;
  event.time_ns = knell::system_clock().realtime_ns() - seconds_ago * 1'000'000'000;
  event.mono_ns = 1'000'000'000'000'000 - static_cast<uint64_t>(seconds_ago) * 1'000'000'000;
  return store.append(event).has_value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  auto store = Store::open({.path = argv[1]});
  constexpr int64_t kHour = 3600;
  const bool written = store && append(*store, 11, "old", 0x100, 72 * kHour) &&
                       append(*store, 12, "grep", 0x100, 5 * kHour) &&
                       append(*store, 13, "grep", 0x200, 4 * kHour) &&
                       append(*store, 14, "sleep", 9, 3 * kHour) &&
                       append(*store, 15, "true", 0, 2 * kHour) &&
                       append(*store, 16, "grep", 0x100, kHour) && store->commit();
  if (!written) (void)std::fputs("make_journal: failed\n", stderr);
  return written ? 0 : 1;
}
