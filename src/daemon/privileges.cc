// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "daemon/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/privilege.h"
#include "source/connector/probe.h"

namespace knell::daemon {
namespace {

constexpr const char* kUser = "knell";  // created by packaging/knell.sysusers

Result<void> become(const UserIds& user) {
  // Without this, changing from uid 0 would clear the capabilities. exec(2) resets it.
  if (::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0) return errno_error("keep capabilities");
  if (::setgroups(1, &user.gid) != 0) return errno_error("drop the supplementary groups");
  if (::setresgid(user.gid, user.gid, user.gid) != 0)
    return errno_error("switch to the group of user knell");
  if (::setresuid(user.uid, user.uid, user.uid) != 0) return errno_error("switch to user knell");
  return {};
}

// The probe fails in a network namespace other than the initial one, and if the kernel has no
// connector.
bool connector_is_there() {
  const auto probe = source::ConnectorProbe::open();
  return probe && probe->ask().has_value();
}

}  // namespace

std::optional<UserIds> user_to_become() {
  if (::geteuid() != 0) return std::nullopt;
  const auto user = find_user(kUser);
  return user && user->uid != 0 ? user : std::nullopt;
}

Result<void> drop_privileges(const std::optional<UserIds>& user) {
  const bool connector =
      connector_is_there();  // before become(), which clears the effective capabilities
  if (user) KNELL_TRY(become(*user));
  if (connector) return keep_capabilities({CAP_SYS_PTRACE, CAP_NET_ADMIN});
  return keep_capabilities({CAP_SYS_PTRACE, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON});
}

}  // namespace knell::daemon
