// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// A C++20 program of a user of the library, with the installed files.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <knell/knell.hpp>
#include <stdexcept>
#include <system_error>

// A macro, so that the line of the failure is printed. Never an assert(): those of release builds
// do nothing.
#define CHECK(condition)                                                                   \
  do {                                                                                     \
    if (!(condition)) {                                                                    \
      std::fprintf(stderr, "user.cc:%d: %s: %s\n", __LINE__, #condition, knell_explain()); \
      std::exit(1);                                                                        \
    }                                                                                      \
  } while (false)

namespace {

static_assert(std::random_access_iterator<knell::Events::Iterator>);
static_assert(std::input_iterator<knell::Stream::Iterator>);
static_assert(std::is_convertible_v<knell::Events, std::span<const knell_event* const>>);

pid_t child() {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(7);
  return pid;
}

void check_event(const knell_event& event, pid_t pid) {
  CHECK(event.pid == pid && knell::ended(event) == "exit 7");
  CHECK(knell::exit_code(event) == 7 && !knell::signal(event));
  CHECK(knell::wait_status(event) == 7 << 8);
  CHECK(knell::time(event) <= std::chrono::system_clock::now() + std::chrono::seconds(1));
  CHECK(knell::monotonic_time(event) <= std::chrono::steady_clock::now());
  CHECK(knell::json(event).find("\"exit_code\":7,") != std::string::npos);
}

void check_names() {
  std::error_code error;
  CHECK(knell::events_text(0x2) == "exec");
  CHECK(knell::events_parse("exec,exit", error) == (0x80000000 | 0x2) && !error);
  CHECK(knell::events_parse("exex", error) == 0 && error == std::errc::invalid_argument);
  CHECK(knell::explain().find("exec") != std::string::npos);
  CHECK(knell::via_parse("bpf", error) == KNELL_VIA_BPF && !error);
  CHECK(knell::via_name(KNELL_VIA_BPF) == "bpf" && knell::type_name(0x1) == "fork");
  CHECK(!knell::check_match("comm", "a*") && knell::check_match("com", "a"));
  CHECK(!knell::version().empty());
}

void check_open() {
  knell::Options options;
  options.via = KNELL_VIA_PROC;
  std::error_code error;
  if (knell::Listener listener = knell::Listener::open(options, error); listener || !error)
    CHECK(false);
  bool thrown = false;
  try {
    knell::Listener listener(options);
  } catch (const knell::OpenError& failure) {
    thrown = failure.code() == error && std::string_view(failure.what()) == knell::explain();
  }
  CHECK(thrown);
  thrown = false;
  try {
    (void)knell::Listener::open_recording("/nonexistent");
  } catch (const std::system_error& failure) {
    thrown = failure.code() == std::errc::no_such_file_or_directory;
  }
  CHECK(thrown);
}

// Live events, a recording of them, and the events of the recording.
void check_listener() {
  knell::Options options;
  options.via = KNELL_VIA_PIDFD;
  options.set_latency(std::chrono::nanoseconds(0));
  CHECK(options.latency_ns == KNELL_LATENCY_NONE);
  knell::Listener listener(options);
  std::error_code error;
  CHECK(listener.next(std::chrono::milliseconds(1), error) == nullptr && !error);
  CHECK(listener.read(error).empty() && !error);
  const pid_t first = child(), second = child();
  CHECK(!listener.add(first) && !listener.add(second));
  CHECK(listener.add(second) == std::errc::file_exists);

  std::FILE* file = std::tmpfile();
  const std::string path = "/proc/self/fd/" + std::to_string(::fileno(file));
  knell::Recorder recorder = knell::Recorder::open(::fileno(file), listener);
  int seen = 0;
  for (const knell_event& event : listener.events(error)) {
    check_event(event, event.pid == first ? first : second);
    const knell_event* const one[] = {&event};
    CHECK(!recorder.write(one));
    if (++seen == 2) break;
  }
  CHECK(seen == 2 && !error && listener.stats().shown == 2);
  CHECK(recorder.bytes() > 0 && !recorder.close());

  knell::Listener recorded = knell::Listener::open_recording(path);
  CHECK(recorded.recording()->via == KNELL_VIA_PIDFD && !listener.recording());
  const knell::Events events = recorded.read(error);
  CHECK(!error && events.size() == 2 && events.end() - events.begin() == 2);
  CHECK(std::ranges::count_if(events, [](const knell_event& e) { return e.wait_status != 0; }) ==
        2);
  check_event(events[1], events[1].pid);
  CHECK(recorded.next(std::nullopt, error) == nullptr && error == std::errc::no_message_available);
  std::fclose(file);
  ::waitpid(first, nullptr, 0);
  ::waitpid(second, nullptr, 0);

  // What a visitor throws passes through the C library.
  CHECK(!listener.match("pid", std::to_string(::getpid())));
  std::string name;
  CHECK(!listener.snapshot([&](const knell_event& event) { name = knell::view(event.comm); }));
  CHECK(!name.empty());
  bool thrown = false;
  try {
    (void)listener.snapshot([](const knell_event&) { throw std::runtime_error("enough"); });
  } catch (const std::runtime_error&) {
    thrown = true;
  }
  CHECK(thrown);
  CHECK(listener.remove(::getppid()) == std::errc::no_such_file_or_directory);
  CHECK(!listener.set_events(KNELL_EVENT_EXIT));
}

}  // namespace

int main() {
  check_names();
  check_open();
  check_listener();

  std::error_code error;
  const pid_t pid = child();
  const auto event = knell::wait(pid, std::chrono::seconds(60), error);
  CHECK(event && !error);
  check_event(*event, pid);
  ::waitpid(pid, nullptr, 0);
  CHECK(!knell::wait(::getpid(), std::chrono::nanoseconds(0), error) && error);
  const pid_t victim = ::fork();
  if (victim == 0) ::pause();
  const auto killed = knell::kill(victim, SIGKILL, std::nullopt, error);
  CHECK(killed && !error && knell::signal(*killed) == SIGKILL);
  ::waitpid(victim, nullptr, 0);

  ::setenv("KNELL_SOCKET", "", 1);
  CHECK(knell::status(error).empty() && error == std::errc::no_such_file_or_directory);
  CHECK(!knell::doctor(error).empty());
  std::printf("C++20: libknell %s\n", knell_version());
}
