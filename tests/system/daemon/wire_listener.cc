// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire_listener.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>

#include "support/child.h"
#include "support/lives.h"
#include "support/stage.h"

namespace knell::test {
namespace {

client::ConnectionToServer connect(const std::string& socket) {
  auto made = client::ConnectionToServer::connect(socket);
  if (made) return *std::move(made);
  ADD_FAILURE() << made.error().message();
  return client::ConnectionToServer(UniqueFd());
}

bool is_of(const ReceivedEvent& received, const Life& life) {
  return received.pid == life.pid && life.from_ns <= received.stamp_ns &&
         received.stamp_ns <= life.until_ns;
}

}  // namespace

WireListener::WireListener(const std::string& socket)
    : connection_(connect(socket)), buffer_(wire::kMostFrame) {
  connection_.set_timeout_for_testing(kPatience);
  const auto greeted = connection_.exchange_hellos();
  EXPECT_TRUE(greeted) << greeted.error().message();
}

Result<void> WireListener::subscribe(const filter::Subscription& asked) {
  const uint32_t request = connection_.next_seq();
  KNELL_ASSIGN(const std::string packet, wire::encode(asked, request));
  KNELL_TRY(connection_.send(packet));
  KNELL_ASSIGN(
      const wire::Ack ack,
      connection_.await_ack(request, [this](const wire::Frame& frame) { receive(frame); }));
  return client::as_result(ack);
}

void WireListener::receive(const wire::Frame& frame) {
  if (keeps_bytes_) bytes_.append(frame.payload);
  if (frame.type != wire::Message::kEvents) return;
  wire::EventReader reader(frame.payload);
  knell_event event;
  while (reader.next(event)) {
    if (event.type == KNELL_EVENT_LOST) {
      lost_ += event.lost_count;
      continue;
    }
    ReceivedEvent received;
    received.type = event.type;
    received.stamp_ns = event.mono_ns;
    const bool fork = event.type == KNELL_EVENT_FORK;
    received.pid = fork ? event.child_pid : event.pid;
    received.ppid = fork ? event.pid : event.ppid;
    received.status = event.wait_status;
    if ((event.has & KNELL_HAS_UID) != 0) received.uid = event.uid;
    received.args.assign(event.args.data == nullptr ? "" : event.args.data, event.args.size);
    received_.push_back(std::move(received));
  }
  EXPECT_FALSE(reader.malformed());
}

bool WireListener::take() {
  while (!over_) {
    const auto frame = connection_.receive(buffer_);
    if (!frame)
      over_ = frame.error();
    else if (!*frame)
      return true;
    else
      receive(**frame);
  }
  return false;
}

bool WireListener::take_until(const std::function<bool()>& done) {
  for (const Deadline deadline; !done();) {
    pollfd input{.fd = connection_.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&input, 1, deadline.left_ms()) <= 0) return false;
    if (!take()) return done();
  }
  return true;
}

// The answer to this request comes after the events that were queued before it.
bool WireListener::take_all() {
  const uint32_t request = connection_.next_seq();
  const wire::AddedProcess nobody{.pid = 1, .reserved = 0, .start = 0};
  if (!connection_.send(wire::encode(wire::Message::kRemove, std::span(&nobody, 1), request)))
    return false;
  return connection_.await_ack(request, [this](const wire::Frame& frame) { receive(frame); })
      .has_value();
}

bool WireListener::take_life(const Life& life) {
  size_t seen = 0;
  uint32_t types = 0;
  return take_until([&] {
    for (; seen < received_.size(); ++seen)
      if (is_of(received_[seen], life)) types |= received_[seen].type;
    return (types & kLives) == kLives;
  });
}

Keys WireListener::keys_of(const std::vector<pid_t>& pids) const {
  std::map<int32_t, bool> mine;
  for (const pid_t pid : pids) mine[pid] = true;
  Keys keys;
  for (const ReceivedEvent& received : received_)
    if (mine.contains(received.pid)) ++keys[{received.pid, received.type, received.status}];
  return keys;
}

Keys WireListener::keys_of(const std::vector<Life>& lives) const {
  std::multimap<int32_t, const Life*> by_pid;
  for (const Life& life : lives) by_pid.emplace(life.pid, &life);
  Keys keys;
  for (const ReceivedEvent& received : received_) {
    const auto [first, last] = by_pid.equal_range(received.pid);
    if (std::any_of(first, last, [&](const auto& one) { return is_of(received, *one.second); }))
      ++keys[{received.pid, received.type, received.status}];
  }
  return keys;
}

filter::Subscription lives(uint32_t mask, uint32_t details) {
  filter::Subscription asked;
  asked.mask = mask;
  asked.details = details;
  asked.predicates = {filter::wants(filter::Key::kUnder, ::getpid())};
  return asked;
}

std::vector<Life> live_and_die(int count) {
  std::vector<Life> all;
  for (int i = 0; i < count; ++i) {
    Life life{.executed = i % 3 == 0, .from_ns = monotonic_now_ns()};
    life.pid = fork_running([i] {
      if (i % 3 != 0) return i % 5;
      const char* program = i % 2 == 0 ? "true" : "false";
      ::execlp(program, program, nullptr);
      return 127;
    });
    life.status = reap(life.pid);
    life.until_ns = monotonic_now_ns() + kLateNs;
    all.push_back(life);
  }
  return all;
}

Keys keys_of(const std::vector<Life>& all) {
  Keys keys;
  for (const Life& life : all) {
    ++keys[{life.pid, KNELL_EVENT_FORK, 0}];
    if (life.executed) ++keys[{life.pid, KNELL_EVENT_EXEC, 0}];
    ++keys[{life.pid, KNELL_EVENT_EXIT, life.status}];
  }
  return keys;
}

Life sentinel() {
  const uint64_t from_ns = monotonic_now_ns();
  Child child = Child::spawn({"true"});
  Life life{.pid = child.pid(), .executed = true, .from_ns = from_ns};
  EXPECT_TRUE(child.wait());
  life.until_ns = monotonic_now_ns() + kLateNs;
  return life;
}

AsUser::AsUser(uid_t uid, gid_t gid) {
  EXPECT_EQ(::setegid(gid), 0);
  EXPECT_EQ(::seteuid(uid), 0);
}

AsUser::~AsUser() {
  EXPECT_EQ(::seteuid(0), 0);
  EXPECT_EQ(::setegid(0), 0);
}

}  // namespace knell::test
