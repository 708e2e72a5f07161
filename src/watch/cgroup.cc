// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "watch/cgroup.h"

#include <algorithm>

namespace knell::watch {
namespace {

// Takes the next piece of `text` up to `end`.
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

bool is_container_id(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// nspawn: machine-NAME.scope, or systemd-nspawn@NAME.service.
std::string_view machine_name(std::string_view component) {
  if (component.starts_with("machine-") && component.ends_with(".scope"))
    return component.substr(8, component.size() - 8 - 6);
  if (component.starts_with("systemd-nspawn@") && component.ends_with(".service"))
    return component.substr(15, component.size() - 15 - 8);
  return {};
}

}  // namespace

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
      component.remove_prefix(1);  // systemd's escape of names the kernel would take
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

std::string_view container_of(std::string_view path) {
  std::string_view found;
  while (!path.empty()) {
    std::string_view component = take(path, '/');
    if (const std::string_view name = machine_name(component); !name.empty()) {
      found = name;
      continue;
    }
    if (component.ends_with(".scope")) component.remove_suffix(6);
    // docker-ID, cri-containerd-ID, crio-ID, libpod-ID, NAME:cri-containerd:ID, or the bare ID
    const std::string_view id =
        component.substr(component.size() - std::min<size_t>(component.size(), 64));
    const std::string_view before = component.substr(0, component.size() - id.size());
    if (is_container_id(id) && (before.empty() || before.ends_with('-') || before.ends_with(':')))
      found = id;
  }
  return found;
}

std::shared_ptr<const Cgroup> Cgroups::intern(std::string_view path) {
  std::weak_ptr<const Cgroup>& known = known_[std::string(path)];
  if (auto there = known.lock()) return there;
  auto made = std::make_shared<const Cgroup>(
      Cgroup{std::string(path), std::string(unit_of(path)), std::string(container_of(path))});
  known = made;
  if (known_.size() >= look_again_at_) forget_unused();
  return made;
}

void Cgroups::forget_unused() {
  std::erase_if(known_, [](const auto& entry) { return entry.second.expired(); });
  look_again_at_ = std::max<size_t>(1024, known_.size() * 2);
}

}  // namespace knell::watch
