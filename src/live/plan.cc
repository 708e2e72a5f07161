// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "live/plan.h"

#include <algorithm>
#include <bit>
#include <string>

#include "base/memory_limit.h"
#include "source/bpf/bpf.h"
#include "source/connector/connector.h"
#include "source/connector/diagnosis.h"
#include "source/merged_source.h"
#include "watch/cgroup_tree.h"

namespace knell::live {
namespace {

constexpr size_t kLeastRing = 4096;            // a page
constexpr size_t kMostRing = size_t{1} << 30;  // the kernel's limit is 2 GiB
constexpr uint64_t kPartOfLimit = 32;          // picked: all rings take a twentieth of it at most

// The rings are charged to our memory cgroup, whose limit is shared by all processes in it.
void fit_into_memory(source::BpfOptions& bpf) {
  const auto limit = memory_limit();
  if (!limit) return;
  const size_t exits = std::bit_floor(std::max<uint64_t>(*limit / kPartOfLimit, kLeastRing));
  for (; bpf.exit_ring_bytes > exits; bpf.exit_ring_bytes /= 2) {
    bpf.event_ring_bytes = std::max(bpf.event_ring_bytes / 2, kLeastRing);
    bpf.reserve_ring_bytes = std::max(bpf.reserve_ring_bytes / 2, kLeastRing);
  }
}

Result<std::unique_ptr<source::Source>> connector(const source::SourceRequest& wanted,
                                                  size_t buffer_bytes, int program = -1) {
  source::ConnectorOptions options;
  options.program = program;
  options.wanted = wanted;
  if (buffer_bytes != 0) options.buffer_bytes = buffer_bytes;
  KNELL_ASSIGN(auto opened, source::Connector::create(options));
  return std::unique_ptr<source::Source>(std::move(opened));
}

Result<Opened> open_connector(const SourceOptions& options, const Interest& interest) {
  Opened opened;
  opened.wanted = request_for_raw_events(interest);
  KNELL_ASSIGN(opened.source, connector(opened.wanted, options.buffer_bytes));
  return opened;
}

// Opens bpf for the event types that it reports itself; for the others the connector, with a BPF
// program as its socket filter.
Result<Opened> open_bpf(const SourceOptions& options, const Interest& interest) {
  if (!source::read_environment().initial_pid())
    return say(ENOTSUP,
               "bpf reports pids of the initial pid namespace, but this one is another: run it "
               "outside the container");
  Opened opened;
  opened.full_events = true;
  opened.wanted = request_for_full_events(interest);
  source::BpfOptions bpf;
  bpf.wanted = opened.wanted;
  bpf.hierarchy_id = watch::systemd_hierarchy();
  const auto tree = std::make_shared<watch::CgroupTree>();
  bpf.inode_of_cgroup = [tree](const std::string& path) { return tree->inode_of(path); };
  const size_t bytes = options.buffer_bytes;
  if (bytes == 0)
    fit_into_memory(bpf);
  else
    bpf.exit_ring_bytes = std::bit_ceil(std::clamp(bytes, kLeastRing, kMostRing));
  if (options.args_bytes != 0) bpf.args_bytes = options.args_bytes;
  KNELL_ASSIGN(auto whole, source::Bpf::create(bpf));
  // With this program as the filter of its socket, the connector's events are reported by bpf, with
  // details, and no datagrams are queued.
  const auto open_rest = [bytes,
                          program = whole->connector_program()](const source::SourceRequest& rest) {
    return connector(rest, bytes, program);
  };
  KNELL_ASSIGN(opened.source,
               source::MergedSource::create(std::move(whole), open_rest, opened.wanted));
  return opened;
}

Result<Opened> open_pidfds() {
  KNELL_ASSIGN(auto pidfds, source::PidfdSource::create());
  Opened opened;
  opened.pidfds = pidfds.get();
  opened.source = std::move(pidfds);
  return opened;
}

}  // namespace

Result<Opened> open_source(const SourceOptions& options, const Interest& interest) {
  if (options.via == KNELL_VIA_PIDFD) return open_pidfds();
  if (options.via == KNELL_VIA_CONNECTOR) return open_connector(options, interest);
  if (options.via == KNELL_VIA_BPF) return open_bpf(options, interest);
  // At raw level events are exactly those of the connector, so it comes first.
  if (interest.level == KNELL_LEVEL_RAW) {
    auto first = open_connector(options, interest);
    if (first) return first;
    auto second = open_bpf(options, interest);
    return second ? std::move(second) : std::move(first);
  }
  auto first = open_bpf(options, interest);
  return first ? std::move(first) : open_connector(options, interest);
}

}  // namespace knell::live
