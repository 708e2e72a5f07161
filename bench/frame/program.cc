// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/frame/program.h"

#include <fcntl.h>
#include <knell/cn_proc.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>

#include "base/unique_fd.h"
#include "bench/frame/cpu.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kStartPatience = 20'000 * kMillisecond;
constexpr uint64_t kQuietPatience = 5'000 * kMillisecond;
constexpr uint64_t kQuietWindow = 100 * kMillisecond;
constexpr uint64_t kQuietCpu = kMillisecond;  // a window: what polling with a time-out uses is less
constexpr std::string_view kSystemFolders = "/usr/local/sbin:/usr/sbin:/sbin";

std::string all_of(int fd, off_t from) {
  struct stat about{};
  if (::fstat(fd, &about) != 0 || about.st_size <= from) return {};
  std::string text(static_cast<size_t>(about.st_size - from), '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), from);
  text.resize(got < 0 ? 0 : static_cast<size_t>(got));
  return text;
}

off_t size_of(int fd) {
  struct stat about{};
  return ::fstat(fd, &about) == 0 ? about.st_size : 0;
}

// In the child. What tracing programs look for, mounted where nobody else sees it.
void mount_tracing() {
  if (::unshare(CLONE_NEWNS) != 0) return;  // then it says itself what it misses
  (void)::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  (void)::mount("tracefs", "/sys/kernel/tracing", "tracefs", 0, nullptr);
  (void)::mount("debugfs", "/sys/kernel/debug", "debugfs", 0, nullptr);
}

template <class F>
void for_each_line(std::string_view text, F visit) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return;  // the last one may be half written
    visit(text.substr(at, end - at));
    at = end + 1;
  }
}

class Program final : public Contender {
 public:
  explicit Program(ProgramOptions options)
      : Contender(options.name), options_(std::move(options)) {}

  Outcome<void> start(const Cores& cores) override;
  std::optional<uint64_t> handled(pid_t marker) override;
  void stop() override { end_softly(); }
  std::vector<Arrival> arrivals() override;
  uint32_t events() const override { return options_.events; }

 private:
  void execute() const;
  bool await_listening();
  std::string why_not() const;

  ProgramOptions options_;
  UniqueFd lines_, complaints_;
  off_t looked_ = 0;  // how far into the lines handled() has looked
};

Outcome<void> Program::start(const Cores& cores) {
  lines_.reset(::memfd_create("lines", MFD_CLOEXEC));
  complaints_.reset(::memfd_create("complaints", MFD_CLOEXEC));
  if (!lines_ || !complaints_) return std::unexpected(errno_error("make a file in memory").error());
  looked_ = 0;
  KNELL_TRY(run(cores, [this] { execute(); }));
  if (!await_listening()) {
    std::string why = why_not();
    kill_now();
    return fail(kCannotMeasure, "{}", why);
  }
  looked_ = size_of(lines_.get());
  return {};
}

void Program::execute() const {
  if (options_.tracing) mount_tracing();
  ::dup2(lines_.get(), STDOUT_FILENO);
  ::dup2(complaints_.get(), STDERR_FILENO);
  std::vector<char*> words;
  words.reserve(options_.words.size() + 1);
  for (const std::string& word : options_.words) words.push_back(const_cast<char*>(word.c_str()));
  words.push_back(nullptr);
  ::execv(find_program(options_.words.front()).c_str(), words.data());
  ::_exit(127);
}

bool Program::await_listening() {
  // Where others' processes keep it busy it never comes to rest; by then it listens.
  if (!options_.prompt) return await_quiet(pid(), kQuietPatience) || (is_alive() && !interrupted());
  for (const uint64_t end = now_ns() + kStartPatience; size_of(lines_.get()) == 0;) {
    if (!end_one(kMarkerStatus)) return false;
    if (!is_alive() || interrupted() || now_ns() > end) return false;
    ::usleep(2000);
  }
  return true;
}

std::string Program::why_not() const {
  std::string last;
  for_each_line(all_of(complaints_.get(), 0) + "\n", [&](std::string_view line) {
    if (!line.empty()) last = line;
  });
  if (!last.empty()) return last;
  return is_alive() ? "it does not begin to listen" : "it ended at once";
}

std::optional<uint64_t> Program::handled(pid_t marker) {
  if (!options_.prompt) return std::nullopt;
  const std::string text = all_of(lines_.get(), looked_);
  bool told = false;
  for_each_line(text, [&](std::string_view line) {
    looked_ += static_cast<off_t>(line.size()) + 1;
    const auto arrival = options_.parse(line);
    told |= arrival && arrival->type == KNELL_EVENT_EXIT && arrival->pid == marker;
  });
  if (told) return now_ns();
  return std::nullopt;
}

std::vector<Arrival> Program::arrivals() {
  std::vector<Arrival> all;
  for_each_line(all_of(lines_.get(), 0), [&](std::string_view line) {
    if (const auto arrival = options_.parse(line)) all.push_back(*arrival);
  });
  return all;
}

std::optional<int32_t> number_behind(std::string_view line, std::string_view key) {
  const size_t at = line.find(key);
  if (at == std::string_view::npos) return std::nullopt;
  int32_t value = 0;
  const auto rest = line.substr(at + key.size());
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::optional<Arrival> parse_json(std::string_view line) {
  const auto is = [&](std::string_view type) { return line.starts_with(type); };
  const auto pid = number_behind(line, "\"pid\":");
  if (is("{\"type\":\"exit\"") && pid) return Arrival{KNELL_EVENT_EXIT, *pid};
  if (is("{\"type\":\"exec\"") && pid) return Arrival{KNELL_EVENT_EXEC, *pid};
  const auto child = number_behind(line, "\"child_pid\":");
  if (is("{\"type\":\"fork\"") && child) return Arrival{KNELL_EVENT_FORK, *child};
  return std::nullopt;
}

}  // namespace

bool await_quiet(pid_t pid, uint64_t patience_ns) {
  uint64_t before = tree_cpu_ns(pid);
  for (const uint64_t end = now_ns() + patience_ns; now_ns() < end && !interrupted();) {
    rest(kQuietWindow);
    const uint64_t used = tree_cpu_ns(pid);
    if (used == 0) return false;  // gone, or a zombie
    if (used - before < kQuietCpu && used > kQuietCpu / 4 && !tree_is_runnable(pid)) return true;
    before = used;
  }
  return false;
}

std::string find_program(std::string_view name) {
  if (name.empty()) return {};
  if (name.find('/') != std::string_view::npos)
    return ::access(std::string(name).c_str(), X_OK) == 0 ? std::string(name) : std::string();
  const char* path = std::getenv("PATH");
  const std::string folders =
      fmt::format("{}:{}", path == nullptr ? "/usr/bin" : path, kSystemFolders);
  for (size_t at = 0; at < folders.size();) {
    const size_t end = std::min(folders.find(':', at), folders.size());
    const std::string candidate = fmt::format("{}/{}", folders.substr(at, end - at), name);
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    at = end + 1;
  }
  return {};
}

std::unique_ptr<Contender> make_program(ProgramOptions options) {
  return std::make_unique<Program>(std::move(options));
}

std::unique_ptr<Contender> make_knell_watch(std::string name, const std::string& knell,
                                            std::vector<std::string> flags, uint32_t events) {
  ProgramOptions options{.name = std::move(name),
                         .words = {knell, "watch", "-o", "json"},
                         .events = events,
                         .prompt = true,
                         .parse = parse_json};
  options.words.insert(options.words.end(), flags.begin(), flags.end());
  return make_program(std::move(options));
}

}  // namespace knell::bench
