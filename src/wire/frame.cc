// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "wire/frame.h"

namespace knell::wire {

static_assert(sizeof(knell_cn_msg) == 20 && sizeof(nlmsghdr) == 16 && sizeof(nlattr) == 4);

FrameWriter::FrameWriter(std::string& out, Message type, uint32_t seq)
    : out_(out), start_(out.size()) {
  nlmsghdr header{};
  header.nlmsg_type = static_cast<uint16_t>(type);
  knell_cn_msg message{};
  message.idx = KNELL_CN_IDX_PROC;
  message.val = kVal;
  message.seq = seq;
  out_.append(reinterpret_cast<const char*>(&header), sizeof header);
  out_.append(reinterpret_cast<const char*>(&message), sizeof message);
}

void FrameWriter::finish() {
  const size_t bytes = out_.size() - start_;
  KNELL_CHECK(bytes <= kMostFrame);
  const auto total = static_cast<uint32_t>(bytes);
  const auto length = static_cast<uint16_t>(bytes - kHeaderBytes);
  std::memcpy(out_.data() + start_ + offsetof(nlmsghdr, nlmsg_len), &total, sizeof total);
  std::memcpy(out_.data() + start_ + sizeof(nlmsghdr) + offsetof(knell_cn_msg, len), &length,
              sizeof length);
}

void FrameWriter::attribute(uint16_t type, std::string_view bytes) {
  KNELL_CHECK(attribute_bytes(bytes.size()) <= room());
  const nlattr header{.nla_len = static_cast<uint16_t>(sizeof(nlattr) + bytes.size()),
                      .nla_type = type};
  out_.append(reinterpret_cast<const char*>(&header), sizeof header);
  out_.append(bytes);
  out_.append(padded(bytes.size()) - bytes.size(), '\0');
}

Result<std::optional<Frame>> parse_frame(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes) return std::nullopt;
  nlmsghdr header;
  knell_cn_msg message;
  std::memcpy(&header, bytes.data(), sizeof header);
  std::memcpy(&message, bytes.data() + sizeof header, sizeof message);
  if (header.nlmsg_len < kHeaderBytes || header.nlmsg_len > kMostFrame ||
      header.nlmsg_len != kHeaderBytes + message.len || message.len % 4 != 0 ||
      message.idx != KNELL_CN_IDX_PROC || message.val != kVal)
    return say(EBADMSG, "not a message of the protocol of knell");
  if (bytes.size() < header.nlmsg_len) return std::nullopt;
  return Frame{.type = static_cast<Message>(header.nlmsg_type),
               .seq = message.seq,
               .payload = bytes.substr(kHeaderBytes, message.len),
               .bytes = header.nlmsg_len};
}

Result<Frame> parse_packet(std::string_view bytes) {
  KNELL_ASSIGN(const auto frame, parse_frame(bytes));
  if (!frame) return say(EBADMSG, "a packet is shorter than its message");
  if (frame->bytes != bytes.size()) return say(EBADMSG, "a packet is longer than its message");
  return *frame;
}

std::optional<AttributeView> AttributeReader::next() {
  if (rest_.empty() || malformed_) return std::nullopt;
  nlattr header;
  malformed_ = rest_.size() < sizeof header;
  if (malformed_) return std::nullopt;
  std::memcpy(&header, rest_.data(), sizeof header);
  malformed_ = header.nla_len < sizeof header || padded(header.nla_len) > rest_.size();
  if (malformed_) return std::nullopt;
  const AttributeView view{.type = static_cast<uint16_t>(header.nla_type & kTypeMask),
                           .mandatory = (header.nla_type & kMandatory) != 0,
                           .bytes = rest_.substr(sizeof header, header.nla_len - sizeof header)};
  rest_.remove_prefix(padded(header.nla_len));
  return view;
}

}  // namespace knell::wire
