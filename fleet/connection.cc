// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "fleet/connection.h"

#include <fmt/format.h>
#include <nats/nats.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <iterator>
#include <knell/knell.hpp>
#include <mutex>

#include "base/clock.h"
#include "base/json_value.h"
#include "base/unique_fd.h"

namespace knell::fleet {
namespace {

constexpr int64_t kReconnectWaitMs = 1000;
// Spreads the reconnects of the hosts of a fleet over time.
constexpr int64_t kReconnectJitterMs = 2000;
constexpr int64_t kRequestTimeoutMs = 2000;
constexpr std::chrono::milliseconds kAckSlice(100);  // how late a lost connection is noticed

template <class T, void (*destroy)(T*)>
struct Destroy {
  void operator()(T* object) const { destroy(object); }
};
using OwnedOptions = std::unique_ptr<natsOptions, Destroy<natsOptions, natsOptions_Destroy>>;
using OwnedMessage = std::unique_ptr<natsMsg, Destroy<natsMsg, natsMsg_Destroy>>;
using OwnedAck = std::unique_ptr<jsPubAck, Destroy<jsPubAck, jsPubAck_Destroy>>;

std::string text_of(natsStatus status) {
  const char* detail = nats_GetLastError(nullptr);
  const std::string_view text = natsStatus_GetText(status);
  if (detail == nullptr || *detail == '\0') return std::string(text);
  return fmt::format("{} ({})", text, printable(detail));
}

int errno_of(natsStatus status) {
  switch (status) {
    case NATS_TIMEOUT:
      return ETIMEDOUT;
    case NATS_NO_SERVER:
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
      return ECONNREFUSED;
    case NATS_CONNECTION_AUTH_FAILED:
    case NATS_NOT_PERMITTED:
      return EACCES;
    case NATS_NO_MEMORY:
      return ENOMEM;
    case NATS_NOT_FOUND:
    case NATS_NO_RESPONDERS:
      return ENOENT;
    default:
      return EINVAL;
  }
}

std::unexpected<Error> nats_error(natsStatus status, std::string_view doing) {
  return say(errno_of(status), fmt::format("cannot {}: {}", doing, text_of(status)));
}

// The result that the server returned for a message published to a stream.
Published published_of(natsMsg* ack) {
  using Outcome = Published::Outcome;
  if (natsMsg_IsNoResponders(ack)) return {Outcome::kNoStream, 0, "no responders"};
  const auto answer = parse_json_object(
      std::string(natsMsg_GetData(ack), static_cast<size_t>(natsMsg_GetDataLength(ack))));
  if (!answer) return {Outcome::kFailed, 0, "invalid acknowledgement"};
  if (const JsonValue& error = (*answer)["error"]; error.is_object())
    return {error["err_code"].count() == JSStreamStoreFailedErr ? Outcome::kFull : Outcome::kFailed,
            0, printable(error["description"].text())};
  return {(*answer)["duplicate"].is_true() ? Outcome::kRepeat : Outcome::kStored,
          (*answer)["seq"].count(), ""};
}

}  // namespace

// A subscription, with the messages that messages() has not returned yet. Guarded by State::mutex.
struct Connection::Subscription {
  State& state;
  const KeptMessages kept;
  natsSubscription* nats = nullptr;
  std::deque<Message> messages;
  size_t bytes = 0;

  void push(Message message) {
    bytes += message.data.size();
    messages.push_back(std::move(message));
    while (messages.size() > 1 && (messages.size() > kept.messages || bytes > kept.bytes)) {
      bytes -= messages.front().data.size();
      messages.pop_front();
    }
  }
};

struct Connection::State {
  UniqueFd wake;
  natsConnection* nats = nullptr;
  jsCtx* jetstream = nullptr;
  std::deque<Subscription> subscriptions;  // a deque never moves its elements
  natsSubscription* acks = nullptr;        // of `acks_prefix`.*
  std::string acks_prefix;
  uint64_t published = 0;
  std::atomic<uint64_t> connects = 0, missed_heartbeats = 0;

  std::mutex mutex;
  std::condition_variable ended;
  std::string refusal;
  bool closed = false;
  size_t running = 0;  // subscriptions whose thread may still run a callback

  void signal() const {
    const uint64_t one = 1;
    (void)!::write(wake.get(), &one, sizeof one);
  }
  static State& of(void* closure) { return *static_cast<State*>(closure); }

  static void on_connected(natsConnection*, void* closure) {
    ++of(closure).connects;
    of(closure).signal();
  }
  static void on_disconnected(natsConnection*, void* closure) { of(closure).signal(); }
  static void on_closed(natsConnection*, void* closure) {
    State& state = of(closure);
    {
      const std::lock_guard lock(state.mutex);
      state.closed = true;
      state.ended.notify_all();
    }
    state.signal();
  }
  static void on_error(natsConnection* nats, natsSubscription*, natsStatus status, void* closure) {
    if (status == NATS_MISSED_HEARTBEAT) {
      ++of(closure).missed_heartbeats;
      return of(closure).signal();
    }
    if (status != NATS_NOT_PERMITTED && status != NATS_CONNECTION_AUTH_FAILED) return;
    const char* text = nullptr;
    (void)natsConnection_GetLastError(nats, &text);
    State& state = of(closure);
    {
      const std::lock_guard lock(state.mutex);
      state.refusal = text != nullptr && *text != '\0' ? printable(std::string_view(text))
                                                       : natsStatus_GetText(status);
    }
    state.signal();
  }
  static void on_message(natsConnection*, natsSubscription*, natsMsg* received, void* closure) {
    const OwnedMessage message(received);
    auto& subscription = *static_cast<Subscription*>(closure);
    State& state = subscription.state;
    {
      const std::lock_guard lock(state.mutex);
      subscription.push(
          {.subject = natsMsg_GetSubject(message.get()),
           .data = std::string(natsMsg_GetData(message.get()),
                               static_cast<size_t>(natsMsg_GetDataLength(message.get()))),
           .no_responders = natsMsg_IsNoResponders(message.get())});
    }
    state.signal();
  }
  static void on_complete(void* closure) {
    State& state = of(closure);
    const std::lock_guard lock(state.mutex);
    --state.running;
    state.ended.notify_all();
  }

  natsStatus set_options(natsOptions* to, const ConnectOptions& from);
  natsStatus subscribe_to_acks(const std::string& inbox);
  void close();
};

natsStatus Connection::State::set_options(natsOptions* to, const ConnectOptions& from) {
  // natsOptions_SetURL() takes one URL only.
  std::vector<std::string> urls(1);
  for (const char c : from.servers) {
    if (c == ',')
      urls.emplace_back();
    else
      urls.back() += c;
  }
  std::vector<const char*> servers;
  for (const std::string& url : urls) servers.push_back(url.c_str());
  natsStatus status = natsOptions_SetServers(to, servers.data(), static_cast<int>(servers.size()));
  const auto set = [&](bool wanted, auto function, auto... values) {
    if (status == NATS_OK && wanted) status = function(to, values...);
  };
  set(true, natsOptions_SetName, from.name.c_str());
  set(!from.credentials.empty(), natsOptions_SetUserCredentialsFromFiles, from.credentials.c_str(),
      static_cast<const char*>(nullptr));
  set(!from.nkey.empty(), natsOptions_SetNKeyFromSeed, from.nkey.c_str(), from.nkey_seed.c_str());
  set(!from.ca.empty(), natsOptions_SetSecure, true);
  set(!from.ca.empty(), natsOptions_LoadCATrustedCertificates, from.ca.c_str());
  set(!from.cert.empty(), natsOptions_LoadCertificatesChain, from.cert.c_str(), from.key.c_str());
  set(!from.inbox.empty(), natsOptions_SetCustomInboxPrefix, from.inbox.c_str());
  set(true, natsOptions_SetMaxReconnect, -1);
  set(true, natsOptions_SetReconnectWait, kReconnectWaitMs);
  set(true, natsOptions_SetReconnectJitter, kReconnectJitterMs, kReconnectJitterMs);
  set(true, natsOptions_SetFailRequestsOnDisconnect, true);
  // Without this, another thread of libnats writes the message a moment later.
  set(true, natsOptions_SetSendAsap, true);
  set(true, natsOptions_SetErrorHandler, &on_error, static_cast<void*>(this));
  set(true, natsOptions_SetClosedCB, &on_closed, static_cast<void*>(this));
  set(true, natsOptions_SetDisconnectedCB, &on_disconnected, static_cast<void*>(this));
  set(true, natsOptions_SetReconnectedCB, &on_connected, static_cast<void*>(this));
  set(from.retry, natsOptions_SetRetryOnFailedConnect, true, &on_connected,
      static_cast<void*>(this));
  return status;
}

natsStatus Connection::State::subscribe_to_acks(const std::string& inbox) {
  uint64_t bits = 0;
  if (::getrandom(&bits, sizeof bits, GRND_NONBLOCK) < 0) bits = system_clock().boottime_ns();
  acks_prefix = fmt::format("{}.acks.{:016x}", inbox.empty() ? "_INBOX" : inbox, bits);
  return natsConnection_SubscribeSync(&acks, nats, (acks_prefix + ".*").c_str());
}

// The threads of libnats use this object until the connection reports that it is closed, and each
// subscription that it is complete.
void Connection::State::close() {
  for (const Subscription& subscription : subscriptions)
    natsSubscription_Destroy(subscription.nats);
  if (acks != nullptr) natsSubscription_Destroy(acks);
  if (jetstream != nullptr) jsCtx_Destroy(jetstream);
  if (nats == nullptr) return;
  natsConnection_Close(nats);
  {
    std::unique_lock lock(mutex);
    ended.wait(lock, [&] { return closed && running == 0; });
  }
  natsConnection_Destroy(nats);
}

Connection::Connection(std::unique_ptr<State> state) : state_(std::move(state)) {}
Connection::~Connection() { state_->close(); }

Result<std::unique_ptr<Connection>> Connection::create(const ConnectOptions& options) {
  auto state = std::make_unique<State>();
  state->wake = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!state->wake) return errno_error("make an eventfd");
  natsOptions* made = nullptr;
  natsStatus status = natsOptions_Create(&made);
  const OwnedOptions owned(made);
  if (status == NATS_OK) status = state->set_options(made, options);
  if (status != NATS_OK) return nats_error(status, "use the options of the connection");
  // libnats calls the callback for the first connect only if that did not succeed immediately.
  status = natsConnection_Connect(&state->nats, made);
  if (status == NATS_OK)
    state->connects = 1;
  else if (status != NATS_NOT_YET_CONNECTED)
    return nats_error(status, fmt::format("connect to {}", options.servers));
  jsOptions js;
  jsOptions_Init(&js);
  js.Wait = kRequestTimeoutMs;
  status = natsConnection_JetStream(&state->jetstream, state->nats, &js);
  if (status == NATS_OK) status = state->subscribe_to_acks(options.inbox);
  std::unique_ptr<Connection> connection(new Connection(std::move(state)));
  if (status != NATS_OK) return nats_error(status, "use JetStream");
  return connection;
}

int Connection::wake_fd() const { return state_->wake.get(); }
void Connection::clear_wake() {
  uint64_t count = 0;
  (void)!::read(wake_fd(), &count, sizeof count);
}

bool Connection::connected() const {
  return natsConnection_Status(state_->nats) == NATS_CONN_STATUS_CONNECTED;
}
std::string Connection::closed() const {
  if (!natsConnection_IsClosed(state_->nats)) return "";
  const char* text = nullptr;
  const natsStatus status = natsConnection_GetLastError(state_->nats, &text);
  return text != nullptr && *text != '\0' ? printable(std::string_view(text))
                                          : natsStatus_GetText(status);
}
uint64_t Connection::connects() const { return state_->connects; }
uint64_t Connection::interruptions() const { return state_->connects + state_->missed_heartbeats; }
std::string Connection::server_id() const {
  char id[128] = "";
  (void)natsConnection_GetConnectedServerId(state_->nats, id, sizeof id);
  return id;
}
size_t Connection::most_payload() const {
  return static_cast<size_t>(std::max<int64_t>(natsConnection_GetMaxPayload(state_->nats), 0));
}
std::string Connection::refusal() {
  const std::lock_guard lock(state_->mutex);
  return std::exchange(state_->refusal, {});
}

Result<void> Connection::subscribe(const std::string& subject, KeptMessages kept) {
  Subscription* made = nullptr;
  {
    const std::lock_guard lock(state_->mutex);
    made = &state_->subscriptions.emplace_back(*state_, kept);
  }
  natsStatus status = natsConnection_Subscribe(&made->nats, state_->nats, subject.c_str(),
                                               &State::on_message, made);
  if (status == NATS_OK) {
    {
      const std::lock_guard lock(state_->mutex);
      ++state_->running;
    }
    status = natsSubscription_SetOnCompleteCB(made->nats, &State::on_complete, state_.get());
    if (status != NATS_OK) State::on_complete(state_.get());
  }
  if (status != NATS_OK) return nats_error(status, fmt::format("subscribe to {}", subject));
  return {};
}

std::vector<Message> Connection::messages() {
  const std::lock_guard lock(state_->mutex);
  std::vector<Message> out;
  for (Subscription& subscription : state_->subscriptions) {
    std::ranges::move(subscription.messages, std::back_inserter(out));
    subscription.messages.clear();
    subscription.bytes = 0;
  }
  return out;
}

Result<void> Connection::publish(const std::string& subject, std::string_view data) {
  const natsStatus status = natsConnection_Publish(state_->nats, subject.c_str(), data.data(),
                                                   static_cast<int>(data.size()));
  if (status != NATS_OK) return nats_error(status, fmt::format("publish to {}", subject));
  return {};
}

Result<void> Connection::publish_request(const std::string& subject, const std::string& reply,
                                         std::string_view data) {
  const natsStatus status = natsConnection_PublishRequest(
      state_->nats, subject.c_str(), reply.c_str(), data.data(), static_cast<int>(data.size()));
  if (status != NATS_OK) return nats_error(status, fmt::format("publish to {}", subject));
  return {};
}

Result<void> Connection::flush(std::chrono::milliseconds timeout) {
  const natsStatus status = natsConnection_FlushTimeout(state_->nats, timeout.count());
  if (status != NATS_OK) return nats_error(status, "reach the server");
  return {};
}

// js_PublishMsg() does the same, but receives the acknowledgement in another thread, which then
// wakes this one. That takes half of the CPU time of a message.
Published Connection::publish(const std::string& subject, const std::string& id,
                              const Headers& headers, std::string_view data,
                              std::chrono::milliseconds timeout) {
  using Outcome = Published::Outcome;
  const std::string reply = fmt::format("{}.{}", state_->acks_prefix, ++state_->published);
  natsMsg* made = nullptr;
  natsStatus status = natsMsg_Create(&made, subject.c_str(), reply.c_str(), data.data(),
                                     static_cast<int>(data.size()));
  const OwnedMessage message(made);
  if (status == NATS_OK) status = natsMsgHeader_Set(made, "Nats-Msg-Id", id.c_str());
  for (const auto& [name, value] : headers)
    if (status == NATS_OK) status = natsMsgHeader_Set(made, name.c_str(), value.c_str());
  if (status == NATS_OK) status = natsConnection_PublishMsg(state_->nats, made);
  if (status == NATS_MAX_PAYLOAD) return {Outcome::kTooLarge, 0, text_of(status)};
  if (status != NATS_OK) return {Outcome::kFailed, 0, text_of(status)};
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    natsMsg* got = nullptr;
    status = natsSubscription_NextMsg(&got, state_->acks, kAckSlice.count());
    const OwnedMessage ack(got);
    if (status == NATS_OK && reply == natsMsg_GetSubject(got)) return published_of(got);
    // Otherwise it is a late acknowledgement of an earlier message, which is ignored.
    if (status == NATS_OK) continue;
    if (status != NATS_TIMEOUT) return {Outcome::kFailed, 0, text_of(status)};
    // The server reports a refusal separately from the acknowledgements.
    if (std::string refused = refusal(); !refused.empty())
      return {Outcome::kRefused, 0, std::move(refused)};
    if (!connected() || std::chrono::steady_clock::now() >= deadline)
      return {Outcome::kTimeout, 0, connected() ? text_of(status) : "the connection was lost"};
  }
}

Result<std::optional<Message>> Connection::last_message(const std::string& stream,
                                                        const std::string& subject) {
  natsMsg* got = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      js_GetLastMsg(&got, state_->jetstream, stream.c_str(), subject.c_str(), nullptr, &code);
  const OwnedMessage message(got);
  if (code == JSNoMessageFoundErr) return std::nullopt;
  if (code == JSStreamNotFoundErr)
    return say(ENOENT, fmt::format("the server has no stream {}: run knell fleet init", stream));
  if (status != NATS_OK) return nats_error(status, fmt::format("read from stream {}", stream));
  return Message{natsMsg_GetSubject(got),
                 std::string(natsMsg_GetData(got), static_cast<size_t>(natsMsg_GetDataLength(got))),
                 natsMsg_GetSequence(got), natsMsg_GetTime(got)};
}

Result<std::optional<uint64_t>> Connection::replace_last(const std::string& subject, uint64_t last,
                                                         std::string_view data) {
  jsPubOptions how;
  jsPubOptions_Init(&how);
  how.ExpectLastSubjectSeq = last;
  how.ExpectNoMessage = last == 0;
  jsPubAck* acked = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status = js_Publish(&acked, state_->jetstream, subject.c_str(), data.data(),
                                       static_cast<int>(data.size()), &how, &code);
  const OwnedAck ack(acked);
  if (code == JSStreamWrongLastSequenceErr) return std::nullopt;
  if (std::string refused = status == NATS_OK ? "" : refusal(); !refused.empty())
    return say(EACCES, "the server refuses: " + refused);
  if (status == NATS_NO_RESPONDERS)
    return say(ENOENT, "the server has no fleet: run knell fleet init");
  if (status != NATS_OK) return nats_error(status, fmt::format("write to {}", subject));
  return ack->Sequence;
}

natsConnection* Connection::nats() const { return state_->nats; }
jsCtx* Connection::jetstream() const { return state_->jetstream; }

}  // namespace knell::fleet
