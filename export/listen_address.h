// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace knell::exporter {

// A numeric address and a port to listen on. The HTTP server understands more in its place, such as
// lists and file names of certificates, so the text is checked before it gets there.
class ListenAddress {
 public:
  ListenAddress(std::string host, int port) : host_(std::move(host)), port_(port) {}
  // "127.0.0.1:9437", "[::1]:9437"; port 0: one that is free. nullopt: anything else.
  static std::optional<ListenAddress> parse(std::string_view text);

  const std::string& host() const { return host_; }
  int port() const { return port_; }
  std::string text() const;

 private:
  std::string host_;  // without brackets
  int port_;
};

}  // namespace knell::exporter
