// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "process/proc_reader.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include "base/proc_status.h"

namespace knell::process {
namespace {

constexpr size_t kPointersLookedAt =
    64;  // chosen, not measured: the same number as in the bpf programs

template <class T>
bool number(std::string_view text, T& value) {
  return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc();
}

std::string_view read_link(int folder, const char* name, std::span<char> target) {
  const ssize_t n = ::readlinkat(folder, name, target.data(), target.size());
  return n > 0 ? std::string_view(target.data(), static_cast<size_t>(n)) : std::string_view();
}

// The text after "NAME:\t" in /proc/PID/status, up to the end of the line.
std::optional<std::string_view> status_line(std::string_view text, std::string_view name) {
  for (size_t at = 0; (at = text.find(name, at)) != std::string_view::npos; at += name.size()) {
    if (at != 0 && text[at - 1] != '\n') continue;
    std::string_view rest = text.substr(at + name.size());
    rest.remove_prefix(std::min(rest.find_first_not_of('\t'), rest.size()));
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) return std::nullopt;  // cut off
    return rest.substr(0, end);
  }
  return std::nullopt;
}

// The first number of the line "NAME:\tA\tB...".
bool status_number(std::string_view text, std::string_view name, uint32_t& value) {
  const auto line = status_line(text, name);
  return line && number(*line, value);
}

// All numbers of the line; leaves status.count 0 if there are too many or one cannot be parsed.
void nested_numbers(std::string_view line, TaskStatus& status) {
  size_t count = 0;
  while (!line.empty()) {
    if (count == status.numbers.size() || !number(line, status.numbers[count])) return;
    ++count;
    line.remove_prefix(std::min(line.find('\t'), line.size() - 1) + 1);
  }
  status.count = count;
}

}  // namespace

std::string_view without_title_padding(std::string_view args, ArgsEnd end) {
  if (end == ArgsEnd::kArguments) return args;
  const size_t last = args.find_last_not_of('\0');
  const size_t run = args.size() - (last == std::string::npos ? 0 : last + 1);
  if (end == ArgsEnd::kTitlePadding) return run >= 2 ? args.substr(0, args.size() - run + 1) : args;
  const bool title = args.find('\0') == args.size() - run;  // one word
  return run >= 3 && title ? args.substr(0, args.size() - run + 1) : args;
}

ArgsEnd classify_args_end(std::string_view args, uint64_t arg_start, bool whole,
                          std::span<const uint64_t> pointers) {
  const auto leads_to = [&](uint64_t address) {
    return std::ranges::find(pointers, address) != pointers.end();
  };
  const bool same = leads_to(arg_start + args.find('\0') + 1) &&
                    (!whole || leads_to(arg_start + args.size() - 1));
  return same ? ArgsEnd::kArguments : ArgsEnd::kTitlePadding;
}

// At the start of the stack the kernel puts the number of arguments and a pointer to each; each has
// the width of the program's pointers.
ArgsEnd ProcFolder::args_end(std::string_view args, bool whole) const {
  std::string buffer;
  const auto stat = parse_proc_stat(read("stat", buffer, 2048));
  if (!stat || stat->start_stack == 0 || stat->arg_start == 0) return ArgsEnd::kUnknown;
  const UniqueFd memory(::openat(dir_.get(), "mem", O_RDONLY | O_CLOEXEC));
  if (!memory) return ArgsEnd::kUnknown;
  size_t width = sizeof(uint64_t);
  const auto word = [&](uint64_t index, uint64_t& value) {
    value = 0;
    const auto at = static_cast<off_t>(stat->start_stack + index * width);
    return ::pread(memory.get(), &value, width, at) == static_cast<ssize_t>(width);
  };
  uint64_t count = 0;
  if (!word(0, count)) return ArgsEnd::kUnknown;
  if (count >> 32 != 0) {  // two words of 32 bits: the count and the first pointer
    width = sizeof(uint32_t);
    count = static_cast<uint32_t>(count);
  }
  std::array<uint64_t, kPointersLookedAt> pointers;
  const size_t size = std::clamp<size_t>(count, 1, pointers.size()) - 1;
  for (size_t i = 0; i < size; ++i)
    if (!word(i + 2, pointers[i])) return ArgsEnd::kUnknown;
  return classify_args_end(args, stat->arg_start, whole, std::span(pointers).first(size));
}

std::string_view ProcFolder::read(const char* name, std::string& buffer, size_t most) const {
  const UniqueFd fd(::openat(dir_.get(), name, O_RDONLY | O_CLOEXEC));
  if (!fd) return {};
  if (buffer.size() < most) buffer.resize(most);
  size_t size = 0;
  while (size < most) {
    const ssize_t n = ::read(fd.get(), buffer.data() + size, most - size);
    if (n <= 0) break;
    size += static_cast<size_t>(n);
  }
  return std::string_view(buffer).substr(0, size);
}

std::string_view ProcFolder::status_text(std::span<char> buffer) const {
  const UniqueFd fd(::openat(dir_.get(), "status", O_RDONLY | O_CLOEXEC));
  return fd ? read_proc_status(fd.get(), buffer) : std::string_view();
}

std::string ProcFolder::link(const char* name) const {
  char target[PATH_MAX];
  return std::string(read_link(dir_.get(), name, target));
}

std::optional<ProcStat> ProcFolder::stat() const {
  std::string buffer;
  return parse_proc_stat(read("stat", buffer, 2048));
}

std::optional<Ids> ProcFolder::ids() const {
  std::array<char, kProcStatusBytes> buffer;
  const std::string_view text = status_text(buffer);
  Ids ids;
  if (!status_number(text, "Uid:", ids.uid) || !status_number(text, "Gid:", ids.gid))
    return std::nullopt;
  return ids;
}

std::optional<TaskStatus> ProcFolder::task_status() const {
  std::array<char, kProcStatusBytes> buffer;
  const std::string_view text = status_text(buffer);
  TaskStatus status;
  if (!status_number(text, "Uid:", status.uid) || !status_number(text, "Tgid:", status.process))
    return std::nullopt;
  if (const auto line = status_line(text, "NSpid:")) nested_numbers(*line, status);
  return status;
}

UniqueFd ProcFolder::pid_namespace() const {
  return UniqueFd(::openat(dir_.get(), "ns/pid", O_RDONLY | O_CLOEXEC));
}

Image ProcFolder::image() const {
  Image image;
  // Reads one byte more than is stored, to detect longer args.
  const size_t size = read("cmdline", image.args, kArgsBytes + 1).size();
  image.args.resize(size);
  image.args_truncated = size > kArgsBytes;
  if (image.args_truncated) image.args.resize(kArgsBytes);
  // A zombie and a kernel thread have no args: that means "unknown", never "empty".
  image.has_args = size > 0;
  ArgsEnd end = ArgsEnd::kUnknown;
  if (std::string_view(image.args).ends_with(std::string_view("\0\0", 2)))
    end = args_end(image.args, !image.args_truncated);
  image.args.resize(without_title_padding(image.args, end).size());
  if (image.has_args && image.args.back() != '\0') image.args.push_back('\0');
  image.args.shrink_to_fit();
  image.exe = link("exe");
  image.cwd = link("cwd");
  return image;
}

std::string_view ProcFolder::cgroup_text(std::string& buffer) const {
  return read("cgroup", buffer, 16384);
}

Result<ProcReader> ProcReader::open(const char* root) {
  UniqueFd fd(::open(root, O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return errno_error(std::string("open ") + root);
  return ProcReader(std::move(fd));
}

ProcReader::ProcReader(UniqueFd root) : root_(std::move(root)) {
  char target[64];
  ours_ = read_link(root_.get(), "self/ns/pid", target);
}

bool ProcReader::is_in_own_pid_namespace(int32_t tid) const {
  char name[32], target[64];
  std::strcpy(std::to_chars(name, name + 16, tid).ptr, "/ns/pid");
  const std::string_view its = read_link(root_.get(), name, target);
  return !its.empty() && its == ours_;
}

ProcFolder ProcReader::folder(int32_t pid) const {
  char name[16];
  *std::to_chars(name, name + sizeof name - 1, pid).ptr = '\0';
  return ProcFolder(UniqueFd(::openat(root_.get(), name, O_PATH | O_DIRECTORY | O_CLOEXEC)));
}

PidList ProcReader::list() const {
  return PidList(UniqueFd(::openat(root_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

std::vector<int32_t> ProcReader::pids() const {
  std::vector<int32_t> pids;
  PidList list = this->list();
  while (const int32_t pid = list.next()) pids.push_back(pid);
  return pids;
}

}  // namespace knell::process
