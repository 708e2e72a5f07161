// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
// `knell-fleet init`: creates what a fleet needs on the server.
#include <fmt/format.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/numbers.h"
#include "fleet/command.h"
#include "fleet/streams.h"
#include "fleet/subject.h"

namespace knell::fleet {
namespace {

class Init final : public Command {
 public:
  std::string_view name() const override { return "init"; }
  std::string_view summary() const override {
    return "creates the streams and the bucket of a fleet, or changes their limits";
  }
  std::string_view notes() const override {
    return "Existing streams keep the limits that are not typed, and new shards get those of the "
           "first.\n"
           "\n"
           "Exit status: 0 done; 1 failed; 2 wrong usage.\n"
           "\n"
           "Examples:\n"
           "  knell fleet init\n"
           "  knell fleet init --server tls://nats1:4222 --replicas 3 --age 30d --bytes "
           "200000000000\n";
  }
  void add_options(CommandLine& line) override {
    server_.add(line);
    line.add_value("--age", age_, "TIME", "keep events this long; default for a new fleet 7d");
    line.add_value(
        "--bytes", bytes_, "N",
        "keep at most this many bytes in all shards; default for a new fleet 10737418240");
    line.add_value("--replicas", replicas_, "N",
                   "copies in a cluster: 1, 3 or 5; default for a new fleet 1");
    line.add_value(
        "--shards", shards_, "N",
        "streams that share the events by host, 1 to 64; default: those that exist, or 1");
    line.add_flag("--discard-new", discard_new_, "a full stream refuses new events");
    line.add_flag("--discard-old", discard_old_,
                  "a full stream deletes the oldest events; default for a new fleet");
  }
  Result<void> check() override {
    KNELL_TRY(server_.check());
    if (!age_.empty()) {
      const auto age = parse_duration(age_);
      if (!age || *age < std::chrono::minutes(1))
        return say(EINVAL, "--age takes a time of at least 1m, such as 7d");
      limits_.age = *age;
    }
    if (!bytes_.empty()) {
      const auto bytes = parse_number(bytes_, 1 << 20, INT64_MAX);
      if (!bytes) return say(EINVAL, "--bytes takes a number of at least 1048576");
      limits_.bytes = *bytes;
    }
    if (!replicas_.empty()) {
      const auto replicas = parse_number(replicas_, 1, 5);
      if (!replicas || *replicas % 2 == 0) return say(EINVAL, "--replicas takes 1, 3 or 5");
      limits_.replicas = static_cast<int>(*replicas);
    }
    if (!shards_.empty()) {
      const auto shards = parse_number(shards_, 1, kMostShards);
      if (!shards)
        return say(EINVAL, fmt::format("--shards takes a number from 1 to {}", kMostShards));
      limits_.shards = static_cast<uint32_t>(*shards);
    }
    if (discard_new_ && discard_old_)
      return say(EINVAL, "--discard-new cannot be used with --discard-old");
    if (discard_new_ || discard_old_) limits_.discard_new = discard_new_;
    return {};
  }
  Result<int> execute() override {
    KNELL_ASSIGN(const auto connection, Connection::create(server_.get()));
    KNELL_ASSIGN(const auto lines, create_streams(*connection, limits_));
    std::string out;
    for (const std::string& line : lines) out += line + '\n';
    if (::write(STDOUT_FILENO, out.data(), out.size()) < 0) return errno_error("write the output");
    return kDone;
  }

 private:
  ServerOptions server_;
  StreamLimits limits_;
  std::string age_, bytes_, replicas_, shards_;
  bool discard_new_ = false, discard_old_ = false;
};

}  // namespace

std::unique_ptr<Command> make_init() { return std::make_unique<Init>(); }

}  // namespace knell::fleet
