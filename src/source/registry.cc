// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/registry.h"

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "base/memory_limit.h"
#include "source/bpf/bpf.h"
#include "source/bpf/diagnosis.h"
#include "source/connector/connector_source.h"
#include "source/connector/diagnosis.h"
#include "source/pidfd/diagnosis.h"
#include "source/pidfd/pidfd.h"
#include "source/ptrace/diagnosis.h"
#include "source/ptrace/ptrace_source.h"

namespace knell::source {
namespace {

constexpr size_t kLeastRing = 4096;            // a page
constexpr size_t kMostRing = size_t{1} << 30;  // the kernel's limit is 2 GiB
// 1/32 for the ring of exits; chosen, not measured: all rings together take at most a twentieth
constexpr uint64_t kPartOfLimit = 32;
// Of a reserve of the default size the ring gets 1/8, and the map `unsent` the rest.
constexpr size_t kRingOfReserve = 8, kUnsentBytes = 128;

using Made = Result<std::unique_ptr<Source>>;

// The rings are charged to our memory cgroup, whose limit is shared by all processes in it.
void fit_into_memory(BpfOptions& bpf) {
  const auto limit = memory_limit();
  if (!limit) return;
  const size_t exits = std::bit_floor(std::max<uint64_t>(*limit / kPartOfLimit, kLeastRing));
  for (; bpf.exit_ring_bytes > exits; bpf.exit_ring_bytes /= 2) {
    bpf.event_ring_bytes = std::max(bpf.event_ring_bytes / 2, kLeastRing);
    bpf.reserve_ring_bytes = std::max(bpf.reserve_ring_bytes / 2, kLeastRing);
  }
}

void set_reserve(BpfOptions& bpf, size_t bytes) {
  bpf.reserve_ring_bytes = std::bit_floor(std::max(bytes / kRingOfReserve, kLeastRing));
  bpf.unsent_exits = std::max<size_t>(bytes / kUnsentBytes, 1);
}

Made open_bpf(const SourceOptions& options, const SourceRequest& wanted, Output& out) {
  BpfOptions bpf;
  if (options.buffer_bytes == 0)
    fit_into_memory(bpf);
  else
    bpf.exit_ring_bytes = std::bit_ceil(std::clamp(options.buffer_bytes, kLeastRing, kMostRing));
  if (options.reserve_bytes != 0) set_reserve(bpf, std::min(options.reserve_bytes, kMostRing));
  if (options.args_bytes != 0) bpf.args_bytes = options.args_bytes;
  bpf.load_all = options.load_all;
  // Only the connector is kept for events of threads.
  if (options.kept != nullptr && options.kept->socket.empty()) bpf.kept = options.kept;
  return Bpf::create(bpf, wanted, out);
}

Made open_connector(const SourceOptions& options, const SourceRequest& wanted, Output& out) {
  return ConnectorSource::create(
      {.buffer_bytes = options.buffer_bytes, .births = options.births, .kept = options.kept},
      wanted, out);
}

Made open_pidfd(const SourceOptions&, const SourceRequest&, Output& out) {
  return PidfdSource::create(out);
}

Made open_ptrace(const SourceOptions&, const SourceRequest& wanted, Output& out) {
  return PtraceSource::create(wanted, out);
}

// At raw level the events must be exactly those of the connector, so it is tried first there. pidfd
// and ptrace report added processes only, so they must be requested explicitly.
constexpr std::array kKinds{
    Kind{.via = KNELL_VIA_BPF,
         .for_processes = 1,
         .for_threads = 2,
         .open = open_bpf,
         .examine = examine_bpf},
    Kind{.via = KNELL_VIA_CONNECTOR,
         .for_processes = 2,
         .for_threads = 1,
         .open = open_connector,
         .examine = examine_connector},
    Kind{.via = KNELL_VIA_PIDFD,
         .for_processes = 0,
         .for_threads = 0,
         .open = open_pidfd,
         .examine = examine_pidfd},
    Kind{.via = KNELL_VIA_PTRACE,
         .for_processes = 0,
         .for_threads = 0,
         .open = open_ptrace,
         .examine = examine_ptrace},
};

Result<Opened> open(const Kind& kind, const SourceOptions& options, const SourceRequest& wanted,
                    Output& out) {
  KNELL_ASSIGN(auto source, kind.open(options, wanted, out));
  return Opened{.source = std::move(source), .via = kind.via};
}

}  // namespace

std::span<const Kind> kinds() { return kKinds; }

Result<Opened> open_source(const SourceOptions& options, const SourceRequest& wanted, Output& out) {
  const bool any = options.via == KNELL_VIA_AUTO;
  const auto place = [&](const Kind& kind) {
    if (!any) return kind.via == options.via ? 1 : 0;
    return wanted.level == KNELL_LEVEL_RAW ? kind.for_threads : kind.for_processes;
  };
  auto order = kKinds;
  std::ranges::sort(order, {}, place);
  Result<Opened> opened = say(EINVAL, "a program cannot open source " +
                                          std::to_string(options.via) + "; see knell_options.via");
  for (const Kind& kind : order) {
    if (place(kind) == 0) continue;
    auto tried = open(kind, options, wanted, out);
    if (tried) return tried;
    // Report the error of the connector, which has the fewest requirements.
    if (kind.via == KNELL_VIA_CONNECTOR || !any) opened = std::move(tried);
  }
  return opened;
}

}  // namespace knell::source
