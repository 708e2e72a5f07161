// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "filter/predicates.h"
#include "wire/event.h"
#include "wire/protocol.h"

namespace {

using namespace knell::wire;

// The payload of a packet that we encoded.
std::string_view payload(const std::string& packet) {
  const auto frame = parse_packet(packet);
  KNELL_CHECK(frame);
  return frame->payload;
}

void check_error(const knell::Error& error) {
  KNELL_CHECK(error.sentence && !error.context.empty());
  KNELL_CHECK(error.code == EBADMSG || error.code == EINVAL || error.code == EOPNOTSUPP);
}

// If the bytes can be decoded, encoding the result and decoding it again must give the same.
template <class Decode, class Encode>
void try_one(std::string_view bytes, Decode decode, Encode encode) {
  const auto decoded = decode(bytes);
  if (!decoded) return check_error(decoded.error());
  const std::string packet = encode(*decoded);
  if (packet.empty()) return;
  const auto again = decode(payload(packet));
  KNELL_CHECK(again && *again == *decoded);
}

void try_server_hello(std::string_view bytes) {
  const auto hello = decode_server_hello(bytes);
  if (!hello) return check_error(hello.error());
  const auto again = decode_server_hello(payload(encode(*hello, 0)));
  KNELL_CHECK(again && again->scope == hello->scope && again->limits == hello->limits);
  KNELL_CHECK(again->origin.kernel == hello->origin.kernel);
  KNELL_CHECK(std::memcmp(&again->origin.subscription, &hello->origin.subscription,
                          sizeof(OriginSubscription)) == 0);
}

// Handles the predicates as the daemon does.
void try_predicates(const std::vector<knell::filter::Predicate>& all) {
  using namespace knell::filter;
  for (const Predicate& one : all) KNELL_CHECK(check(one));
  const auto compiled = Predicates::create(all);
  if (!compiled) return check_error(compiled.error());
  KNELL_CHECK(compiled->needs().possible != 0);
  KNELL_CHECK(compiled->empty() || !text_of(compiled->values(), 256).empty());
}

// Encodes each event by itself and decodes it again.
void try_events(std::string_view bytes, Message type) {
  EventReader reader(bytes, type);
  knell_event event;
  while (reader.next(event)) {
    if (event_bytes(event) > kMostEvent) continue;
    std::string buffer, out;
    EventFrame frame(out, 0, type);
    KNELL_CHECK(frame.add(epoch_of(event), encode_event(buffer, event)));
    frame.finish();
    EventReader again(payload(out), type);
    knell_event copy;
    KNELL_CHECK(again.next(copy) && copy.type == event.type && copy.time_ns == event.time_ns);
    KNELL_CHECK(!again.next(copy) && !again.malformed());
  }
}

void try_payload(std::string_view bytes) {
  try_one(bytes, decode_client_hello, [](const ClientHello& h) { return encode(h, 0); });
  try_server_hello(bytes);
  try_one(bytes, decode_subscribe, [](const knell::filter::Subscription& s) {
    try_predicates(s.predicates);
    const auto packet = encode(s, 0);
    KNELL_CHECK(packet || packet.error().code == EINVAL);
    return packet ? *packet : std::string();
  });
  try_one(bytes, decode_pids, [](const std::vector<AddedProcess>& pids) {
    return pids.size() > kMostPids ? std::string() : encode(Message::kAdd, pids, 0);
  });
  try_one(bytes, decode_acknowledge, [](const Acknowledge& a) { return encode(a, 0); });
  try_one(bytes, decode_forget, [](const Forget& forget) { return encode(forget, 0); });
  try_one(bytes, decode_history, [](const History& history) {
    try_predicates(history.wanted.predicates);
    const auto packet = encode(history, 0);
    KNELL_CHECK(packet || packet.error().code == EINVAL);
    return packet ? *packet : std::string();
  });
  try_one(bytes, decode_page, [](const Page& page) { return encode(page, 0); });
  if (const auto durable = decode_durable(bytes); !durable) check_error(durable.error());
  try_one(bytes, decode_ack, [](const Ack& ack) { return encode(ack, 0); });
  try_one(bytes, decode_bye, [](const Bye& bye) { return encode(bye, 0); });
  if (const auto status = decode_status_request(bytes); !status) check_error(status.error());
  if (const auto json = decode_status_text(bytes); !json) check_error(json.error());
  if (const auto snapshot = decode_snapshot_request(bytes); !snapshot)
    check_error(snapshot.error());
  try_events(bytes, Message::kEvents);
  try_events(bytes, Message::kProcesses);
}

}  // namespace

// Tries the input as a packet and as a payload: few inputs have a valid header.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto frame = parse_packet(bytes)) try_payload(frame->payload);
  try_payload(bytes);
  return 0;
}
