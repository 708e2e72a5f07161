// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "export/listen_address.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include "base/numbers.h"

namespace knell::exporter {

std::optional<ListenAddress> ListenAddress::parse(std::string_view text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_number(text.substr(colon + 1), 0, 65535);
  std::string host(text.substr(0, colon));
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  in6_addr address{};  // room for both
  if (!port || ::inet_pton(brackets ? AF_INET6 : AF_INET, host.c_str(), &address) != 1)
    return std::nullopt;
  return ListenAddress(std::move(host), static_cast<int>(*port));
}

std::string ListenAddress::text() const {
  const bool v6 = host_.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host_, port_) : fmt::format("{}:{}", host_, port_);
}

}  // namespace knell::exporter
