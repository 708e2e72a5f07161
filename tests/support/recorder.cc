// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "support/recorder.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "support/lives.h"

namespace knell::test {

namespace {

std::optional<std::string> copy(const knell_string& s) {
  return s.data != nullptr ? std::optional<std::string>(std::in_place, s.data, s.size)
                           : std::nullopt;
}

// The process by which a test finds the event; for a fork the child.
pid_t subject(const Seen& event) {
  return event.type() == KNELL_EVENT_FORK ? event.raw.child_pid : event.pid();
}

}  // namespace

std::string Seen::text() const {
  std::string out = std::to_string(raw.seq) + " " + knell_type_name(type()) + " pid " +
                    std::to_string(pid()) + " tid " + std::to_string(raw.tid) + " ppid " +
                    std::to_string(raw.ppid);
  if (type() == KNELL_EVENT_FORK) {
    out += " child " + std::to_string(raw.child_pid) + "/" + std::to_string(raw.child_tid);
  }
  if (type() == KNELL_EVENT_EXIT) {
    char number[16];
    (void)std::snprintf(number, sizeof number, "0x%x", static_cast<unsigned>(raw.wait_status));
    out += std::string(" status ") + (status() ? number : "unknown");
  }
  if (comm) out += " comm " + *comm;
  if (args) {
    for (const std::string& word : *args) out += " [" + word + "]";
  }
  return out;
}

std::string text_of(const std::vector<Seen>& events) {
  std::string out = events.empty() ? "no events\n" : "";
  for (const Seen& event : events) out += event.text() + "\n";
  return out;
}

Recorder::Recorder(const Wish& wish) {
  Options options;
  options.events = wish.events;
  options.details = wish.details;
  options.level = wish.level;
  options.latency_ns = wish.latency_ns == 0 ? KNELL_LATENCY_NONE : wish.latency_ns;
  options.only_added = wish.only_added ? 1 : 0;
  options.recover = wish.recover ? 1 : 0;
  options.buffer_bytes = wish.buffer_bytes;
  const char* other = std::getenv("KNELL_TEST_VIA");
  const std::string via = !wish.via.empty() ? wish.via : other != nullptr ? other : "connector";
  EXPECT_EQ(knell_via_parse(via.c_str(), &options.via), 0) << knell_explain();
  std::error_code error;
  listener_ = Listener::open(options, error);
  EXPECT_FALSE(error) << "knell_open: " << error.message() << ": " << knell_explain();
  if (!listener_) return;
  for (const auto& [key, value] : wish.matches) {
    const std::error_code refused = listener_.match(key, value);
    EXPECT_FALSE(refused) << key << " " << value << ": " << refused.message() << ": "
                          << knell_explain();
  }
}

void Recorder::keep(const knell_event& event) {
  EXPECT_EQ(event.seq, last_seq_ + 1) << "seq must rise by one";
  last_seq_ = event.seq;
  Seen& seen = seen_.emplace_back();
  seen.raw = event;
  seen.comm = copy(event.comm);
  seen.parent_comm = copy(event.parent_comm);
  seen.killer_comm = copy(event.killed_by.comm);
  seen.killer_parent_comm = copy(event.killed_by.parent_comm);
  seen.killer_unit = copy(event.killed_by.unit);
  seen.killer_memory_cgroup = copy(event.killed_by.memory_cgroup);
  seen.asker_comm = copy(event.last_signal.comm);
  seen.asker_parent_comm = copy(event.last_signal.parent_comm);
  seen.exe = copy(event.exe);
  seen.cwd = copy(event.cwd);
  seen.user = copy(event.user);
  seen.cgroup = copy(event.cgroup);
  seen.unit = copy(event.unit);
  seen.container_id = copy(event.container_id);
  seen.tty = copy(event.tty);
  seen.new_comm = copy(event.new_comm);
  if (event.args.data != nullptr) {
    std::vector<std::string>& words = seen.args.emplace();
    for (const std::string_view word : args(event)) words.emplace_back(word);
  }
  if (keep_json) seen.json = json(event);
}

void Recorder::drain(size_t most) {
  if (!ok()) return;
  const knell_event* events[64];
  std::error_code error;
  for (size_t read = 0; read < most;) {
    const auto some = listener_.read(events, error);
    EXPECT_FALSE(error) << "knell_read: " << error.message() << ": " << knell_explain();
    if (some.empty()) return;
    for (const knell_event* event : some) keep(*event);
    read += some.size();
  }
}

bool Recorder::read_until(const std::function<bool()>& done, const Deadline& deadline) {
  if (!ok()) return false;
  for (;;) {
    drain();
    if (done()) return true;
    if (deadline.passed()) return false;
    pollfd waiting{listener_.fd(), POLLIN, 0};
    if (::poll(&waiting, 1, deadline.left_ms()) < 0 && errno != EINTR) return false;
  }
}

bool Recorder::read_while_waiting_for(int other_fd, const Deadline& deadline) {
  if (!ok()) return false;
  for (;;) {
    pollfd waiting[2] = {{listener_.fd(), POLLIN, 0}, {other_fd, POLLIN, 0}};
    if (::poll(waiting, 2, deadline.left_ms()) < 0 && errno != EINTR) return false;
    if (waiting[0].revents != 0) drain();
    if (waiting[1].revents != 0) return true;
    if (deadline.passed()) return false;
  }
}

bool Recorder::read_until_exit_of(pid_t pid, std::optional<int> status) {
  judged_ = 0;
  return read_until([&] {
    for (; judged_ < seen_.size(); judged_++) {
      const Seen& event = seen_[judged_];
      if (event.type() != KNELL_EVENT_EXIT || event.pid() != pid) continue;
      if (owner_of(pid, event.raw.mono_ns) == Owner::kEarlier) continue;
      if (!status || event.status() == status) return true;
    }
    return false;
  });
}

std::vector<Seen> Recorder::of(pid_t pid) const {
  std::vector<Seen> out;
  bool over = false;
  for (const Seen& event : seen_) {
    if (subject(event) != pid) continue;
    const Owner owner = owner_of(pid, event.raw.mono_ns);
    if (owner == Owner::kEarlier) continue;
    // The stamp of an exit that was detected, and not received, is the time of the detection.
    const bool exit = event.type() == KNELL_EVENT_EXIT;
    if (owner == Owner::kLater && (over || !exit)) continue;
    over = over || exit;
    out.push_back(event);
  }
  return out;
}

std::vector<Seen> Recorder::of(pid_t pid, uint32_t type) const {
  std::vector<Seen> out = of(pid);
  std::erase_if(out, [&](const Seen& e) { return e.type() != type; });
  return out;
}

std::vector<Seen> Recorder::of_type(uint32_t type) const {
  std::vector<Seen> out;
  std::ranges::copy_if(seen_, std::back_inserter(out),
                       [&](const Seen& e) { return e.type() == type; });
  return out;
}

}  // namespace knell::test
