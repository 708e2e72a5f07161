// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-microbench: the steps of an event one by one, without the kernel. The column `each` is the
// time of one event in seconds (14n is 14 ns); the other counters are per event.
#include <benchmark/benchmark.h>

#include <csignal>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/table.h"
#include "event/cn_message.h"
#include "event/full.h"
#include "event/json.h"
#include "event/raw.h"
#include "filter/predicates.h"
#include "hub/hub.h"
#include "lib/predicate_parser.h"
#include "server/wire_event_encoder.h"
#include "source/bpf/decode.h"
#include "event/batch.h"
#include "source/bpf/event_filler.h"
#include "process/fake_proc.h"
#include "source/connector/assembler.h"

namespace knell::bench {
namespace {

using benchmark::Counter;
using namespace std::string_view_literals;

constexpr size_t kSamples = 256;                   // about what one drain brings under load
constexpr uint64_t kFirstNs = 90'000'000'000'000;  // a day after the boot

struct SampleProgram {
  std::string_view comm, args, exe;
  uint32_t uid;
  const char* cgroup;
};
// NOLINTBEGIN(bugprone-string-literal-with-embedded-nul): words of args end with one
constexpr SampleProgram kPrograms[] = {
    {"grep", "grep\0-q\0nosuch\0/etc/passwd\0"sv, "/usr/bin/grep", 0, "/system.slice/cron.service"},
    {"postgres", "postgres: app orders 10.1.2.3(51234) UPDATE\0"sv,
     "/usr/lib/postgresql/15/bin/postgres", 101, "/system.slice/postgresql@15-main.service"},
    {"php-fpm8.2", "php-fpm: pool www\0"sv, "/usr/sbin/php-fpm8.2", 33,
     "/system.slice/php8.2-fpm.service"},
    {"cc1",
     "/usr/lib/gcc/x86_64-linux-gnu/12/cc1\0-quiet\0-imultiarch\0x86_64-linux-gnu\0parser.c\0"
     "-dumpbase\0parser.c\0-mtune=generic\0-march=x86-64\0-O2\0-Wall\0-Wextra\0-o\0"
     "/tmp/ccXmQ2Lb.s\0"sv,
     "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", 1000, "/user.slice/user-1000.slice/session-3.scope"},
};
// NOLINTEND(bugprone-string-literal-with-embedded-nul)

const SampleProgram& program_of(size_t i) { return kPrograms[i % std::size(kPrograms)]; }
uint64_t cgroup_inode(size_t i) { return 4711 + i % std::size(kPrograms); }

// What a source reports of the i-th exit: one in ten fails, one in fifty is killed.
event::Full exit_of_process(size_t i, uint32_t details) {
  const SampleProgram& program = program_of(i);
  const bool is_killed = i % 50 == 49;
  event::Full full;
  full.what = KNELL_EVENT_EXIT;
  full.stamp_ns = kFirstNs + i * 10'000;
  full.pid = full.tid = static_cast<int32_t>(10'000 + i);
  full.start_boot_ns = full.stamp_ns - 2'345'678;
  full.ppid = 900;
  full.parent_start_boot_ns = 1'000'000'000;
  full.u.exit = {is_killed ? SIGKILL : i % 10 == 0 ? 1 << 8 : 0, SIGCHLD};
  if (details == KNELL_DETAILS_STATUS) return full;
  full.has_details = true;
  program.comm.copy(full.comm.data(), full.comm.size() - 1);
  full.parent_comm = {"bash"};
  full.uid = full.gid = program.uid;
  full.cgroup = cgroup_inode(i);
  if (is_killed) full.killer = {.cause = KNELL_CAUSE_USER, .pid = 8103, .comm = {"bash"}};
  if (details == KNELL_DETAILS_NAMES) return full;
  full.has_args = true;
  full.args = program.args;
  full.exe = program.exe;
  full.cwd = "/var/lib/somewhere";
  return full;
}

// kSamples events as a listener receives them. Owns all they point to.
class Samples {
 public:
  explicit Samples(uint32_t details) : filler_(/*boot=*/0x5eed, time_), batch_(kSamples) {
    time_.epoch_ns = 1'700'000'000'000'000'000;
    for (size_t i = 0; i < std::size(kPrograms); i++)
      filler_.cgroups().learn(cgroup_inode(i), program_of(i).cgroup);
    for (size_t i = 0; i < kSamples; i++) {
      const event::Full full = exit_of_process(i, details);
      event::Slot* slot = batch_.reserve();
      knell_event& event = slot->event;
      event.size = sizeof event;
      event.type = full.what;
      event.via = KNELL_VIA_BPF;
      event.seq = i + 1;
      event.mono_ns = full.stamp_ns;
      event.time_ns = time_.realtime_ns(full.stamp_ns);
      event.pid = event.tid = full.pid;
      filler_.fill(batch_, *slot, full);
      events_.push_back(event);
    }
  }
  Samples(const Samples&) = delete;
  Samples& operator=(const Samples&) = delete;
  std::vector<knell_event>& events() { return events_; }

 private:
  process::Timebase time_;
  source::EventFiller filler_;
  event::Batch batch_;
  std::vector<knell_event> events_;
};

void report(benchmark::State& state, size_t events, const char* counter = nullptr,
            size_t count = 0) {
  const auto all = static_cast<double>(events);
  state.counters["each"] = Counter(all, Counter::kIsIterationInvariantRate | Counter::kInvert);
  if (counter != nullptr) {
    state.counters[counter] =
        static_cast<double>(count) / all / static_cast<double>(state.iterations());
  }
}

class NoAncestry : public filter::Ancestry {
 public:
  bool is_under(int32_t, const knell_event&) const override { return false; }
};

// --- decode: bytes of the kernel to an event ---

void decode_connector(benchmark::State& state) {
  event::Raw raw;
  raw.what = KNELL_EVENT_EXIT;
  raw.pid = raw.tid = 1000;
  const auto datagram = event::encode(raw);
  for (auto _ : state) benchmark::DoNotOptimize(event::decode(datagram));
  report(state, 1);
}
BENCHMARK(decode_connector)->Name("decode/connector datagram");

// The details of a process, followed by the strings, and the mark that ends it.
void decode_bpf(benchmark::State& state) {
  const std::string_view args = kPrograms[0].args, exe = "grep\0bin\0usr\0"sv;
  struct {
    knell_process process{};
    char tail[64]{};
  } record;
  record.process.head.kind = KNELL_RECORD_DETAILS;
  record.process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_ARGS;
  record.process.pid = record.process.tid = 1000;
  record.process.args_bytes = static_cast<uint32_t>(args.copy(record.tail, args.size()));
  record.process.exe_bytes = static_cast<uint32_t>(exe.copy(record.tail + args.size(), exe.size()));
  knell_mark mark{};
  mark.head.kind = KNELL_RECORD_MARK;
  mark.pid = 1000;
  const std::string_view bytes(reinterpret_cast<const char*>(&record), sizeof record);
  const std::string_view mark_bytes(reinterpret_cast<const char*>(&mark), sizeof mark);
  source::RecordDecoder decoder;
  for (auto _ : state) {
    const auto details = source::decode(bytes);
    const auto end = source::decode(mark_bytes);
    benchmark::DoNotOptimize(decoder.event_of_exit(&*details, *end->mark));
  }
  report(state, 1);
}
BENCHMARK(decode_bpf)->Name("decode/bpf exit: details and mark, full");

// --- filter ---

void filter(benchmark::State& state, const char* key, const char* values) {
  Samples samples(KNELL_DETAILS_FULL);
  filter::Predicates predicates;
  KNELL_CHECK(*key == '\0' || predicates.add(*lib::parse_predicate(key, values)));
  const NoAncestry ancestry;
  size_t passed = 0;
  for (auto _ : state) {
    for (const knell_event& event : samples.events())
      passed += predicates.matches(event, ancestry) ? 1 : 0;
    benchmark::DoNotOptimize(passed);
  }
  report(state, kSamples, "passed", passed);
}
BENCHMARK_CAPTURE(filter, none, "", "")->Name("filter/no predicate");
BENCHMARK_CAPTURE(filter, pid, "pid", "10010,10020")->Name("filter/--pid, two");
BENCHMARK_CAPTURE(filter, comm, "comm", "postgres")->Name("filter/--comm, whole");
BENCHMARK_CAPTURE(filter, glob, "comm", "php-fpm*")->Name("filter/--comm, glob");
BENCHMARK_CAPTURE(filter, exe, "exe", "/usr/lib/*/cc1")->Name("filter/--exe, glob");
BENCHMARK_CAPTURE(filter, unit, "unit", "postgresql@*")->Name("filter/--unit, glob");
BENCHMARK_CAPTURE(filter, cgroup, "cgroup", "/system.slice")->Name("filter/--cgroup");
BENCHMARK_CAPTURE(filter, ended, "ended", "2-255,SIGKILL,core")->Name("filter/--ended");

// --- hub: one event to the listeners that want it, encoded once ---

void publish(benchmark::State& state, bool one_wants_it) {
  Samples samples(KNELL_DETAILS_NAMES);
  server::WireEventEncoder encoder;
  hub::Hub hub(encoder, {.listeners = 2000});
  for (int64_t i = 0; i < state.range(0); ++i) {
    filter::Subscription asked;
    asked.mask = KNELL_EVENT_EXIT;
    asked.details = KNELL_DETAILS_NAMES;
    // The others want a process that does not exit here.
    if (one_wants_it && i > 0)
      asked.predicates = *lib::parse_predicate("pid", std::to_string(3'000'000 + i));
    const auto listener =
        hub.connect({.uid = 0, .scope = {.every_user = true}, .since_ns = 0}, nullptr);
    KNELL_CHECK(listener && hub.subscribe(**listener, asked));
  }
  const NoAncestry ancestry;
  for (auto _ : state) {
    for (const knell_event& event : samples.events()) {
      hub::PublishedEvent published;
      published.type = event.type;
      published.zero = (event.has & KNELL_HAS_STATUS) != 0 && event.wait_status == 0;
      published.stamp_ns = event.mono_ns;
      published.pid = event.pid;
      published.uid_known = (event.has & KNELL_HAS_UID) != 0;
      published.uid = event.uid;
      published.event = &event;
      hub.publish(published, ancestry);
    }
    hub.fresh([&](hub::Listener& listener) { hub.popped(listener, listener.queue().size()); });
  }
  report(state, kSamples, "delivered", hub.counters().delivered);
}
void publish_to_one(benchmark::State& state) { publish(state, true); }
BENCHMARK(publish_to_one)->Name("hub/one wants it, listeners")->Arg(1)->Arg(100)->Arg(1000);
void publish_to_all(benchmark::State& state) { publish(state, false); }
BENCHMARK(publish_to_all)->Name("hub/all want it, listeners")->Arg(1)->Arg(100)->Arg(1000);

// --- normalise: what a source sends to events of processes ---

class NoProbe : public source::ProcessProbe {
 public:
  Sign probe(int32_t, uint64_t, UniqueFd&) override { return Sign::kGone; }
  std::optional<int32_t> status(int32_t, const UniqueFd&) override { return std::nullopt; }
  bool watch(int32_t, int) override { return false; }
  bool exists(int32_t) override { return false; }
};

class EveryEvent : public source::EventFilter {
 public:
  uint32_t mask() const override { return KNELL_EVENT_ALL | KNELL_EVENT_LOST; }
  bool wants(event::Slot&, const filter::Ancestry&) override { return true; }
  void on_process_ended(int32_t, uint64_t) override {}
};

// Drains `events` events that `feed` gives to a normaliser.
template <class Feed>
void normalise(benchmark::State& state, process::NormaliserOptions options, size_t events,
               Feed feed) {
  options.boot = 1;
  process::FakeProc tree;
  process::ProcReader reader(tree.reader());
  FakeClock clock;
  clock.now_ns = kFirstNs + 100'000;
  NoProbe probe;
  EveryEvent event_filter;
  event::Batch batch(kSamples);
  source::Normaliser normaliser(options, reader, clock, probe, event_filter, batch);
  normaliser.set_reported_types(KNELL_EVENT_ALL);
  for (size_t i = 0; i < std::size(kPrograms); i++)
    normaliser.on_cgroup({.inode = cgroup_inode(i), .path = program_of(i).cgroup});
  size_t made = 0;
  for (auto _ : state) {
    normaliser.begin_drain();
    feed(normaliser);
    (void)normaliser.probe_exits();
    normaliser.finish();
    made += batch.size();
    batch.clear();
  }
  report(state, events, "events", made);
}

// Thread-level events: fork and exit of each process.
void normalise_connector(benchmark::State& state) {
  constexpr int kProcesses = 64;
  process::NormaliserOptions options;
  options.details = KNELL_DETAILS_STATUS;
  uint64_t stamp = kFirstNs;
  normalise(state, options, kProcesses, [&](source::Normaliser& normaliser) {
    for (int i = 0; i < kProcesses; i++) {
      event::Raw raw;
      raw.pid = raw.tid = 10'000 + i;
      raw.what = KNELL_EVENT_FORK;
      raw.stamp_ns = ++stamp;
      raw.u.fork = {1, 1};
      normaliser.on_raw(raw);
      raw.what = KNELL_EVENT_EXIT;
      raw.stamp_ns = ++stamp;
      raw.u.exit = {1 << 8, 17, 1, 1};
      normaliser.on_raw(raw);
    }
  });
}
BENCHMARK(normalise_connector)->Name("normalise/connector, fork and exit, status");

void normalise_bpf(benchmark::State& state, uint32_t details) {
  process::NormaliserOptions options;
  options.details = details;
  options.via = KNELL_VIA_BPF;
  options.full_events = true;
  std::vector<event::Full> fulls;
  for (size_t i = 0; i < kSamples; i++) fulls.push_back(exit_of_process(i, details));
  normalise(state, options, kSamples, [&](source::Normaliser& normaliser) {
    for (const event::Full& full : fulls) normaliser.on_full(full);
  });
}
BENCHMARK_CAPTURE(normalise_bpf, status, KNELL_DETAILS_STATUS)->Name("normalise/bpf, exit, status");
BENCHMARK_CAPTURE(normalise_bpf, full, KNELL_DETAILS_FULL)->Name("normalise/bpf, exit, full");

// --- render: an event to a line of text ---

template <class Append>
void render(benchmark::State& state, uint32_t details, Append append) {
  Samples samples(details);
  std::string out;
  size_t bytes = 0;
  for (auto _ : state) {
    out.clear();
    for (const knell_event& event : samples.events()) append(out, event);
    benchmark::DoNotOptimize(out.data());
    bytes += out.size();
  }
  report(state, kSamples, "bytes", bytes);
}

void json(benchmark::State& state, uint32_t details) {
  render(state, details,
         [](std::string& out, const knell_event& event) { event::append_json(out, event); });
}
BENCHMARK_CAPTURE(json, status, KNELL_DETAILS_STATUS)->Name("render/JSON, status");
BENCHMARK_CAPTURE(json, full, KNELL_DETAILS_FULL)->Name("render/JSON, full");

void table(benchmark::State& state) {
  cli::Table table(KNELL_EVENT_EXIT, false, {true, true, 120, 24});
  render(state, KNELL_DETAILS_FULL,
         [&](std::string& out, const knell_event& event) { table.add(event, out); });
}
BENCHMARK(table)->Name("render/table, full, terminal of 120 columns");

}  // namespace
}  // namespace knell::bench
