// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <knell/knell.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "wire/event.h"
#include "wire/protocol.h"

namespace knell::client {

// A daemon for tests, which runs in a thread. It answers hellos and accepts every request, unless a
// test sets another answer. One client at a time. send() sends immediately.
class FakeServer {
 public:
  FakeServer() {
    char folder[] = "/tmp/knell-test-XXXXXX";
    KNELL_CHECK(::mkdtemp(folder) != nullptr);
    folder_ = folder;
    path_ = folder_ + "/knell.sock";
    int ends[2] = {-1, -1};
    KNELL_CHECK(::pipe(ends) == 0);
    stop_read_ = UniqueFd(ends[0]);
    stop_write_ = UniqueFd(ends[1]);
    hello.origin.knell = "fake";
    hello.origin.boot_id = "6fa276d3-0000-4000-8000-000000000000";
    hello.origin.subscription.via = KNELL_VIA_BPF;
    hello.scope.flags = wire::Scope::kEverything;
    start();
  }
  ~FakeServer() {
    stop();
    ::rmdir(folder_.c_str());
  }
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  const std::string& path() const { return path_; }
  wire::ServerHello hello;  // set it before a client connects

  void start() {
    listening_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path_.copy(address.sun_path, sizeof address.sun_path - 1);
    KNELL_CHECK(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                0);
    KNELL_CHECK(::listen(listening_.get(), 8) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  // Closes all sockets, as when a daemon is killed.
  void stop() {
    if (!thread_.joinable()) return;
    KNELL_CHECK(::write(stop_write_.get(), "x", 1) == 1);
    thread_.join();
    char byte = 0;
    KNELL_CHECK(::read(stop_read_.get(), &byte, 1) == 1);
    client_.reset();
    listening_.reset();
    ::unlink(path_.c_str());
  }

  // Sets the ack of the next request of this type; `error` -1: the request is not acked.
  void answer_next(wire::Message type, int32_t error, std::string text) {
    const std::lock_guard lock(mutex_);
    answers_[type] = wire::Ack{.error = error, .request = 0, .text = std::move(text)};
  }
  void send(std::string_view packet) {
    const std::lock_guard lock(mutex_);
    KNELL_CHECK(::send(client_.get(), packet.data(), packet.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(packet.size()));
  }
  void send(std::initializer_list<knell_event> events) { send(frame_of(events)); }
  static std::string frame_of(std::initializer_list<knell_event> events) {
    std::string out, buffer;
    wire::EventFrame frame(out);
    for (const knell_event& event : events)
      KNELL_CHECK(frame.add(wire::epoch_of(event), wire::encode_event(buffer, event)));
    frame.finish();
    return out;
  }
  // Sends `packet` before the ack of the next request of this type.
  void send_before_ack(wire::Message type, std::string packet) {
    const std::lock_guard lock(mutex_);
    before_[type].push_back(std::move(packet));
  }
  // Sends a BYE message to the next client, as a daemon with too many clients does.
  void refuse_next(int32_t error, std::string text) {
    const std::lock_guard lock(mutex_);
    bye_ = wire::encode(wire::Bye{.error = error, .text = std::move(text)}, 0);
  }
  // Waits until that BYE message was sent.
  void await_refusal() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return bye_.empty(); });
  }
  // Sets the answer to each request for a page of past events; it is sent before the ack.
  using Past = std::function<std::vector<std::string>(const wire::History&)>;
  void answer_histories(Past past) {
    const std::lock_guard lock(mutex_);
    past_ = std::move(past);
  }
  void hang_up() {
    const std::lock_guard lock(mutex_);
    (void)::shutdown(client_.get(), SHUT_RDWR);
  }

  // Waits until the `nth` subscribe request (from 1) was answered, and returns its subscription.
  filter::Subscription subscribe(size_t nth) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return subscribes_.size() >= nth; });
    return subscribes_[nth - 1];
  }
  // Waits for this many acknowledgements, answered or not, and returns them.
  std::vector<wire::Acknowledge> acknowledged(size_t at_least) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return acknowledged_.size() >= at_least; });
    return acknowledged_;
  }
  // The attributes of the durable listener in the `nth` subscribe request (from 1).
  std::optional<wire::Durable> durable(size_t nth) {
    (void)subscribe(nth);
    const std::lock_guard lock(mutex_);
    return durables_[nth - 1];
  }
  // The sequence number of the last request.
  uint32_t last_request() {
    const std::lock_guard lock(mutex_);
    return last_request_;
  }
  // The number of requests of this type that were received.
  size_t count(wire::Message type) {
    const std::lock_guard lock(mutex_);
    return requests_[type];
  }
  std::vector<wire::AddedProcess> adds(size_t at_least) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return added_.size() >= at_least; });
    return added_;
  }

 private:
  void serve() {
    for (;;) {
      pollfd all[] = {
          {.fd = stop_read_.get(), .events = POLLIN, .revents = 0},
          {.fd = client_ ? client_.get() : listening_.get(), .events = POLLIN, .revents = 0}};
      if (::poll(all, 2, -1) < 0) continue;
      if (all[0].revents != 0) return;
      const std::lock_guard lock(mutex_);
      if (!client_)
        accept();
      else
        on_packet();
    }
  }

  void accept() {
    client_ = UniqueFd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    refused_ = !bye_.empty();
    if (!refused_) return;
    answer(std::exchange(bye_, {}));
    changed_.notify_all();
  }

  void on_packet() {
    std::string bytes(wire::kMostFrame, '\0');
    const ssize_t got = ::recv(client_.get(), bytes.data(), bytes.size(), 0);
    if (got <= 0) return client_.reset();
    if (refused_) return;
    const auto frame = wire::parse_packet({bytes.data(), static_cast<size_t>(got)});
    KNELL_CHECK(frame);
    ++requests_[frame->type];
    if (frame->type == wire::Message::kHello) return answer(wire::encode(hello, 0));
    if (frame->type == wire::Message::kStatus) {
      std::string_view json = "{\"version\":\"fake\"}";
      answer(wire::encode_status_text(json, 0));
    }
    for (const std::string& packet : std::exchange(before_[frame->type], {})) answer(packet);
    if (frame->type == wire::Message::kHistory && past_) {
      const auto asked = wire::decode_history(frame->payload);
      KNELL_CHECK(asked);
      for (const std::string& packet : past_(*asked)) answer(packet);
    }
    wire::Ack ack{.error = 0, .request = 0, .text = {}};
    if (const auto set = answers_.extract(frame->type); !set.empty()) ack = set.mapped();
    ack.request = last_request_ = frame->seq;
    if (ack.error >= 0) answer(wire::encode(ack, 0));
    note(*frame, ack.error == 0);
    changed_.notify_all();
  }

  void note(const wire::Frame& frame, bool accepted) {
    if (frame.type == wire::Message::kSubscribe) {
      const auto asked = wire::decode_subscribe(frame.payload);
      KNELL_CHECK(asked);
      const auto durable = wire::decode_durable(frame.payload);
      KNELL_CHECK(durable);
      durables_.push_back(*durable);
      subscribes_.push_back(*asked);
    }
    if (frame.type == wire::Message::kAcknowledge) {
      const auto acknowledge = wire::decode_acknowledge(frame.payload);
      KNELL_CHECK(acknowledge);
      acknowledged_.push_back(*acknowledge);
    }
    if (frame.type != wire::Message::kAdd || !accepted) return;
    const auto pids = wire::decode_pids(frame.payload);
    KNELL_CHECK(pids);
    added_.insert(added_.end(), pids->begin(), pids->end());
  }

  void answer(std::string_view packet) {
    (void)!::send(client_.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
  }

  std::string folder_, path_;
  UniqueFd listening_, stop_read_, stop_write_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  UniqueFd client_;
  std::string bye_;
  bool refused_ = false;
  std::map<wire::Message, wire::Ack> answers_;
  std::map<wire::Message, size_t> requests_;
  uint32_t last_request_ = 0;
  std::map<wire::Message, std::vector<std::string>> before_;
  Past past_;
  std::vector<filter::Subscription> subscribes_;
  // one element for each element of subscribes_
  std::vector<std::optional<wire::Durable>> durables_;
  std::vector<wire::Acknowledge> acknowledged_;
  std::vector<wire::AddedProcess> added_;
};

}  // namespace knell::client
