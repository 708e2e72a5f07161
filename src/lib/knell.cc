// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The C ABI of a listener: checks pointers, converts Results to negative errnos. The listeners are
// in daemon_listener.cc, live_listener.cc and replay_listener.cc.
#include <knell/knell.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/proc_stat.h"
#include "base/time_namespace.h"
#include "filter/predicates.h"
#include "lib/abi.h"
#include "lib/handle.h"
#include "lib/predicate_parser.h"
#include "lib/structure_size.h"

namespace knell::lib {

namespace {

// Parses a predicate and adds it to the listener; without a listener only checks it.
Result<void> match(knell_listener* k, const char* key, const char* value) {
  KNELL_ASSIGN(auto predicates, parse_predicate(key, value));
  if (k != nullptr) return k->match(predicates);
  const auto checked = filter::Predicates::create(std::move(predicates));
  return checked ? Result<void>() : std::unexpected(checked.error());
}

int missing(const char* what) {
  return store_error(Error{EINVAL, std::string(what) + " must not be NULL", true});
}

// In a time namespace /proc shows shifted start times, events have the kernel's. Accepts both.
uint64_t kernel_start_of(pid_t pid, uint64_t start) {
  if (start == 0 || knell::clock_offsets().boottime_ns == 0) return start;
  const auto stat = knell::read_proc_stat(pid);
  const uint64_t shifted = knell::kernel_start(start, knell::clock_offsets());
  return stat && stat->start == shifted ? shifted : start;
}

// Returns 0, or the error if no process can be added to this kind of listener.
int error_of_add(const knell_listener& k) {
  if (k.only_added() || k.stats().via == KNELL_VIA_PTRACE) return 0;
  if (k.stats().via == KNELL_VIA_JOURNAL)
    return store_error({EINVAL,
                        "no process can be added to a listener of the journal; knell_match() with "
                        "the key pid selects processes",
                        true});
  return store_error({EINVAL,
                      "this listener reports all processes that match; to add processes, open it "
                      "with only_added set to 1 in its options",
                      true});
}

}  // namespace

int error_of_handle(const knell_listener* k) {
  if (k == nullptr) return missing("the listener");
  if (k->owner() == ::getpid()) return 0;
  return store_error(Error{EINVAL,
                           "this listener belongs to process " + std::to_string(k->owner()) +
                               ": a forked child must open its own",
                           true});
}

}  // namespace knell::lib

void knell_listener::add_many(std::span<knell_added> processes) {
  for (knell_added& one : processes) {
    const auto added = add(one.pid, one.start, one.cookie);
    one.error = added ? 0 : -added.error().code;
  }
}

using namespace knell::lib;

int knell_open(const knell_options* options, knell_listener** ret_knell) {
  return guarded([&]() -> int {
    if (ret_knell == nullptr) return missing("ret_knell");
    const knell_options defaults = KNELL_OPTIONS_INIT;
    auto listener = open_listener(options == nullptr ? &defaults : options);
    if (!listener) return store_error(listener.error());
    *ret_knell = listener->release();
    return 0;
  });
}

int knell_open_recording(const char* path, const knell_replay_options* options,
                         knell_listener** ret_knell) {
  return guarded([&]() -> int {
    if (path == nullptr || ret_knell == nullptr) return missing("path and ret_knell");
    const knell_replay_options defaults = KNELL_REPLAY_OPTIONS_INIT;
    auto listener = open_recording(path, options == nullptr ? &defaults : options);
    if (!listener) return store_error(listener.error());
    *ret_knell = listener->release();
    return 0;
  });
}

int knell_match(knell_listener* k, const char* key, const char* value) {
  return guarded([&]() -> int {
    if (key == nullptr || value == nullptr) return missing("key and value");
    if (const int error = error_of_handle(k); error != 0) return error;
    return outcome(match(k, key, value));
  });
}

int knell_check_match(const char* key, const char* value) {
  return guarded([&]() -> int {
    if (key == nullptr || value == nullptr) return missing("key and value");
    return outcome(match(nullptr, key, value));
  });
}

int knell_add(knell_listener* k, pid_t pid, uint64_t start, uint64_t cookie) {
  return guarded([&]() -> int {
    if (const int error = error_of_handle(k); error != 0) return error;
    if (const int error = error_of_add(*k); error != 0) return error;
    return outcome(k->add(pid, kernel_start_of(pid, start), cookie));
  });
}

ssize_t knell_add_many(knell_listener* k, knell_added* processes, size_t count) {
  return guarded([&]() -> ssize_t {
    if (processes == nullptr && count != 0) return missing("processes");
    if (const int error = error_of_handle(k); error != 0) return error;
    if (const int error = error_of_add(*k); error != 0) return error;
    const std::span all(processes, count);
    for (knell_added& one : all) {
      one.error = -ENOMEM;  // until it is added
      one.start = kernel_start_of(one.pid, one.start);
    }
    k->add_many(all);
    return std::ranges::count(all, 0, &knell_added::error);
  });
}

int knell_snapshot(knell_listener* k, int (*visit)(const knell_event*, void*), void* context) {
  return guarded([&]() -> int {
    if (visit == nullptr) return missing("visit");
    if (const int error = error_of_handle(k); error != 0) return error;
    const auto result = k->snapshot({.visit = visit, .context = context});
    return result ? *result : store_error(result.error());
  });
}

int knell_remove(knell_listener* k, pid_t pid) {
  return guarded([&]() -> int {
    const int error = error_of_handle(k);
    return error != 0 ? error : outcome(k->remove(pid));
  });
}

int knell_set_events(knell_listener* k, uint32_t mask) {
  return guarded([&]() -> int {
    const int error = error_of_handle(k);
    return error != 0 ? error : outcome(k->set_events(mask));
  });
}

int knell_ack(knell_listener* k, const knell_event* event) {
  return guarded([&]() -> int {
    if (const int error = error_of_handle(k); error != 0) return error;
    if (event == nullptr) return outcome(k->ack(nullptr));
    knell_event today;
    if (const auto copied = copy_event(event, today); !copied) return store_error(copied.error());
    return outcome(k->ack(&today));
  });
}

int knell_mark_failed(knell_listener* k, const knell_event* event) {
  return guarded([&]() -> int {
    if (event == nullptr) return missing("the event");
    const int error = error_of_handle(k);
    return error != 0 ? error : outcome(k->mark_failed(*event));
  });
}

int knell_fd(const knell_listener* k) {
  return guarded([&]() -> int {
    const int error = error_of_handle(k);
    return error != 0 ? error : k->fd();
  });
}

ssize_t knell_read(knell_listener* k, const knell_event** ret_events, size_t count) {
  return guarded([&]() -> ssize_t {
    if (k == nullptr || ret_events == nullptr) return missing("the listener and ret_events");
    if (const int error = error_of_handle(k); error != 0) return error;
    const auto n = k->read(ret_events, count);
    return n ? static_cast<ssize_t>(*n) : store_error(n.error());
  });
}

int knell_get_stats(const knell_listener* k, knell_stats* ret_stats) {
  return guarded([&]() -> int {
    if (k == nullptr || ret_stats == nullptr) return missing("the listener and ret_stats");
    if (const int error = error_of_handle(k); error != 0) return error;
    return outcome(fill(ret_stats, k->stats()));
  });
}

void knell_close(knell_listener* k) {
  (void)guarded([&] {
    delete k;
    return 0;
  });
}

const char* knell_version() { return KNELL_VERSION; }
