// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell for C++20: a thin, header-only wrapper of <knell/knell.h>, with the same rules for threads,
// lifetimes and errors. Only std::bad_alloc is thrown, by the strings and vectors created here.
// Functions that can fail return or set a std::error_code; knell_explain() describes the error.
#pragma once

#include <knell/knell.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace knell {

// data() is null if the text is unknown, and not null if the text is empty.
inline std::string_view view(const knell_string& s) {
  return s.data ? std::string_view(s.data, s.size) : std::string_view();
}

// The arguments of an event; empty if they are unknown (event.args.data is null then).
inline std::vector<std::string_view> args(const knell_event& event) {
  std::vector<std::string_view> words;
  for (knell_string w = knell_next_arg(&event, {nullptr, 0}); w.data; w = knell_next_arg(&event, w))
    words.push_back(view(w));
  return words;
}

namespace internal {
// Calls an snprintf-like function with a buffer that is large enough.
template <class F>
std::string text(F fill) {
  std::string out(256, '\0');
  for (;;) {
    const ssize_t n = fill(out.data(), out.size() + 1);
    if (n < 0) return {};
    const bool fits = static_cast<size_t>(n) <= out.size();
    out.resize(static_cast<size_t>(n));
    if (fits) return out;
  }
}
inline std::error_code code(ssize_t result) {
  return result < 0 ? std::error_code(static_cast<int>(-result), std::generic_category())
                    : std::error_code();
}
}  // namespace internal

inline std::string json(const knell_event& e) {
  return internal::text([&](char* p, size_t n) { return knell_event_json(&e, p, n); });
}
inline std::string ended(const knell_event& e) {
  return internal::text([&](char* p, size_t n) { return knell_event_ended(&e, p, n); });
}
inline std::string text(const knell_id& id) {
  return internal::text([&](char* p, size_t n) { return knell_id_text(&id, p, n); });
}
inline std::string printable(std::string_view bytes) {
  return internal::text(
      [&](char* p, size_t n) { return knell_printable(bytes.data(), bytes.size(), p, n); });
}
inline std::string json_string(std::string_view bytes) {
  return internal::text(
      [&](char* p, size_t n) { return knell_json_string(bytes.data(), bytes.size(), p, n); });
}
inline std::string events_text(uint32_t mask) {
  return internal::text([&](char* p, size_t n) { return knell_events_text(mask, p, n); });
}

// Waits for the exit of any process; nullopt with `error` set on failure or after `timeout`.
inline std::optional<knell_event> wait(pid_t pid, std::optional<std::chrono::nanoseconds> timeout,
                                       std::error_code& error) {
  timespec limit{};
  if (timeout) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*timeout);
    limit.tv_sec = static_cast<time_t>(seconds.count());
    limit.tv_nsec = static_cast<long>((*timeout - seconds).count());
  }
  knell_event event{};
  event.size = sizeof event;
  error = internal::code(knell_wait(pid, timeout ? &limit : nullptr, &event));
  return error ? std::nullopt : std::optional(event);
}

// The status of knelld as a JSON object; empty with `error` set on failure.
inline std::string status(std::error_code& error) {
  // Each call sends a new request, so the answer may have grown.
  for (std::string out(16384, '\0');;) {
    const ssize_t n = knell_status(out.data(), out.size() + 1);
    error = internal::code(n);
    if (error) return {};
    const bool fits = static_cast<size_t>(n) <= out.size();
    out.resize(fits ? static_cast<size_t>(n) : 2 * static_cast<size_t>(n));
    if (fits) return out;
  }
}

struct Finding {
  knell_finding_level level;
  std::string subject, text;
  std::optional<std::string> fix;  // nullopt: nothing is wrong, or there is no fix
};
namespace internal {
inline int add_finding(const knell_finding* found, void* to) {
  static_cast<std::vector<Finding>*>(to)->push_back(
      {static_cast<knell_finding_level>(found->level), found->subject, found->text,
       found->fix != nullptr ? std::optional<std::string>(found->fix) : std::nullopt});
  return 0;
}
}  // namespace internal
// What works on this machine for this user; `error` is set if no events can be observed.
inline std::vector<Finding> doctor(std::error_code& error) {
  std::vector<Finding> all;
  error = internal::code(knell_doctor(internal::add_finding, &all));
  return all;
}

// What a check of the journal at `path` found; `error` is set if it is damaged or cannot be read.
inline std::vector<Finding> verify_journal(const std::string& path, std::error_code& error) {
  std::vector<Finding> all;
  error = internal::code(knell_verify_journal(path.c_str(), internal::add_finding, &all));
  return all;
}

struct Options : knell_options {
  Options() : knell_options KNELL_OPTIONS_INIT {}
};
struct ReplayOptions : knell_replay_options {
  ReplayOptions() : knell_replay_options KNELL_REPLAY_OPTIONS_INIT {}
};
struct HistoryOptions : knell_history_options {
  HistoryOptions() : knell_history_options KNELL_HISTORY_OPTIONS_INIT {}
};

// One listener. Move-only.
class Listener {
 public:
  Listener() = default;
  // Empty on failure, with `error` set.
  static Listener open(const knell_options& options, std::error_code& error) {
    knell_listener* handle = nullptr;
    error = internal::code(knell_open(&options, &handle));
    return Listener(handle);
  }
  static Listener open_recording(const std::string& path, const knell_replay_options& options,
                                 std::error_code& error) {
    knell_listener* handle = nullptr;
    error = internal::code(knell_open_recording(path.c_str(), &options, &handle));
    return Listener(handle);
  }
  static Listener open_history(const std::string& path, const knell_history_options& options,
                               std::error_code& error) {
    knell_listener* handle = nullptr;
    error = internal::code(knell_open_history(path.c_str(), &options, &handle));
    return Listener(handle);
  }
  explicit operator bool() const { return handle_ != nullptr; }
  knell_listener* get() const { return handle_.get(); }
  int fd() const { return knell_fd(get()); }
  [[nodiscard]] std::error_code match(const std::string& key, const std::string& value) {
    return internal::code(knell_match(get(), key.c_str(), value.c_str()));
  }
  [[nodiscard]] std::error_code add(pid_t pid, uint64_t start = 0, uint64_t cookie = 0) {
    return internal::code(knell_add(get(), pid, start, cookie));
  }
  [[nodiscard]] std::error_code remove(pid_t pid) {
    return internal::code(knell_remove(get(), pid));
  }
  [[nodiscard]] std::error_code set_events(uint32_t mask) {
    return internal::code(knell_set_events(get(), mask));
  }
  // Calls visit(event) for each process that is alive now and matches the predicates.
  template <class F>
  [[nodiscard]] std::error_code snapshot(F visit) {
    const auto call = [](const knell_event* event, void* context) {
      (*static_cast<F*>(context))(*event);
      return 0;
    };
    return internal::code(knell_snapshot(get(), call, &visit));
  }
  // Returns up to events.size() events, valid until the next call with this listener; empty if
  // there are none now.
  std::span<const knell_event*> read(std::span<const knell_event*> events, std::error_code& error) {
    const ssize_t n = knell_read(get(), events.data(), events.size());
    error = internal::code(n);
    return events.first(n < 0 ? 0 : static_cast<size_t>(n));
  }
  knell_stats stats() const {
    knell_stats s{};
    s.size = sizeof s;
    (void)knell_get_stats(get(), &s);
    return s;
  }
  // The origin of the recording that the listener reads; nullopt: it does not read a recording.
  std::optional<knell_recording> recording() const {
    knell_recording r{};
    r.size = sizeof r;
    return knell_get_recording(get(), &r) == 0 ? std::optional(r) : std::nullopt;
  }

 private:
  struct Close {
    void operator()(knell_listener* k) const { knell_close(k); }
  };
  explicit Listener(knell_listener* handle) : handle_(handle) {}
  std::unique_ptr<knell_listener, Close> handle_;
};

// Writes a recording to a descriptor, which the caller must close. Move-only.
class Recorder {
 public:
  Recorder() = default;
  // Empty on failure, with `error` set.
  static Recorder open(int fd, const Listener& listener, const std::string& selection,
                       std::error_code& error) {
    knell_recorder* handle = nullptr;
    error = internal::code(knell_recorder_open(fd, listener.get(), selection.c_str(), &handle));
    return Recorder(handle);
  }
  explicit operator bool() const { return handle_ != nullptr; }
  [[nodiscard]] std::error_code write(std::span<const knell_event* const> events) {
    return internal::code(knell_recorder_write(handle_.get(), events.data(), events.size()));
  }
  uint64_t bytes() const { return knell_recorder_bytes(handle_.get()); }
  // Writes the end mark. The destructor does so too, but cannot report an error.
  [[nodiscard]] std::error_code close() {
    return internal::code(knell_recorder_close(handle_.release()));
  }

 private:
  struct Close {
    void operator()(knell_recorder* r) const { (void)knell_recorder_close(r); }
  };
  explicit Recorder(knell_recorder* handle) : handle_(handle) {}
  std::unique_ptr<knell_recorder, Close> handle_;
};

}  // namespace knell
