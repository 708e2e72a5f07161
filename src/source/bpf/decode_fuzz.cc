// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "process/fake_proc.h"
#include "source/bpf/decode.h"
#include "source/bpf/event_builder.h"
#include "source/output_for_test.h"

namespace {

struct Builder {
  Builder() {
    (void)table.keep({.details = KNELL_DETAILS_FULL});
    table.users().disable();
  }
  knell::process::FakeProc tree;  // without any process
  knell::process::ProcReader proc = tree.reader();
  knell::FakeClock clock;
  knell::source::KeptOutput kept{4, clock, 1};
  knell::process::ProcessTable table{proc, clock, kept.out.time(), 1};
  knell::source::EventBuilder builder{kept.out, table};
};

// Makes an event at this level, and reads all of its strings and numbers.
void build(Builder& to, uint32_t level, const knell::source::Decoded& decoded) {
  to.builder.set_request({.level = level, .roots = {{1}}, .owners = true, .namespaces = true});
  if (decoded.process != nullptr) {
    to.builder.add(decoded, decoded.process->roots);
    to.builder.add_exit(&decoded, knell_mark{}, 0, knell::source::EventBuilder::DetailsLost::kNo);
  } else if (decoded.mark != nullptr) {
    to.builder.add_exit(nullptr, *decoded.mark, decoded.mark->roots,
                        knell::source::EventBuilder::DetailsLost::kYes);
  }
  to.kept.take();
  to.kept.events.clear();
  to.kept.ended.clear();
  to.kept.threads.clear();
  to.kept.births.clear();
}

}  // namespace

// Checks that decoding a record and making an event never reads outside the record, for any bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static Builder builder;
  std::vector<uint64_t> storage((size + 7) / 8);
  if (size > 0) std::memcpy(storage.data(), data, size);
  const auto decoded = knell::source::decode({reinterpret_cast<const char*>(storage.data()), size});
  if (!decoded) return 0;
  build(builder, KNELL_LEVEL_PROCESS, *decoded);
  build(builder, KNELL_LEVEL_RAW, *decoded);
  return 0;
}
