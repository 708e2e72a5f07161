// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell-microbench: the steps of an event one by one, without the kernel. The column `each` is the
// time of one event in seconds (14n is 14 ns); the other counters are per event.
#include <benchmark/benchmark.h>

#include <csignal>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cli/table.h"
#include "event/batch.h"
#include "event/cn_message.h"
#include "event/json.h"
#include "event/raw.h"
#include "filter/predicates.h"
#include "hub/hub.h"
#include "lib/predicate_parser.h"
#include "process/fake_proc.h"
#include "server/wire_event_encoder.h"
#include "source/bpf/decode.h"
#include "source/bpf/event_builder.h"
#include "source/bpf/record_for_test.h"
#include "source/connector/assembler.h"
#include "source/output.h"

namespace knell::bench {
namespace {

using benchmark::Counter;
using namespace std::string_view_literals;

// About as many events as one drain reads under load
constexpr size_t kSamples = 256;
// Timestamp of the first event: a day after the boot
constexpr uint64_t kFirstNs = 90'000'000'000'000;

struct SampleProgram {
  std::string_view comm, args, exe;  // exe: as in a record, the names from the last to the first
  uint32_t uid;
  const char* cgroup;
};
// NOLINTBEGIN(bugprone-string-literal-with-embedded-nul): words and names end with one
constexpr SampleProgram kPrograms[] = {
    {"grep", "grep\0-q\0nosuch\0/etc/passwd\0"sv, "grep\0bin\0usr\0"sv, 0,
     "/system.slice/cron.service"},
    {"postgres", "postgres: app orders 10.1.2.3(51234) UPDATE\0"sv,
     "postgres\0bin\0"
     "15\0postgresql\0lib\0usr\0"sv,
     101, "/system.slice/postgresql@15-main.service"},
    {"php-fpm8.2", "php-fpm: pool www\0"sv, "php-fpm8.2\0sbin\0usr\0"sv, 33,
     "/system.slice/php8.2-fpm.service"},
    {"cc1",
     "/usr/lib/gcc/x86_64-linux-gnu/12/cc1\0-quiet\0-imultiarch\0x86_64-linux-gnu\0parser.c\0"
     "-dumpbase\0parser.c\0-mtune=generic\0-march=x86-64\0-O2\0-Wall\0-Wextra\0-o\0"
     "/tmp/ccXmQ2Lb.s\0"sv,
     "cc1\0"
     "12\0x86_64-linux-gnu\0gcc\0lib\0usr\0"sv,
     1000, "/user.slice/user-1000.slice/session-3.scope"},
};
// NOLINTEND(bugprone-string-literal-with-embedded-nul)

const SampleProgram& program_of(size_t i) { return kPrograms[i % std::size(kPrograms)]; }
uint64_t cgroup_inode(size_t i) { return 4711 + i % std::size(kPrograms); }

// The two records that the bpf programs send for an exit.
struct ExitRecord {
  source::RecordBytes details;
  knell_mark mark;
};

// The i-th exit: one in ten fails, one in fifty is killed.
ExitRecord exit_of_process(size_t i, uint32_t details) {
  const SampleProgram& program = program_of(i);
  const bool is_killed = i % 50 == 49;
  knell_process process{};
  process.head.kind = KNELL_RECORD_DETAILS;
  process.pid = process.tid = static_cast<int32_t>(10'000 + i);
  process.ppid = 900;
  process.parent_start_ns = 1'000'000'000;
  knell_mark mark{};
  mark.head.kind = KNELL_RECORD_MARK;
  mark.head.stamp_ns = kFirstNs + i * 10'000;
  mark.pid = process.pid;
  mark.ppid = process.ppid;
  mark.start_ns = process.start_ns = mark.head.stamp_ns - 2'345'678;
  mark.status = is_killed ? SIGKILL : i % 10 == 0 ? 1 << 8 : 0;
  mark.signal = SIGCHLD;
  std::string tail;
  if (details == KNELL_DETAILS_STATUS) return {source::RecordBytes(process), mark};
  process.head.flags |= KNELL_RECORD_NAMED;
  program.comm.copy(process.comm, sizeof process.comm - 1);
  std::string_view("bash").copy(process.parent_comm, sizeof process.parent_comm);
  process.uid = process.gid = program.uid;
  process.cgroup = cgroup_inode(i);
  if (details == KNELL_DETAILS_FULL) {
    constexpr std::string_view kCwd = "somewhere\0lib\0var\0"sv;
    process.head.flags |= KNELL_RECORD_ARGS;
    process.args_bytes = static_cast<uint32_t>(program.args.size());
    process.exe_bytes = static_cast<uint32_t>(program.exe.size());
    process.cwd_bytes = static_cast<uint32_t>(kCwd.size());
    tail.append(program.args).append(program.exe).append(kCwd);
  }
  if (is_killed) {
    process.head.flags |= KNELL_RECORD_KILLER;
    knell_sender killer{};
    killer.cause = KNELL_CAUSE_USER;
    killer.pid = 8103;
    std::string_view("bash").copy(killer.comm, sizeof killer.comm);
    tail += source::bytes_of(killer);
  }
  return {source::RecordBytes(process, tail), mark};
}

class EveryEvent final : public source::Sink {
 public:
  uint32_t types() const override { return KNELL_EVENT_ALL | KNELL_EVENT_LOST; }
  bool wants(event::Slot&, const filter::Ancestry&) override { return true; }
  void on_process_ended(int32_t, uint64_t, std::span<const event::NamespacePids>) override {}
};

// An output for `capacity` events, all of which are wanted.
struct Made {
  explicit Made(size_t capacity) : batch(capacity), out(batch, sink, clock, /*boot=*/0x5eed) {
    clock.now_ns = kFirstNs + 100'000;
    clock.epoch_ns = 1'700'000'000'000'000'000;
    out.begin_drain();
  }
  FakeClock clock;
  EveryEvent sink;
  event::Batch batch;
  source::Output out;
  process::FakeProc tree;
  process::ProcReader proc = tree.reader();
};

// Exits as bpf reports them.
struct MadeOfRecords : Made {
  explicit MadeOfRecords(uint32_t level_of_details) : Made(kSamples) {
    for (size_t i = 0; i < std::size(kPrograms); i++)
      builder.cgroups().learn(cgroup_inode(i), program_of(i).cgroup);
    for (size_t i = 0; i < kSamples; i++) records.push_back(exit_of_process(i, level_of_details));
    for (const ExitRecord& one : records) decoded.push_back(*source::decode(one.details.view()));
  }
  void add_all() {
    for (size_t i = 0; i < kSamples; i++)
      builder.add_exit(&decoded[i], records[i].mark, 0, source::EventBuilder::DetailsLost::kNo);
  }
  process::ProcessTable table{proc, clock, out.time(), 0x5eed};
  source::EventBuilder builder{out, table};
  std::vector<ExitRecord> records;
  std::vector<source::Decoded> decoded;
};

// kSamples events as a listener receives them. Owns the memory that they point to.
class Samples {
 public:
  explicit Samples(uint32_t details) : made_(details) {
    made_.add_all();
    for (size_t i = 0; i < kSamples; i++) {
      made_.batch[i].event.seq = i + 1;
      events_.push_back(made_.batch[i].event);
    }
  }
  Samples(const Samples&) = delete;
  Samples& operator=(const Samples&) = delete;
  std::vector<knell_event>& events() { return events_; }

 private:
  MadeOfRecords made_;
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

using filter::NoAncestry;

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
  const ExitRecord record = exit_of_process(0, KNELL_DETAILS_FULL);
  const source::RecordBytes mark(record.mark);
  for (auto _ : state) {
    benchmark::DoNotOptimize(source::decode(record.details.view()));
    benchmark::DoNotOptimize(source::decode(mark.view()));
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
    // The other listeners want a process that does not exit here.
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

// --- make: what the kernel reports to finished events ---

class NoProbe : public source::ProcessProbe {
 public:
  Sign probe(int32_t, uint64_t, UniqueFd&) override { return Sign::kGone; }
  std::optional<int32_t> status(int32_t, const UniqueFd&) override { return std::nullopt; }
  bool watch(int32_t, int) override { return false; }
  bool exists(int32_t) override { return false; }
};

// Thread-level events: fork and exit of each process.
void make_of_connector(benchmark::State& state) {
  constexpr int kProcesses = 64;
  Made made(kSamples);
  NoProbe probe;
  source::Assembler assembler({}, made.out, made.proc, probe);
  KNELL_CHECK(assembler.set_request({.details = KNELL_DETAILS_STATUS}, KNELL_EVENT_ALL));
  uint64_t stamp = kFirstNs;
  size_t events = 0;
  for (auto _ : state) {
    made.out.begin_drain();
    for (int i = 0; i < kProcesses; i++) {
      event::Raw raw;
      raw.pid = raw.tid = 10'000 + i;
      raw.what = KNELL_EVENT_FORK;
      raw.stamp_ns = ++stamp;
      raw.u.fork = {1, 1};
      assembler.on_raw(raw);
      raw.what = KNELL_EVENT_EXIT;
      raw.stamp_ns = ++stamp;
      raw.u.exit = {1 << 8, 17, 1, 1};
      assembler.on_raw(raw);
    }
    (void)assembler.probe_exits();
    assembler.finish();
    events += made.batch.size();
    made.batch.clear();
  }
  report(state, kProcesses, "events", events);
}
BENCHMARK(make_of_connector)->Name("make/connector, fork and exit, status");

void make_of_bpf(benchmark::State& state, uint32_t details) {
  MadeOfRecords made(details);
  size_t events = 0;
  for (auto _ : state) {
    made.out.begin_drain();
    made.add_all();
    events += made.batch.size();
    made.batch.clear();
  }
  report(state, kSamples, "events", events);
}
BENCHMARK_CAPTURE(make_of_bpf, status, KNELL_DETAILS_STATUS)->Name("make/bpf, exit, status");
BENCHMARK_CAPTURE(make_of_bpf, full, KNELL_DETAILS_FULL)->Name("make/bpf, exit, full");

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
