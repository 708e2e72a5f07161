// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// From the kernel's bytes to events: one datagram of the connector, one record of a BPF ring.
#include <benchmark/benchmark.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <vector>

#include "event/cn_message.h"
#include "report.h"
#include "source/bpf/decode.h"

namespace knell::bench {
namespace {

using namespace std::string_view_literals;

void connector_datagram(benchmark::State& state) {
  constexpr uint32_t kTypes[] = {KNELL_EVENT_FORK, KNELL_EVENT_EXEC, KNELL_EVENT_EXIT,
                                 KNELL_EVENT_COMM};
  std::vector<std::array<std::byte, event::kDatagramBytes>> datagrams;
  for (uint32_t i = 0; i < 64; i++) {
    event::Raw raw;
    raw.what = kTypes[i % std::size(kTypes)];
    raw.pid = raw.tid = static_cast<int32_t>(1000 + i);
    raw.stamp_ns = 1'000'000 + i;
    datagrams.push_back(event::encode(raw));
  }
  for (auto _ : state) {
    for (const auto& datagram : datagrams) benchmark::DoNotOptimize(event::decode(datagram));
  }
  report_each(state, datagrams.size());
}
BENCHMARK(connector_datagram)->Name("decode/connector datagram");

// On an 8-byte boundary, as in a ring.
std::vector<uint64_t> process_record(uint32_t kind, bool full) {
  const std::string_view args = "grep\0-q\0nosuch\0/etc/passwd\0"sv, exe = "grep\0bin\0usr\0"sv,
                         cwd = "somewhere\0lib\0var\0"sv;
  knell_process process{};
  process.head.kind = kind;
  process.head.stamp_ns = 1'000'000;
  process.pid = process.tid = 1000;
  process.status = 1 << 8;
  std::string_view tail;
  char bytes[256];
  if (full) {
    process.head.flags = KNELL_RECORD_NAMED | KNELL_RECORD_ARGS;
    std::strcpy(process.comm, "grep");
    process.args_bytes = static_cast<uint32_t>(args.size());
    process.exe_bytes = static_cast<uint32_t>(exe.size());
    process.cwd_bytes = static_cast<uint32_t>(cwd.size());
    size_t used = 0;
    for (const std::string_view text : {args, exe, cwd})
      used += text.copy(bytes + used, text.size());
    tail = {bytes, used};
  }
  std::vector<uint64_t> record((sizeof process + tail.size() + 7) / 8);
  std::memcpy(record.data(), &process, sizeof process);
  if (full) {
    std::memcpy(reinterpret_cast<char*>(record.data()) + sizeof process, tail.data(), tail.size());
  }
  return record;
}

void bpf_record(benchmark::State& state, bool full) {
  const std::vector<uint64_t> record = process_record(KNELL_RECORD_EXEC, full);
  const std::string_view bytes(reinterpret_cast<const char*>(record.data()), record.size() * 8);
  source::Teller teller;
  for (auto _ : state) {
    const auto decoded = source::decode(bytes);
    benchmark::DoNotOptimize(teller.tell(*decoded));
  }
  report_each(state, 1);
}
BENCHMARK_CAPTURE(bpf_record, status, false)->Name("decode/bpf record, status");
BENCHMARK_CAPTURE(bpf_record, full, true)->Name("decode/bpf record, full");

void bpf_exit(benchmark::State& state) {
  const std::vector<uint64_t> record = process_record(KNELL_RECORD_DETAILS, true);
  const std::string_view bytes(reinterpret_cast<const char*>(record.data()), record.size() * 8);
  knell_mark mark{};
  mark.head.kind = KNELL_RECORD_MARK;
  mark.pid = 1000;
  mark.status = 1 << 8;
  const std::string_view mark_bytes(reinterpret_cast<const char*>(&mark), sizeof mark);
  source::Teller teller;
  for (auto _ : state) {
    const auto details = source::decode(bytes);
    const auto told = source::decode(mark_bytes);
    benchmark::DoNotOptimize(teller.tell_exit(&*details, *told->mark));
  }
  report_each(state, 1);
}
BENCHMARK(bpf_exit)->Name("decode/bpf exit: details and mark, full");

}  // namespace
}  // namespace knell::bench
