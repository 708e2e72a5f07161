// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/cgroup.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "event/string_views.h"

namespace knell::process {
namespace {

// Removes the first piece of `text`, up to and with `end`, and returns it without `end`.
std::string_view take(std::string_view& text, char end) {
  const size_t at = text.find(end);
  const std::string_view piece = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return piece;
}

bool is_unit(std::string_view name) {
  return name.ends_with(".service") || name.ends_with(".scope") || name.ends_with(".socket") ||
         name.ends_with(".mount") || name.ends_with(".swap");
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f'); }
bool is_base36(char c) { return is_digit(c) || (c >= 'a' && c <= 'z'); }

template <class Is>
bool all(std::string_view text, Is is) {
  return std::ranges::all_of(text, is);
}

bool is_container_id(std::string_view text) { return text.size() == 64 && all(text, is_hex); }

// A container id of buildkit.
bool is_build_id(std::string_view text) { return text.size() == 25 && all(text, is_base36); }

// A handle of Cloud Foundry's garden: 8-4-4-4-4 hex digits.
bool is_garden_handle(std::string_view text) {
  if (text.size() != 28) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool dash = i >= 8 && (i - 8) % 5 == 0;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

// A container of an ECS task on Fargate: the 32 hex digits of the task, and a number.
bool is_fargate_id(std::string_view text) {
  return text.size() > 33 && all(text.substr(0, 32), is_hex) && text[32] == '-' &&
         all(text.substr(33), is_digit);
}

int hex_value(char c) { return is_digit(c) ? c - '0' : c - 'a' + 10; }

// Undoes systemd's escapes in a unit name: "my\x2dbox" is "my-box".
std::string unescaped(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const bool escape =
        name.size() >= 4 && name.starts_with("\\x") && is_hex(name[2]) && is_hex(name[3]);
    out += escape ? static_cast<char>(hex_value(name[2]) * 16 + hex_value(name[3])) : name.front();
    name.remove_prefix(escape ? 4 : 1);
  }
  return out;
}

// The text between the prefix `before` and the suffix `after`; nullopt: `text` lacks one of them,
// or nothing is between them.
std::optional<std::string_view> between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  if (text.size() <= before.size() + after.size() || !text.starts_with(before) ||
      !text.ends_with(after))
    return std::nullopt;
  return text.substr(before.size(), text.size() - before.size() - after.size());
}

// libvirt names its machines DRIVER-NUMBER-NAME.
bool is_virtual_machine(std::string_view name) {
  return name.starts_with("qemu-") || name.starts_with("ch-");
}

// The machine name in a cgroup of systemd-machined, systemd-nspawn or libvirt. nullopt for a
// virtual machine: it is no container, since the processes in its cgroup belong to the host.
std::optional<std::string> machine_name(std::string_view component) {
  std::string name;
  if (const auto scope = between(component, "machine-", ".scope"))
    name = unescaped(*scope);
  else if (const auto service = between(component, "systemd-nspawn@", ".service"))
    name = *service;
  else if (const auto libvirt = between(component, "lxc-", ".libvirt-lxc"))
    name = "lxc-" + std::string(*libvirt);
  else
    return std::nullopt;
  if (is_virtual_machine(name)) return std::nullopt;
  return name;
}

// The container id in one path component; `above` is its parent component. Forms: docker-ID,
// cri-containerd-ID, crio-ID, libpod-ID, PARENT:cri-containerd:ID, buildkit's, or the bare id.
std::string_view id_in(std::string_view component, std::string_view above) {
  if (component.ends_with(".scope")) component.remove_suffix(6);
  // A pod of podman, or the part of a kata sandbox outside the container.
  if (above == "libpod_parent" || above == "kata_overhead") {
    if (is_container_id(component)) return {};
  }
  if (above == "buildkit" && is_build_id(component)) return component;
  if (is_garden_handle(component) || is_fargate_id(component)) return component;
  if (const auto build = between(component, "docker-", ""); build && is_build_id(*build))
    return *build;
  const std::string_view id =
      component.substr(component.size() - std::min<size_t>(component.size(), 64));
  const std::string_view before = component.substr(0, component.size() - id.size());
  // A container's monitor is not in the container.
  if (before.ends_with("conmon-")) return {};
  const bool ends = before.empty() || before.ends_with('-') || before.ends_with(':');
  return ends && is_container_id(id) ? id : std::string_view();
}

// LXC, LXD and Incus: "lxc.payload.NAME", and older forms of two components. "lxc.monitor.NAME" is
// the monitor, which is not in the container.
std::string_view lxc_name(std::string_view component, std::string_view above) {
  constexpr std::string_view kPayload = "lxc.payload.";
  if (component.starts_with(kPayload)) return component.substr(kPayload.size());
  return above == "lxc" || above == "lxc.payload" ? component : std::string_view();
}

}  // namespace

void fill_cgroup(knell_event& event, const Cgroup* cgroup) {
  if (cgroup == nullptr) return;
  event.cgroup = event::view_of(cgroup->path);
  event.unit = event::view_of(cgroup->unit);
  event.container_id = event::view_of(cgroup->container_id);
}

std::string_view cgroup_path(std::string_view proc_text) {
  std::string_view unified;
  while (!proc_text.empty()) {
    std::string_view path = take(proc_text, '\n');
    const std::string_view hierarchy = take(path, ':');
    const std::string_view controllers = take(path, ':');
    if (controllers == "name=systemd") return path;
    if (hierarchy == "0" && controllers.empty()) unified = path;
  }
  return unified;
}

std::string_view unit_of(std::string_view path) {
  std::string_view manager;
  while (!path.empty()) {
    std::string_view component = take(path, '/');
    if (component.empty() || component.ends_with(".slice")) continue;
    if (component.starts_with('_'))
      component.remove_prefix(1);  // systemd's escape for names that the kernel reserves
    if (!is_unit(component)) {
      if (manager.empty()) return {};
      continue;
    }
    if (!manager.empty()) return component;
    if (!component.starts_with("user@")) return component;
    manager = component;
  }
  return manager;
}

std::string container_of(std::string_view path) {
  std::string found, outside, above;
  bool machine = false;  // `above` is the cgroup of a machine
  while (!path.empty()) {
    const std::string_view component = take(path, '/');
    if (component.empty()) continue;
    if (machine && component == "supervisor")
      found = outside;  // the supervisor is outside of its machine
    auto name = machine_name(component);
    machine = name.has_value();
    if (machine) {
      outside = std::exchange(found, *std::move(name));
    } else if (const auto lxc = lxc_name(component, above); !lxc.empty()) {
      found = lxc;
    } else if (const auto id = id_in(component, above); !id.empty()) {
      found = id;
    }
    above = component;
  }
  return found;
}

std::shared_ptr<const Cgroup> Cgroups::intern(std::string_view path) {
  std::weak_ptr<const Cgroup>& known = known_[std::string(path)];
  if (auto there = known.lock()) return there;
  auto made = std::make_shared<const Cgroup>(
      Cgroup{std::string(path), std::string(unit_of(path)), container_of(path)});
  known = made;
  if (known_.size() >= look_again_at_) forget_unused();
  return made;
}

void Cgroups::forget_unused() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  look_again_at_ = std::max<size_t>(1024, known_.size() * 2);
}

}  // namespace knell::process
