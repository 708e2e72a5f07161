// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

// Types of libnats, which only connection.cc, stream_reader.cc and streams.cc include.
struct __natsConnection;
struct __jsCtx;

namespace knell::fleet {

struct ConnectOptions {
  std::string servers;          // URLs with commas between them
  std::string name;             // shown by the server's monitoring
  std::string credentials;      // a file with a JWT and a seed
  std::string nkey, nkey_seed;  // a public key, and the file of its seed
  std::string ca, cert, key;    // PEM files; `ca` turns TLS on
  std::string inbox;            // prefix of the subjects of replies; "": _INBOX
  // true: create() succeeds without a server, and the connection is retried for ever.
  bool retry = false;
};

// A received message.
struct Message {
  std::string subject, data;
  uint64_t seq = 0;            // in its stream; 0: not from a stream
  int64_t time_ns = 0;         // when the stream stored it, CLOCK_REALTIME of the server
  bool no_responders = false;  // sent by the server: no client receives requests with this subject
};

// How many unread messages of a subscription are kept; the newest one is always kept.
struct KeptMessages {
  size_t messages = 64;
  size_t bytes = size_t{4} << 20;
};

// The result of publishing a message to a stream.
struct Published {
  enum class Outcome {
    kStored,
    kRepeat,    // the stream has a message with this id
    kTimeout,   // the result is unknown: the message may have been stored
    kTooLarge,  // larger than the server accepts
    kRefused,   // the credentials do not permit the subject
    kFull,      // the stream is at its limits and discards new messages
    kNoStream,  // no stream has this subject
    kFailed
  };
  Outcome outcome = Outcome::kFailed;
  uint64_t seq = 0;  // kStored, kRepeat: number in the stream
  std::string text;  // the error message
};

// A connection to NATS. It reconnects by itself, after random delays. libnats runs its own threads;
// use this object from one thread. wake_fd() becomes readable when there is something to handle.
class Connection {
 public:
  // Errors: EINVAL: an invalid URL or file; ECONNREFUSED: no server (not with `retry`); EACCES: the
  // server refuses the credentials.
  static Result<std::unique_ptr<Connection>> create(const ConnectOptions& options);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // POLLIN: messages(), refusal(), connected(), closed() or connects() may have changed; call
  // clear_wake().
  int wake_fd() const;
  void clear_wake();

  bool connected() const;
  // Why the connection was closed for good: the server refuses the credentials repeatedly, or it
  // went away during the first connect. "": it was not closed for good.
  std::string closed() const;
  uint64_t connects() const;  // how many times the connection was established
  // How many times a consumer may have ended: connects(), plus the missed heartbeats of consumers.
  uint64_t interruptions() const;
  std::string server_id() const;  // random for each start of a server
  size_t most_payload() const;    // bytes
  // The text of the error if the server has refused something since the last call; "": nothing.
  std::string refusal();

  // Subscribes to a subject, also after a reconnect; messages() returns the messages. The newest
  // messages of each subscription are kept, so one subscription cannot displace the messages of
  // another.
  Result<void> subscribe(const std::string& subject, KeptMessages kept = {});
  // The messages received since the last call: for each subscription, oldest first.
  std::vector<Message> messages();

  // Publishes without an acknowledgement.
  Result<void> publish(const std::string& subject, std::string_view data);
  // Publishes a request. The answers are sent to the subject `reply`.
  Result<void> publish_request(const std::string& subject, const std::string& reply,
                               std::string_view data);
  using Headers = std::vector<std::pair<std::string, std::string>>;
  Published publish(const std::string& subject, const std::string& id, const Headers& headers,
                    std::string_view data, std::chrono::milliseconds timeout);
  // The last message of a stream with this subject; nullopt: there is none. Errors: ENOENT: no such
  // stream; ETIMEDOUT.
  Result<std::optional<Message>> last_message(const std::string& stream,
                                              const std::string& subject);
  // Stores a message as the last one with its subject, if the number of the current last message is
  // `last` (0: there is none). Returns the new number; nullopt: another message was stored
  // meanwhile.
  Result<std::optional<uint64_t>> replace_last(const std::string& subject, uint64_t last,
                                               std::string_view data);
  // Waits until the server has received everything published.
  Result<void> flush(std::chrono::milliseconds timeout);

  __natsConnection* nats() const;
  __jsCtx* jetstream() const;

 private:
  struct State;  // shared with the threads of libnats
  struct Subscription;
  explicit Connection(std::unique_ptr<State> state);

  std::unique_ptr<State> state_;
};

}  // namespace knell::fleet
