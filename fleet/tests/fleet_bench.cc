// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-fleet-bench [HOSTS [EVENTS]]: measures the costs of a fleet, with a separate nats-server on
// this machine:
// - the CPU time of one forwarder an event, without that of knelld and of reading from it;
// - how many events a second one server takes from several forwarders, and its CPU time;
// - how long until all of HOSTS simulated hosts have applied a changed interest, and their memory.
//
// knell-fleet-bench publish URL SUBJECT: publishes each line of standard input as a message,
// without an acknowledgement, as `nats pub` of the NATS command line tools does. fleet_pipe_bench
// compares it with a forwarder.
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string_view>
#include <thread>

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

// The CPU time of another process, in steps of 10 ms.
double cpu_seconds(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string stat(std::istreambuf_iterator<char>(file), {});
  std::istringstream fields(stat.substr(stat.rfind(')') + 1));
  std::string field;
  double ticks = 0;
  for (int number = 3; fields >> field; ++number)
    if (number == 14 || number == 15) ticks += std::stod(field);
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

long resident_kib(pid_t pid = ::getpid()) {
  std::ifstream status(fmt::format("/proc/{}/status", pid));
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
  const long before = resident_kib(), server_before = resident_kib(server.pid());
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
  fmt::print(
      "{} hosts: {} KiB of memory each, with a connection and its threads; {} KiB in the server\n",
      count, (resident_kib() - before) / count,
      (resident_kib(server.pid()) - server_before) / count);
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

// Several forwarders, each in a thread: more than one is needed to keep the server busy, since each
// waits for the acknowledgement of a message before it sends the next.
void measure_server(int forwarders, int count, uint32_t batch) {
  const NatsServer server;
  const auto reader = reader_of(server);
  std::vector<std::unique_ptr<Host>> hosts;
  for (int i = 0; i < forwarders; ++i) {
    ForwarderOptions options = forwarder_options(fmt::format("host{}", i));
    options.batch.events = batch;
    options.batch.bytes = size_t{1} << 20;
    hosts.push_back(std::make_unique<Host>(server.url(), options));
  }
  ask(*reader, KNELL_EVENT_EXIT);
  for (const auto& host : hosts)
    if (!host->run_until([&] { return host->stream.wanted().events != 0; })) std::abort();
  const auto start = Clock::now();
  const double cpu = cpu_seconds(), server_cpu = cpu_seconds(server.pid());
  std::vector<std::thread> threads;
  for (const auto& host : hosts)
    threads.emplace_back([&host, count] {
      host->stream.produce(count);
      while (host->forwarder->outbox().sent() != static_cast<uint64_t>(count))
        host->forwarder->step();
    });
  for (std::thread& thread : threads) thread.join();
  const double events = static_cast<double>(count) * forwarders;
  fmt::print(
      "{} forwarders, {} events a message: {:.0f} events/s through one server; {:.2f} us of CPU an "
      "event in the server, {:.2f} us in a forwarder\n",
      forwarders, batch, events / seconds_since(start),
      (cpu_seconds(server.pid()) - server_cpu) / events * 1e6,
      (cpu_seconds() - cpu) / events * 1e6);
}

int publish_lines(const std::string& url, const std::string& subject) {
  ConnectOptions to;
  to.servers = url;
  const auto connection = Connection::create(to);
  if (!connection) {
    fmt::print(stderr, "{}\n", connection.error().message());
    return 1;
  }
  for (std::string line; std::getline(std::cin, line);)
    if (!(*connection)->publish(subject, line)) return 1;
  return (*connection)->flush(std::chrono::seconds(10)) ? 0 : 1;
}

}  // namespace
}  // namespace knell::fleet

int main(int argc, char** argv) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  if (argc == 4 && std::string_view(argv[1]) == "publish") {
    std::ios::sync_with_stdio(false);
    return knell::fleet::publish_lines(argv[2], argv[3]);
  }
  const int hosts = argc > 1 ? std::atoi(argv[1]) : 1000;
  const int events = argc > 2 ? std::atoi(argv[2]) : 200'000;
  if (hosts < 1 || events < 64) {
    fmt::print(stderr,
               "usage: knell-fleet-bench [HOSTS [EVENTS]]\n"
               "       knell-fleet-bench publish URL SUBJECT\n");
    return 2;
  }
  for (const uint32_t batch : {1u, 32u, 64u}) knell::fleet::measure_events(events, batch);
  for (const int forwarders : {2, 8, 32})
    knell::fleet::measure_server(forwarders, std::max(events / forwarders, 64), 64);
  knell::fleet::measure_server(32, std::max(events / 32, 64), 1);
  knell::fleet::measure_interest(hosts);
  return 0;
}
