// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/decode.h"

#include <knell/cn_proc.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace knell::source {
namespace {

// levels_ is filled by memcpy() from the record.
static_assert(sizeof(event::NamespacePids) == sizeof(knell_numbers) &&
              static_cast<size_t>(KNELL_MOST_LEVELS) == event::kMostLevels);

constexpr std::string_view kDeleted = " (deleted)";  // as in the links of /proc

template <class T>
const T* as(std::string_view bytes) {
  return bytes.size() < sizeof(T) ? nullptr : reinterpret_cast<const T*>(bytes.data());
}

uint64_t senders_of(const knell_record& head) {
  return static_cast<uint64_t>((head.flags & KNELL_RECORD_KILLER) != 0) +
         static_cast<uint64_t>((head.flags & KNELL_RECORD_ASKER) != 0);
}

// Removes the first sender from `senders` and returns it.
event::Sender take_sender(std::string_view& senders) {
  knell_sender from;
  std::memcpy(&from, senders.data(), sizeof from);
  senders.remove_prefix(sizeof from);
  event::Sender sender{.cause = from.cause,
                       .signal = from.signal,
                       .pid = from.pid,
                       .uid = from.uid,
                       .parent_pid = from.parent_pid,
                       .cgroup = from.cgroup,
                       .stamp_ns = from.stamp_ns};
  std::copy_n(from.comm, sender.comm.size(), sender.comm.begin());
  std::copy_n(from.parent_comm, sender.parent_comm.size(), sender.parent_comm.begin());
  return sender;
}

bool decode_process(std::string_view bytes, Decoded& decoded) {
  const auto* process = as<knell_process>(bytes);
  if (process == nullptr || process->pid <= 0) return false;
  const std::string_view tail = bytes.substr(sizeof *process);
  const uint64_t args = process->args_bytes, exe = process->exe_bytes, cwd = process->cwd_bytes;
  const uint64_t memory = process->memory_cgroup_bytes;
  const uint64_t senders = senders_of(process->head) * sizeof(knell_sender);
  const uint64_t levels = uint64_t{process->levels} * sizeof(knell_numbers);
  if (args + exe + cwd + memory + senders + levels > tail.size()) return false;
  if (process->levels > event::kMostLevels) return false;
  decoded.process = process;
  decoded.args = tail.substr(0, args);
  decoded.exe_names = tail.substr(args, exe);
  decoded.cwd_names = tail.substr(args + exe, cwd);
  decoded.memory_cgroup_names = tail.substr(args + exe + cwd, memory);
  decoded.senders = tail.substr(args + exe + cwd + memory, senders);
  decoded.levels = tail.substr(args + exe + cwd + memory + senders, levels);
  return true;
}

bool decode_cgroup(std::string_view bytes, Decoded& decoded) {
  const auto* cgroup = as<knell_cgroup>(bytes);
  if (cgroup == nullptr || cgroup->path_bytes > bytes.size() - sizeof *cgroup) return false;
  decoded.cgroup = cgroup;
  decoded.path = bytes.substr(sizeof *cgroup, cgroup->path_bytes);
  return true;
}

uint32_t what_of(const Decoded& record) {
  switch (record.head->kind) {
    case KNELL_RECORD_CHANGE:
      return record.process->what;
    case KNELL_RECORD_FORK:
      return KNELL_EVENT_FORK;
    case KNELL_RECORD_EXEC:
      return KNELL_EVENT_EXEC;
    case KNELL_RECORD_COMM:
      return KNELL_EVENT_COMM;
    default:
      return KNELL_EVENT_EXIT;
  }
}

}  // namespace

std::optional<Decoded> decode(std::string_view bytes) {
  if (reinterpret_cast<uintptr_t>(bytes.data()) % alignof(knell_record) != 0) return std::nullopt;
  Decoded decoded;
  decoded.head = as<knell_record>(bytes);
  if (decoded.head == nullptr) return std::nullopt;
  switch (decoded.head->kind) {
    case KNELL_RECORD_MARK:
      decoded.mark = as<knell_mark>(bytes);
      if (decoded.mark == nullptr || decoded.mark->pid <= 0) return std::nullopt;
      return decoded;
    case KNELL_RECORD_DETAILS:
    case KNELL_RECORD_FORK:
    case KNELL_RECORD_EXEC:
    case KNELL_RECORD_COMM:
    case KNELL_RECORD_THREAD_EXIT:
    case KNELL_RECORD_CHANGE:
      if (!decode_process(bytes, decoded)) return std::nullopt;
      return decoded;
    case KNELL_RECORD_CGROUP:
      if (!decode_cgroup(bytes, decoded)) return std::nullopt;
      return decoded;
    default:
      return std::nullopt;
  }
}

// In the path a slash takes the place of each NUL, so it is as long as `names`. It is filled from
// the end.
void reverse_path(std::string_view names, std::string& path) {
  path.clear();
  if (names.empty() || names.back() != '\0') return;
  // If the string had to grow, libstdc++ 12 passes the new capacity in place of the size.
  const size_t size = names.size();
  path.resize_and_overwrite(size, [&](char* data, size_t) {
    for (char* to = data + size; !names.empty();) {
      const size_t length = names.find('\0');
      to -= length;
      std::memcpy(to, names.data(), length);
      *--to = '/';
      names.remove_prefix(length + 1);
    }
    return size;
  });
}

void RecordDecoder::fill(const Decoded& record) {
  const knell_process& process = *record.process;
  full_ = event::Full{};
  full_.stamp_ns = record.head->stamp_ns;
  full_.what = what_of(record);
  full_.pid = process.pid;
  full_.tid = process.tid;
  full_.start_boot_ns = process.start_ns;
  full_.ppid = process.ppid;
  full_.parent_start_boot_ns = process.parent_start_ns;
  full_.uid = process.uid;
  full_.roots = process.roots;
  const uint32_t flags = record.head->flags;
  full_.for_levels_only = (flags & KNELL_RECORD_BIRTH) != 0;
  full_.levels_known = (flags & KNELL_RECORD_LEVELS) != 0;
  if (full_.levels_known && !record.levels.empty()) {
    std::memcpy(levels_.data(), record.levels.data(), record.levels.size());
    full_.levels = std::span(levels_).first(process.levels);
  }
  full_.has_details = (flags & KNELL_RECORD_NAMED) != 0;
  if (!full_.has_details) return;
  std::copy_n(process.comm, full_.comm.size(), full_.comm.begin());
  std::copy_n(process.parent_comm, full_.parent_comm.size(), full_.parent_comm.begin());
  full_.gid = process.gid;
  full_.cgroup = process.cgroup;
  full_.tty = process.tty;
  full_.has_args = (flags & KNELL_RECORD_ARGS) != 0;
  full_.args_truncated = (flags & KNELL_RECORD_ARGS_CUT) != 0;
  if ((flags & KNELL_RECORD_ARGS_EXACT) != 0) full_.args_end = event::ArgsEnd::kArguments;
  if ((flags & KNELL_RECORD_ARGS_PADDED) != 0) full_.args_end = event::ArgsEnd::kTitlePadding;
  full_.args = record.args;
  reverse_path(record.exe_names, exe_);
  reverse_path(record.cwd_names, cwd_);
  if ((flags & KNELL_RECORD_EXE_DELETED) != 0 && !exe_.empty()) exe_ += kDeleted;
  if ((flags & KNELL_RECORD_CWD_DELETED) != 0 && !cwd_.empty()) cwd_ += kDeleted;
  full_.exe = exe_;
  full_.cwd = cwd_;
  std::string_view senders = record.senders;
  if ((flags & KNELL_RECORD_KILLER) != 0) full_.killer = take_sender(senders);
  if ((flags & KNELL_RECORD_ASKER) != 0) full_.last_sender = take_sender(senders);
  if ((flags & KNELL_RECORD_OUT_OF_MEMORY) == 0) return;
  full_.killer.cause = KNELL_CAUSE_OOM;
  reverse_path(record.memory_cgroup_names, memory_cgroup_);
  full_.memory_cgroup = memory_cgroup_;
}

event::Full& RecordDecoder::event_of(const Decoded& record) {
  fill(record);
  const knell_process& process = *record.process;
  if (full_.what == KNELL_EVENT_FORK) {
    full_.u.child = {process.child_pid, process.child_tid, process.child_start_ns,
                     process.child_uid};
  } else if (full_.what == KNELL_EVENT_COMM) {
    std::copy_n(process.new_comm, sizeof full_.u.new_comm, full_.u.new_comm);
  } else if (full_.what == KNELL_EVENT_EXIT) {
    full_.u.exit = {process.status, static_cast<uint32_t>(process.signal)};
  } else if (full_.what == KNELL_EVENT_UID || full_.what == KNELL_EVENT_GID) {
    full_.u.id = {process.change[0], process.change[1]};
  } else if (full_.what == KNELL_EVENT_PTRACE) {
    full_.u.ptrace = {static_cast<int32_t>(process.change[0]),
                      static_cast<int32_t>(process.change[1])};
  }
  return full_;
}

event::Full& RecordDecoder::event_of_exit(const Decoded* details, const knell_mark& mark) {
  if (details != nullptr && details->process != nullptr) {
    fill(*details);
  } else {
    full_ = event::Full{};
    full_.pid = full_.tid = mark.pid;
    full_.start_boot_ns = mark.start_ns;
    full_.ppid = mark.ppid;
    full_.uid = mark.uid;
    full_.roots = mark.roots;
  }
  full_.what = KNELL_EVENT_EXIT;
  full_.stamp_ns = mark.head.stamp_ns;
  full_.u.exit = {mark.status, static_cast<uint32_t>(mark.signal)};
  return full_;
}

}  // namespace knell::source
