// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/cgroup.h"

#include <gtest/gtest.h>

namespace knell::watch {
namespace {

const std::string kId(64, 'a');

TEST(CgroupPath, TakesTheSystemdHierarchyOnHybridSystems) {
  EXPECT_EQ(cgroup_path("0::/system.slice/cron.service\n"), "/system.slice/cron.service");
  EXPECT_EQ(cgroup_path("9:name=systemd:/system.slice/a.service\n1:cpu:/\n0::/init.scope\n"),
            "/system.slice/a.service");
  EXPECT_EQ(cgroup_path("4:memory:/x\n"), "");
  EXPECT_EQ(cgroup_path(""), "");
  EXPECT_EQ(cgroup_path("0::/with:colon\n"), "/with:colon");
}

TEST(UnitOf, FindsTheUnitBelowItsSlices) {
  EXPECT_EQ(unit_of("/system.slice/cron.service"), "cron.service");
  EXPECT_EQ(unit_of("/system.slice/system-postgresql.slice/postgresql@15-main.service"),
            "postgresql@15-main.service");
  EXPECT_EQ(unit_of("/user.slice/user-1000.slice/session-3.scope"), "session-3.scope");
  EXPECT_EQ(unit_of("/user.slice/user-1000.slice/user@1000.service/app.slice/emacs.service"),
            "emacs.service");
  EXPECT_EQ(unit_of("/user.slice/user-1000.slice/user@1000.service/init.scope"), "init.scope");
  EXPECT_EQ(unit_of("/user.slice/user-1000.slice/user@1000.service"), "user@1000.service");
  EXPECT_EQ(unit_of("/system.slice/cron.service/sub"), "cron.service");
  EXPECT_EQ(unit_of("/docker/" + kId), "");
  EXPECT_EQ(unit_of("/"), "");
  EXPECT_EQ(unit_of("/machine.slice/web.scope/payload/system.slice/nginx.service"), "web.scope");
}

TEST(ContainerOf, KnowsTheUsualForms) {
  EXPECT_EQ(container_of("/docker/" + kId), kId);
  EXPECT_EQ(container_of("/system.slice/docker-" + kId + ".scope"), kId);
  EXPECT_EQ(container_of("/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + kId + ".scope"),
            kId);
  EXPECT_EQ(container_of("/kubepods.slice/crio-" + kId + ".scope/container"), kId);
  EXPECT_EQ(container_of("/machine.slice/libpod-" + kId + ".scope/container"), kId);
  EXPECT_EQ(container_of("/kubepods-besteffort.slice:cri-containerd:" + kId), kId);
  EXPECT_EQ(container_of("/kubepods/besteffort/pod1/" + kId), kId);
  EXPECT_EQ(container_of("/machine.slice/machine-web.scope"), "web");
  EXPECT_EQ(container_of("/machine.slice/systemd-nspawn@web.service/payload"), "web");
  EXPECT_EQ(container_of("/system.slice/cron.service"), "");
  EXPECT_EQ(container_of("/docker/" + kId.substr(1)), "");
}

TEST(Cgroups, SharesAndForgets) {
  Cgroups cgroups;
  auto a = cgroups.intern("/a.service");
  EXPECT_EQ(a, cgroups.intern("/a.service"));
  for (int i = 0; i < 5000; ++i) (void)cgroups.intern("/x" + std::to_string(i));
  EXPECT_LT(cgroups.size(), 2100U);
  EXPECT_EQ(a, cgroups.intern("/a.service"));
}

}  // namespace
}  // namespace knell::watch
