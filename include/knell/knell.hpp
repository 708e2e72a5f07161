// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// knell for C++20: a thin, header-only wrapper of <knell/knell.h>, with the same rules for threads,
// lifetimes and errors.
//
//   #include <iostream>
//   #include <knell/knell.hpp>
//
//   int main() try {
//     knell::Options options;
//     options.events = KNELL_EVENT_NONZERO_EXIT;
//     knell::Listener listener(options);
//     std::error_code error;
//     for (const knell_event& e : listener.events(error)) {
//       if (e.type == KNELL_EVENT_LOST)
//         std::cout << "some exits were lost\n";
//       else
//         std::cout << e.pid << ' ' << knell::view(e.comm) << ": " << knell::ended(e) << '\n';
//       if (!std::cout.flush()) return 1;
//     }
//     return std::cerr << knell::explain() << '\n', 1;
//   } catch (const knell::OpenError& error) {
//     return std::cerr << error.what() << '\n', 3;
//   }
//
// Exceptions: functions that open something have a form that throws knell::OpenError, and one that
// sets a std::error_code. All others return or set a std::error_code, and explain() describes the
// error. std::bad_alloc is thrown by the strings and vectors made here.
#pragma once

#include <knell/knell.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace knell {

// The last error of this library in the calling thread.
inline std::string explain() { return knell_explain(); }

// Why something could not be opened. what() is the text of explain().
class OpenError : public std::system_error {
 public:
  explicit OpenError(std::error_code code) : std::system_error(code), text_(explain()) {}
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  std::string text_;
};

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
// Returns what `open(error)` opened, or throws.
template <class F>
auto opened(F open) {
  std::error_code error;
  auto result = open(error);
  if (error) throw OpenError(error);
  return result;
}
// Calls `visit(value)` from a callback of the C library, through which no exception may pass. It is
// thrown again by rethrow(), after the C function has returned.
template <class F>
class Visit {
 public:
  explicit Visit(F& visit) : visit_(visit) {}
  template <class T>
  static int call(const T* value, void* context) noexcept {
    auto& self = *static_cast<Visit*>(context);
    try {
      self.visit_(*value);
      return 0;
    } catch (...) {
      self.thrown_ = std::current_exception();
      return 1;
    }
  }
  void rethrow() const {
    if (thrown_) std::rethrow_exception(thrown_);
  }

 private:
  F& visit_;
  std::exception_ptr thrown_;
};
}  // namespace internal

// ---------------------------------------------------------------------------------------- events

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

// The time of the event. With libstdc++ steady_clock is CLOCK_MONOTONIC, the clock of `mono_ns`.
inline std::chrono::sys_time<std::chrono::nanoseconds> time(const knell_event& event) {
  return std::chrono::sys_time<std::chrono::nanoseconds>(std::chrono::nanoseconds(event.time_ns));
}
inline std::chrono::steady_clock::time_point monotonic_time(const knell_event& event) {
  return std::chrono::steady_clock::time_point(
      std::chrono::nanoseconds(static_cast<int64_t>(event.mono_ns)));
}
// The lifetime of a process that exited; nullopt: unknown.
inline std::optional<std::chrono::nanoseconds> duration(const knell_event& event) {
  if ((event.has & KNELL_HAS_DURATION) == 0) return std::nullopt;
  return std::chrono::nanoseconds(static_cast<int64_t>(event.duration_ns));
}
// The status as wait(2) returns it; nullopt: unknown, or not an exit. exit_code() is also nullopt
// if a signal killed the process, and signal() is nullopt if none did.
inline std::optional<int> wait_status(const knell_event& event) {
  if ((event.has & KNELL_HAS_STATUS) == 0) return std::nullopt;
  return event.wait_status;
}
inline std::optional<int> exit_code(const knell_event& event) {
  const auto status = wait_status(event);
  return status && (*status & 0x7f) == 0 ? std::optional((*status >> 8) & 0xff) : std::nullopt;
}
inline std::optional<int> signal(const knell_event& event) {
  const auto status = wait_status(event);
  return status && (*status & 0x7f) != 0 ? std::optional(*status & 0x7f) : std::nullopt;
}

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

// -------------------------------------------------------------------------------- names and masks

inline std::string events_text(uint32_t mask) {
  return internal::text([&](char* p, size_t n) { return knell_events_text(mask, p, n); });
}
// "exec,exit" -> a mask; 0 with `error` set on failure.
inline uint32_t events_parse(const std::string& names, std::error_code& error) {
  uint32_t mask = 0;
  error = internal::code(knell_events_parse(names.c_str(), &mask));
  return mask;
}
inline std::string_view type_name(uint32_t type) { return knell_type_name(type); }
inline std::string_view via_name(uint32_t via) { return knell_via_name(via); }
// "bpf" -> KNELL_VIA_BPF; KNELL_VIA_AUTO with `error` set on failure.
inline knell_via via_parse(const std::string& name, std::error_code& error) {
  uint32_t via = KNELL_VIA_AUTO;
  error = internal::code(knell_via_parse(name.c_str(), &via));
  return static_cast<knell_via>(via);
}
// Checks a predicate without a listener.
[[nodiscard]] inline std::error_code check_match(const std::string& key, const std::string& value) {
  return internal::code(knell_check_match(key.c_str(), value.c_str()));
}
inline std::string_view version() { return knell_version(); }

// ----------------------------------------------------------------------------- without a listener

namespace internal {
// Calls `get(limit, event)`, which waits for an exit.
template <class F>
std::optional<knell_event> exit_within(std::optional<std::chrono::nanoseconds> timeout,
                                       std::error_code& error, F get) {
  timespec limit{};
  if (timeout) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(*timeout);
    limit.tv_sec = static_cast<time_t>(seconds.count());
    limit.tv_nsec = static_cast<long>((*timeout - seconds).count());
  }
  knell_event event{};
  event.size = sizeof event;
  error = code(get(timeout ? &limit : nullptr, &event));
  return error ? std::nullopt : std::optional(event);
}
}  // namespace internal

// Waits for the exit of any process; nullopt with `error` set on failure or after `timeout`.
inline std::optional<knell_event> wait(pid_t pid, std::optional<std::chrono::nanoseconds> timeout,
                                       std::error_code& error) {
  return internal::exit_within(timeout, error, [&](const timespec* limit, knell_event* event) {
    return knell_wait(pid, limit, event);
  });
}

// Sends a signal, and waits until the process has exited and its memory is free.
inline std::optional<knell_event> kill(pid_t pid, int signal,
                                       std::optional<std::chrono::nanoseconds> timeout,
                                       std::error_code& error) {
  return internal::exit_within(timeout, error, [&](const timespec* limit, knell_event* event) {
    return knell_kill(pid, signal, limit, event);
  });
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

// Removes a durable listener of this user, or of the user `owner` (root only).
[[nodiscard]] inline std::error_code remove_durable(const std::string& name, int64_t owner = -1) {
  return internal::code(knell_remove_durable(name.c_str(), owner));
}

struct Finding {
  knell_finding_level level;
  std::string subject, text;
  std::optional<std::string> fix;  // nullopt: nothing is wrong, or there is no fix
};
namespace internal {
// Calls `visit` of the library with a function that collects the findings; returns its result.
template <class Visitor>
int collect(std::vector<Finding>& all, const Visitor& visit) {
  const auto add = [&all](const knell_finding& found) {
    all.push_back({static_cast<knell_finding_level>(found.level), found.subject, found.text,
                   found.fix != nullptr ? std::optional<std::string>(found.fix) : std::nullopt});
  };
  Visit each(add);
  const int result = visit(&decltype(each)::template call<knell_finding>, &each);
  each.rethrow();
  return result;
}
}  // namespace internal
// The findings about this machine for this user; `error` is set if no events can be observed.
inline std::vector<Finding> doctor(std::error_code& error) {
  std::vector<Finding> all;
  error = internal::code(internal::collect(all, knell_doctor));
  return all;
}

// The findings of a check of the journal at `path`; `error` is set if it is damaged or cannot be
// read.
inline std::vector<Finding> verify_journal(const std::string& path, std::error_code& error) {
  std::vector<Finding> all;
  error = internal::code(internal::collect(
      all, [&](auto add, void* to) { return knell_verify_journal(path.c_str(), add, to); }));
  return all;
}

// ------------------------------------------------------------------------------------- a listener

struct Options : knell_options {
  Options() : knell_options KNELL_OPTIONS_INIT {}
  // How long events may be delayed to deliver several at once; zero: no delay.
  void set_latency(std::chrono::nanoseconds latency) {
    latency_ns = latency.count() == 0 ? KNELL_LATENCY_NONE : latency.count();
  }
};
struct ReplayOptions : knell_replay_options {
  ReplayOptions() : knell_replay_options KNELL_REPLAY_OPTIONS_INIT {}
};
struct HistoryOptions : knell_history_options {
  HistoryOptions() : knell_history_options KNELL_HISTORY_OPTIONS_INIT {}
};

// The events of one read, a random-access range of const knell_event&. Valid until the next call
// with the listener.
class Events {
 public:
  class Iterator {
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = knell_event;
    using difference_type = std::ptrdiff_t;
    using pointer = const knell_event*;
    using reference = const knell_event&;
    Iterator() = default;
    explicit Iterator(const knell_event* const* at) : at_(at) {}
    reference operator*() const { return **at_; }
    pointer operator->() const { return *at_; }
    reference operator[](difference_type n) const { return *at_[n]; }
    Iterator& operator++() { return *this += 1; }
    Iterator& operator--() { return *this -= 1; }
    Iterator operator++(int) { return std::exchange(*this, *this + 1); }
    Iterator operator--(int) { return std::exchange(*this, *this - 1); }
    Iterator& operator+=(difference_type n) {
      at_ += n;
      return *this;
    }
    Iterator& operator-=(difference_type n) { return *this += -n; }
    friend Iterator operator+(Iterator i, difference_type n) { return i += n; }
    friend Iterator operator+(difference_type n, Iterator i) { return i += n; }
    friend Iterator operator-(Iterator i, difference_type n) { return i -= n; }
    friend difference_type operator-(Iterator a, Iterator b) { return a.at_ - b.at_; }
    bool operator==(const Iterator&) const = default;
    auto operator<=>(const Iterator&) const = default;

   private:
    const knell_event* const* at_ = nullptr;
  };

  Events() = default;
  explicit Events(std::span<const knell_event* const> events) : events_(events) {}
  Iterator begin() const { return Iterator(events_.data()); }
  Iterator end() const { return Iterator(events_.data() + events_.size()); }
  size_t size() const { return events_.size(); }
  bool empty() const { return events_.empty(); }
  const knell_event& operator[](size_t i) const { return *events_[i]; }
  // As a Recorder takes them. NOLINTNEXTLINE(google-explicit-constructor)
  operator std::span<const knell_event* const>() const { return events_; }

 private:
  std::span<const knell_event* const> events_;
};

class Stream;

// One listener. Move-only. A default-constructed one is empty: only open and assign to it.
class Listener {
 public:
  Listener() = default;
  // Errors: throws knell::OpenError.
  explicit Listener(const knell_options& options) : Listener(open(options)) {}
  static Listener open(const knell_options& options) {
    return internal::opened([&](std::error_code& error) { return open(options, error); });
  }
  static Listener open_recording(const std::string& path,
                                 const knell_replay_options& options = ReplayOptions()) {
    return internal::opened(
        [&](std::error_code& error) { return open_recording(path, options, error); });
  }
  // An empty `path` means NULL.
  static Listener open_history(const std::string& path,
                               const knell_history_options& options = HistoryOptions()) {
    return internal::opened(
        [&](std::error_code& error) { return open_history(path, options, error); });
  }
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
    error = internal::code(
        knell_open_history(path.empty() ? nullptr : path.c_str(), &options, &handle));
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
  // Adds many processes at once; `error` of each says whether it was added. Returns how many were.
  size_t add(std::span<knell_added> processes, std::error_code& error) {
    const ssize_t added = knell_add_many(get(), processes.data(), processes.size());
    error = internal::code(added < 0 ? static_cast<int>(added) : 0);
    return added < 0 ? 0 : static_cast<size_t>(added);
  }
  [[nodiscard]] std::error_code remove(pid_t pid) {
    return internal::code(knell_remove(get(), pid));
  }
  [[nodiscard]] std::error_code set_events(uint32_t mask) {
    return internal::code(knell_set_events(get(), mask));
  }
  // For a durable listener: acknowledges the event and all events before it.
  [[nodiscard]] std::error_code ack(const knell_event& event) {
    return internal::code(knell_ack(get(), &event));
  }
  // Waits until all acknowledgements are committed.
  [[nodiscard]] std::error_code flush_acks() { return internal::code(knell_ack(get(), nullptr)); }
  [[nodiscard]] std::error_code mark_failed(const knell_event& event) {
    return internal::code(knell_mark_failed(get(), &event));
  }
  // Calls visit(event) for each process that is alive now and matches the predicates. An exception
  // of `visit` ends the snapshot and is passed to the caller.
  template <class F>
  [[nodiscard]] std::error_code snapshot(F visit) {
    internal::Visit<F> calls(visit);
    const int result =
        knell_snapshot(get(), &internal::Visit<F>::template call<knell_event>, &calls);
    calls.rethrow();
    return internal::code(result);
  }
  // Returns up to events.size() events, valid until the next call with this listener; empty if
  // there are none now.
  std::span<const knell_event*> read(std::span<const knell_event*> events, std::error_code& error) {
    const ssize_t n = knell_read(get(), events.data(), events.size());
    error = internal::code(n);
    return events.first(n < 0 ? 0 : static_cast<size_t>(n));
  }
  // The same with a buffer of the listener, for up to kBuffered events.
  Events read(std::error_code& error) {
    next_ = filled_ = 0;
    return Events(read(std::span<const knell_event*>(buffer_), error));
  }
  static constexpr size_t kBuffered = 64;

  // Waits for an event at most `timeout`; nullopt: for ever. nullptr: there is none in that time,
  // or `error` is set: of knell_read(), or EINTR if a signal was caught. Do not use it together
  // with read(). The event is valid until the next call.
  const knell_event* next(std::optional<std::chrono::nanoseconds> timeout, std::error_code& error) {
    using Steady = std::chrono::steady_clock;
    constexpr std::chrono::nanoseconds kNow{0}, kMost = std::chrono::hours(24 * 365);
    const auto until = Steady::now() + std::min(timeout.value_or(kNow), kMost);
    error.clear();
    for (;;) {
      if (next_ < filled_) return buffer_[next_++];
      const auto events = read(std::span<const knell_event*>(buffer_), error);
      next_ = 0;
      filled_ = events.size();
      if (error) return nullptr;
      if (filled_ > 0) continue;
      int left_ms = -1;
      if (timeout) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Steady::now());
        if (left.count() <= 0) return nullptr;
        left_ms = static_cast<int>(std::min<int64_t>(left.count(), INT32_MAX));
      }
      pollfd ready{fd(), POLLIN, 0};
      if (::poll(&ready, 1, left_ms) < 0) {
        error = std::error_code(errno, std::generic_category());
        return nullptr;
      }
    }
  }
  // All events from now on, as an input range that waits for each; see next(). It ends when
  // `timeout` passes without one, and at an error, which may be ENODATA at the end of a recording.
  // The listener and `error` must outlive it.
  Stream events(std::error_code& error,
                std::optional<std::chrono::nanoseconds> timeout = std::nullopt);

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
  std::array<const knell_event*, kBuffered> buffer_{};
  size_t next_ = 0, filled_ = 0;  // of buffer_, for next()
};

// An input range of const knell_event&; see Listener::events().
class Stream {
 public:
  class Iterator {
   public:
    using iterator_concept = std::input_iterator_tag;
    using value_type = knell_event;
    using difference_type = std::ptrdiff_t;
    Iterator() = default;
    explicit Iterator(Stream* stream) : stream_(stream) { ++*this; }
    const knell_event& operator*() const { return *event_; }
    const knell_event* operator->() const { return event_; }
    Iterator& operator++() {
      event_ = stream_->listener_->next(stream_->timeout_, *stream_->error_);
      return *this;
    }
    void operator++(int) { ++*this; }
    friend bool operator==(const Iterator& i, std::default_sentinel_t) {
      return i.event_ == nullptr;
    }

   private:
    Stream* stream_ = nullptr;
    const knell_event* event_ = nullptr;
  };

  Stream(Listener& listener, std::error_code& error,
         std::optional<std::chrono::nanoseconds> timeout)
      : listener_(&listener), error_(&error), timeout_(timeout) {}
  Iterator begin() { return Iterator(this); }
  std::default_sentinel_t end() const { return {}; }

 private:
  Listener* listener_;
  std::error_code* error_;
  std::optional<std::chrono::nanoseconds> timeout_;
};

inline Stream Listener::events(std::error_code& error,
                               std::optional<std::chrono::nanoseconds> timeout) {
  return Stream(*this, error, timeout);
}

// ------------------------------------------------------------------------------------- a recorder

// Writes a recording to a descriptor, which the caller must close. Move-only.
class Recorder {
 public:
  Recorder() = default;
  // Errors: throws knell::OpenError.
  static Recorder open(int fd, const Listener& listener, const std::string& selection = "") {
    return internal::opened(
        [&](std::error_code& error) { return open(fd, listener, selection, error); });
  }
  // Empty on failure, with `error` set.
  static Recorder open(int fd, const Listener& listener, const std::string& selection,
                       std::error_code& error) {
    knell_recorder* handle = nullptr;
    error = internal::code(knell_recorder_open(fd, listener.get(), selection.c_str(), &handle));
    return Recorder(handle);
  }
  // Begins a recording after those in the file; see knell_recorder_append().
  static Recorder append(int fd, const Listener& listener, const std::string& selection,
                         std::error_code& error) {
    knell_recorder* handle = nullptr;
    error = internal::code(knell_recorder_append(fd, listener.get(), selection.c_str(), &handle));
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
