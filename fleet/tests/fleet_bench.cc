// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-fleet-bench [HOSTS [EVENTS]]: what a fleet costs, with a nats-server of its own on this
// machine:
// - how long until all of HOSTS simulated hosts have applied a changed interest, and their memory;
// - the CPU time of one forwarder an event.
#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "fleet/interest_store.h"
#include "fleet/streams.h"
#include "fleet/tests/nats_server.h"
#include "fleet/tests/simulated_host.h"

namespace knell::fleet {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point from) {
  return std::chrono::duration<double>(Clock::now() - from).count();
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

long resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::atol(line.c_str() + 6);
  return 0;
}

std::unique_ptr<Connection> reader_of(const NatsServer& server) {
  ConnectOptions to;
  to.servers = server.url();
  auto connection = Connection::create(to);
  if (!connection || !create_streams(**connection, {})) std::abort();
  return *std::move(connection);
}

void ask(Connection& connection, uint32_t events) {
  const int64_t expires = system_clock().realtime_ns() / 1'000'000 + 3'600'000;
  if (!change_interest(connection, [&](FleetInterest& interest) {
        return put_selector(interest, {"bench", "*", events, {}, expires}, 0);
      }))
    std::abort();
}

void measure_interest(int count) {
  const NatsServer server;
  const auto reader = reader_of(server);
  const long before = resident_kib();
  std::vector<std::unique_ptr<Host>> hosts;
  for (int i = 0; i < count; ++i)
    hosts.push_back(
        std::make_unique<Host>(server.url(), forwarder_options(fmt::format("host{}", i))));
  const auto all_apply = [&](uint32_t events) {
    for (bool all = false; !all;) {
      all = true;
      for (const auto& host : hosts) {
        host->forwarder->step();
        all = all && host->stream.wanted().events == events;
      }
    }
  };
  ask(*reader, KNELL_EVENT_EXEC);
  all_apply(KNELL_EVENT_EXEC);
  fmt::print("{} hosts: {} KiB of memory each, with a connection and its threads\n", count,
             (resident_kib() - before) / count);
  for (const uint32_t events : {KNELL_EVENT_FORK, KNELL_EVENT_EXEC, KNELL_EVENT_FORK}) {
    const auto start = Clock::now();
    ask(*reader, events);
    all_apply(events);
    fmt::print("{} hosts: a changed interest is in force after {:.3f} s\n", count,
               seconds_since(start));
  }
}

void measure_events(int count, uint32_t batch) {
  const NatsServer server;
  const auto reader = reader_of(server);
  ForwarderOptions options = forwarder_options("host");
  options.batch.events = batch;
  options.batch.bytes = size_t{1} << 20;
  Host host(server.url(), options);
  ask(*reader, KNELL_EVENT_EXIT);
  if (!host.run_until([&] { return host.stream.wanted().events != 0; })) std::abort();
  host.stream.produce(count);
  const auto start = Clock::now();
  const double cpu = cpu_seconds();
  while (host.forwarder->outbox().sent() != static_cast<uint64_t>(count)) host.forwarder->step();
  fmt::print(
      "{} events, {} a message: {:.2f} us of CPU an event in the forwarder, {:.0f} events/s\n",
      count, batch, (cpu_seconds() - cpu) / count * 1e6, count / seconds_since(start));
}

}  // namespace
}  // namespace knell::fleet

int main(int argc, char** argv) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  const int hosts = argc > 1 ? std::atoi(argv[1]) : 1000;
  const int events = argc > 2 ? std::atoi(argv[2]) : 200'000;
  if (hosts < 1 || events < 64) {
    fmt::print(stderr, "usage: knell-fleet-bench [HOSTS [EVENTS]]\n");
    return 2;
  }
  for (const uint32_t batch : {1u, 32u, 64u}) knell::fleet::measure_events(events, batch);
  knell::fleet::measure_interest(hosts);
  return 0;
}
