// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "base/privilege.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <string_view>

namespace knell {
namespace {

// In version 3 of the interface, a set is two words of 32 bits.
struct Sets {
  std::array<__user_cap_data_struct, 2> words{};

  uint64_t effective() const { return words[0].effective | uint64_t{words[1].effective} << 32; }
  uint64_t permitted() const { return words[0].permitted | uint64_t{words[1].permitted} << 32; }
};

__user_cap_header_struct own_header() { return {_LINUX_CAPABILITY_VERSION_3, 0}; }

Result<Sets> read_sets() {
  auto header = own_header();
  Sets sets;
  if (::syscall(SYS_capget, &header, sets.words.data()) != 0)
    return errno_error("read the capabilities of this process");
  return sets;
}

// Indexed by capability number, linux/capability.h.
constexpr std::string_view kNames[] = {
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
};

// The capabilities that this kernel has: prctl(2) fails for any other number.
uint64_t all_capabilities() {
  uint64_t all = 0;
  for (int i = 0; i < 64 && ::prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; ++i) all |= uint64_t{1} << i;
  return all;
}

}  // namespace

Result<uint64_t> effective_capabilities() {
  KNELL_ASSIGN(const Sets sets, read_sets());
  return sets.effective();
}

std::string capabilities_text(uint64_t capabilities) {
  if (capabilities == 0) return "no capabilities";
  const uint64_t all = all_capabilities();
  if ((capabilities & all) == all) return "all capabilities";
  // Chosen, not measured: if more than kFew are held and at most kFew are missing, the missing ones
  // are listed.
  constexpr int kFew = 8;
  const uint64_t missing = all & ~capabilities;
  const bool by_missing = std::popcount(capabilities) > kFew && std::popcount(missing) <= kFew;
  const uint64_t listed = by_missing ? missing : capabilities;
  std::string out = by_missing ? "all capabilities but " : "";
  bool first = true;
  for (size_t i = 0; i < 64; ++i) {
    if ((listed >> i & 1) == 0) continue;
    if (!first) out += ", ";
    out += "CAP_";
    out += i < std::size(kNames) ? std::string(kNames[i]) : std::to_string(i);
    first = false;
  }
  return out;
}

Result<void> keep_capabilities(std::initializer_list<int> kept) {
  uint64_t wanted = 0;
  for (const int capability : kept) wanted |= uint64_t{1} << capability;
  KNELL_ASSIGN(const Sets before, read_sets());
  const uint64_t left = before.permitted() & wanted;
  Sets after;
  for (size_t i = 0; i < after.words.size(); ++i) {
    const auto word = static_cast<uint32_t>(left >> (32 * i));
    after.words[i].permitted = word;
    after.words[i].effective = word;
  }
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error("set no_new_privs");
  auto header = own_header();
  if (::syscall(SYS_capset, &header, after.words.data()) != 0)
    return errno_error("drop capabilities");
  return {};
}

}  // namespace knell
