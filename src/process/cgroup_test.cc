// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/cgroup.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace knell::process {
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

struct ContainerCase {
  std::string path, id;
};

// Cgroups as the runtimes make them. kId, kOther: 64 hex digits each.
const std::string kOther = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kBuild = "q1w2e3r4t5y6u7i8o9p0a1s2d";
const std::string kPod = "pod2d3da189_6407_48e3_9ab6_78188d75e609";
const std::vector<ContainerCase> kContainers{
    // docker, cgroupfs and systemd drivers, rootless, in docker, with an init inside
    {"/docker/" + kId, kId},
    {"/system.slice/docker-" + kId + ".scope", kId},
    {"/system.slice/docker-" + kId + ".scope/init", kId},
    {"/system.slice/docker-" + kId + ".scope/system.slice/nginx.service", kId},
    {"/user.slice/user-1000.slice/user@1000.service/app.slice/docker-" + kId + ".scope", kId},
    {"/docker/" + kId + "/docker/" + kOther, kOther},
    {"/system.slice/docker.service", ""},
    {"/docker/" + kId.substr(1), ""},
    {"/docker/" + kId + "a", ""},
    {"/system.slice/var-lib-docker-containers-" + kId + "-mounts-shm.mount", ""},
    // Containers of docker build, with the cgroupfs and systemd drivers, and of buildkitd.
    {"/docker/buildkit/" + kBuild, kBuild},
    {"/system.slice/docker-" + kBuild + ".scope", kBuild},
    {"/buildkit/" + kBuild, kBuild},
    {"/docker/" + kId + "/buildkit/" + kBuild, kBuild},
    {"/docker/buildkit", ""},
    {"/system.slice/" + kBuild, ""},
    // containerd: ctr, nerdctl, Kubernetes with both drivers and each class
    {"/default/" + kId, kId},
    {"/system.slice/nerdctl-" + kId + ".scope", kId},
    {"/kubepods/besteffort/pod1c9a1d37-5c2a-4f1e-8d2a-1a2b3c4d5e6f/" + kId, kId},
    {"/kubepods/burstable/pod1c9a1d37-5c2a-4f1e-8d2a-1a2b3c4d5e6f/" + kId, kId},
    {"/kubepods/pod1c9a1d37-5c2a-4f1e-8d2a-1a2b3c4d5e6f/" + kId, kId},
    {"/kubepods/burstable/pod1c9a1d37-5c2a-4f1e-8d2a-1a2b3c4d5e6f", ""},
    {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-" + kPod +
         ".slice/cri-containerd-" + kId + ".scope",
     kId},
    {"/kubepods.slice/kubepods-" + kPod + ".slice/cri-containerd-" + kId + ".scope", kId},
    {"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-" + kPod + ".slice", ""},
    {"/system.slice/containerd.service/kubepods-burstable-" + kPod + ".slice:cri-containerd:" + kId,
     kId},
    {"/kubepods-besteffort.slice:cri-containerd:" + kId, kId},
    // kind runs a kubelet in a container.
    {"/docker/" + kId + "/kubelet/kubepods/besteffort/pod1/" + kOther, kOther},
    {"/system.slice/docker-" + kId + ".scope/kubelet.slice/kubelet-kubepods.slice/" +
         "kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-" + kPod +
         ".slice/cri-containerd-" + kOther + ".scope",
     kOther},
    {"/system.slice/docker-" + kId + ".scope/system.slice/kubelet.service", kId},
    // cri-o
    {"/kubepods.slice/kubepods-" + kPod + ".slice/crio-" + kId + ".scope", kId},
    {"/kubepods.slice/kubepods-" + kPod + ".slice/crio-" + kId + ".scope/container", kId},
    {"/kubepods/burstable/pod1/crio-" + kId, kId},
    {"/kubepods.slice/kubepods-" + kPod + ".slice/crio-conmon-" + kId + ".scope", ""},
    {"/kubepods/burstable/pod1/crio-conmon-" + kId, ""},
    // podman: as root, rootless, with cgroupfs, in a pod, in a service, in itself
    {"/machine.slice/libpod-" + kId + ".scope", kId},
    {"/machine.slice/libpod-" + kId + ".scope/container", kId},
    {"/machine.slice/libpod-conmon-" + kId + ".scope", ""},
    {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope/container",
     kId},
    {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-conmon-" + kId + ".scope",
     ""},
    {"/user.slice/user-1000.slice/user@1000.service/user.slice/podman-2481.scope", ""},
    {"/libpod_parent/libpod-" + kId, kId},
    {"/libpod_parent/conmon", ""},
    {"/libpod_parent/" + kOther + "/libpod-" + kId, kId},
    {"/libpod_parent/" + kOther + "/libpod-conmon-" + kId, ""},
    {"/machine.slice/machine-libpod_pod_" + kOther + ".slice/libpod-" + kId + ".scope", kId},
    {"/machine.slice/machine-libpod_pod_" + kOther + ".slice", ""},
    {"/system.slice/web.service/libpod-payload-" + kId, kId},
    {"/system.slice/web.service/supervisor", ""},
    {"/machine.slice/libpod-" + kOther + ".scope/container/libpod-conmon-" + kId + ".scope",
     kOther},
    // systemd-nspawn and machined
    {"/machine.slice/machine-web.scope", "web"},
    {"/machine.slice/machine-web.scope/payload/system.slice/nginx.service", "web"},
    {R"(/machine.slice/machine-my\x2dbox.scope/payload/init.scope)", "my-box"},
    {R"(/machine.slice/machine-my\x2dbox.scope/supervisor)", ""},
    {"/machine.slice/systemd-nspawn@web.service/payload", "web"},
    {"/machine.slice/systemd-nspawn@my-box.service/payload/init.scope", "my-box"},
    {"/machine.slice/systemd-nspawn@my-box.service/supervisor", ""},
    {"/machine.slice/machine-web.scope/payload/system.slice/docker-" + kId + ".scope", kId},
    {"/docker/" + kId + "/machine.slice/machine-web.scope/supervisor", kId},
    // libvirt: virtual machines, which are no containers, and its LXC containers.
    {R"(/machine.slice/machine-qemu\x2d1\x2dwin10.scope)", ""},
    {R"(/machine.slice/machine-qemu\x2d1\x2dwin10.scope/libvirt/emulator)", ""},
    {R"(/machine.slice/machine-qemu\x2d12\x2dmy\x2dvm.scope/libvirt/vcpu0)", ""},
    {"/machine/qemu-1-win10.libvirt-qemu/emulator", ""},
    {R"(/machine.slice/machine-lxc\x2d2481\x2dbox.scope/libvirt)", "lxc-2481-box"},
    {"/machine/lxc-2481-box.libvirt-lxc", "lxc-2481-box"},
    // Containers of LXC, LXD, Incus and Proxmox.
    {"/lxc.payload.c1", "c1"},
    {"/lxc.payload.c1/system.slice/ssh.service", "c1"},
    {"/lxc.payload.prod_my-box/init.scope", "prod_my-box"},
    {"/lxc.monitor.c1", ""},
    {"/lxc.payload/c1/init.scope", "c1"},
    {"/lxc.monitor/c1", ""},
    {"/lxc/100/ns/system.slice/nginx.service", "100"},
    {"/lxc/c1", "c1"},
    {"/user.slice/user-1000.slice/session-1.scope/lxc.payload.c1", "c1"},
    {"/lxc.payload.c1/docker/" + kId, kId},
    {"/system.slice/lxc.service", ""},
    {"/system.slice/incus.service", ""},
    // Containers of garden, ECS, Fargate and kata.
    {"/garden/6f265890-5165-7fab-6b52-18d1", "6f265890-5165-7fab-6b52-18d1"},
    {"/system.slice/garden.service/garden/good/6f265890-5165-7fab-6b52-18d1",
     "6f265890-5165-7fab-6b52-18d1"},
    {"/ecs/55091c13-b8cf-4801-b527-f4601742204d/" + kId, kId},
    {"/ecs/34dc0b5e626f2c5c4c5170e34b10e765/34dc0b5e626f2c5c4c5170e34b10e765-1234567890",
     "34dc0b5e626f2c5c4c5170e34b10e765-1234567890"},
    {"/kata_overhead/" + kId, ""},
    // none
    {"/", ""},
    {"", ""},
    {"/system.slice/cron.service", ""},
    {"/user.slice/user-1000.slice/session-3.scope", ""},
    {"/system.slice/run-rabc123.scope", ""},
};

TEST(ContainerOf, FindsTheContainerOfRealRuntimes) {
  for (const ContainerCase& c : kContainers) EXPECT_EQ(container_of(c.path), c.id) << c.path;
}

TEST(Cgroups, SharesEntriesAndErasesUnused) {
  Cgroups cgroups;
  auto a = cgroups.intern("/a.service");
  EXPECT_EQ(a, cgroups.intern("/a.service"));
  for (int i = 0; i < 5000; ++i) (void)cgroups.intern("/x" + std::to_string(i));
  EXPECT_LT(cgroups.size(), 2100U);
  EXPECT_EQ(a, cgroups.intern("/a.service"));
}

}  // namespace
}  // namespace knell::process
