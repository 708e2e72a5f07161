// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "bench/cases/crowd.h"

#include <fmt/format.h>
#include <knell/knell.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/unique_fd.h"
#include "bench/frame/hearing.h"
#include "bench/frame/shared_memory.h"
#include "bench/frame/storm.h"
#include "bench/frame/time.h"

namespace knell::bench {
namespace {

constexpr uint64_t kStartPatienceNs = 60'000'000'000;  // a hundred over bpf take ten seconds
constexpr size_t kBufferBytes = 8 << 20;               // of each: a storm of 8K and more fits

uint32_t events_of(size_t listener) {
  constexpr uint32_t kOthers[] = {KNELL_EVENT_NONZERO_EXIT, KNELL_EVENT_FORK, KNELL_EVENT_EXEC,
                                  KNELL_EVENT_COMM};
  return listener % 2 == 0 ? uint32_t{KNELL_EVENT_EXIT}
                           : kOthers[listener / 2 % std::size(kOthers)];
}

// One listener's count. Of the storm: what has our process as its parent.
struct alignas(64) Count {
  std::atomic<uint64_t> delivered = 0, zero = 0, failing = 0, forks = 0, unwanted = 0;
  std::atomic<int32_t> last = 0;  // the marker, once it was told; a listener for forks: the newest
  std::atomic<uint64_t> marker_ns = 0;
};
struct Counts {
  std::array<Count, kMostListeners> of{};
  void clear() {
    for (Count& count : of) {
      std::destroy_at(&count);
      std::construct_at(&count);
    }
  }
};

void add_one(std::atomic<uint64_t>& figure) {  // which only its listener writes
  figure.store(figure.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

void count(Count& count, uint32_t events, const Heard& heard, int32_t parent) {
  add_one(count.delivered);
  if (heard.type == KNELL_EVENT_FORK && heard.ppid == parent) {
    add_one((events & KNELL_EVENT_FORK) != 0 ? count.forks : count.unwanted);
    count.last = heard.pid;
  }
  if (heard.type != KNELL_EVENT_EXIT || heard.ppid != parent) return;
  const bool wanted = (events & KNELL_EVENT_EXIT) != 0 ||
                      ((events & KNELL_EVENT_NONZERO_EXIT) != 0 && heard.wait_status != 0);
  if (!wanted) {
    add_one(count.unwanted);
  } else if (heard.wait_status == kMarkerStatus << 8) {
    count.marker_ns = now_ns();
    count.last = heard.pid;
  } else {
    add_one(heard.wait_status == 0 ? count.zero : count.failing);
  }
}

uint64_t shortfall(uint64_t should, uint64_t is) { return should > is ? should - is : 0; }

class Listeners final : public Crowd {
 public:
  using Body = std::function<int(Board&, int stop_fd, const std::vector<Handler>&)>;
  using Memory = std::shared_ptr<SharedMemory<Counts>>;

  static std::unique_ptr<Crowd> create(std::string name, size_t listeners, Body body) {
    auto memory = std::make_shared<SharedMemory<Counts>>();
    std::vector<Handler> handlers;
    handlers.reserve(listeners);
    for (size_t i = 0; i < listeners; ++i) {
      handlers.push_back(
          [memory, i, events = events_of(i), parent = ::getpid()](Board&, const Heard& heard) {
            count((*memory)->of[i], events, heard, parent);
          });
    }
    auto listen = [body = std::move(body), handlers = std::move(handlers)](
                      Board& board, int stop_fd) { return body(board, stop_fd, handlers); };
    return std::unique_ptr<Crowd>(
        new Listeners(std::move(name), listeners, std::move(memory), std::move(listen)));
  }

  Outcome<void> start(const Cores& cores) override {
    (*memory_)->clear();
    KNELL_TRY(InProcess::start(cores));
    for (const uint64_t end = now_ns() + kStartPatienceNs; board().ready != listeners_;
         rest(1'000'000)) {
      if (!is_alive())
        return fail(kCannotMeasure, "{}", board().why[0] != '\0' ? board().why : "it died");
      if (now_ns() > end || interrupted())
        return fail(kCannotMeasure, "only {} of {} listen", board().ready.load(), listeners_);
    }
    return {};
  }

  std::optional<uint64_t> handled(pid_t marker) override {
    uint64_t latest = 0;
    for (size_t i = 0; i < listeners_; ++i) {
      const Count& count = (*memory_)->of[i];
      constexpr uint32_t kTellsOfIt =
          KNELL_EVENT_EXIT | KNELL_EVENT_NONZERO_EXIT | KNELL_EVENT_FORK;
      if ((events_of(i) & kTellsOfIt) == 0) continue;
      if (count.last != marker) return std::nullopt;
      latest = std::max<uint64_t>(latest, count.marker_ns);
    }
    return latest;
  }

  CrowdHeard heard(uint64_t processes, uint64_t failing) const override {
    CrowdHeard all;
    for (size_t i = 0; i < listeners_; ++i) {
      const Count& count = (*memory_)->of[i];
      const uint32_t events = events_of(i);
      const bool exits = events == KNELL_EVENT_EXIT;
      const uint64_t zero = exits ? processes - failing : 0;
      const uint64_t nonzero = exits || events == KNELL_EVENT_NONZERO_EXIT ? failing : 0;
      const uint64_t forks = events == KNELL_EVENT_FORK ? processes + 1 : 0;  // and the marker's
      all.delivered += count.delivered;
      all.missing += shortfall(zero, count.zero) + shortfall(nonzero, count.failing) +
                     shortfall(forks, count.forks);
      if (count.zero != zero || count.failing != nonzero || count.forks != forks ||
          count.unwanted != 0)
        ++all.wrong;
    }
    return all;
  }

 private:
  Listeners(std::string name, size_t listeners, Memory memory, Listen listen)
      : Crowd(std::move(name), KNELL_EVENT_EXIT, std::move(listen)),
        listeners_(listeners),
        memory_(std::move(memory)) {}

  size_t listeners_;
  Memory memory_;
};

// The process of the crowd; its children are the listeners, and end with it.
int listen_apart(Board& board, int stop_fd, const std::vector<Handler>& handlers) {
  for (size_t i = 0; i < handlers.size(); ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) return errno;
    if (pid != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    ::_exit(hear_naively(board, stop_fd,
                         {.events = events_of(i), .buffer_bytes = static_cast<int>(kBufferBytes)},
                         handlers[i]));
  }
  int status = 0;
  while (::wait(&status) > 0) {
    if (status != 0) return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
  }
  return 0;
}

// Closes what it opened, also when the last of many did not open.
class Handles {
 public:
  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() {
    for (knell_listener* listener : all_) knell_close(listener);
  }
  int open(uint32_t events, const char* via) {
    knell_options options = KNELL_OPTIONS_INIT;
    options.events = events;
    options.details = KNELL_DETAILS_STATUS;
    options.via = via;
    options.buffer_bytes = kBufferBytes;
    knell_listener* listener = nullptr;
    const int error = knell_open(&options, &listener);
    if (error == 0) all_.push_back(listener);
    return error;
  }
  knell_listener* operator[](size_t i) const { return all_[i]; }

 private:
  std::vector<knell_listener*> all_;
};

int explained(Board& board, ssize_t error) {
  std::snprintf(board.why, sizeof board.why, "%s", knell_explain());
  return static_cast<int>(-error);
}

int read_one(Board& board, knell_listener* listener, const Handler& handler) {
  std::array<const knell_event*, 64> events{};
  ssize_t got = 0;
  while ((got = knell_read(listener, events.data(), events.size())) > 0) {
    for (ssize_t i = 0; i < got; ++i) {
      const knell_event& event = *events[static_cast<size_t>(i)];
      if (event.type != KNELL_EVENT_LOST) handler(board, heard_of(event));
    }
  }
  return got < 0 ? explained(board, got) : 0;
}

int listen_together(Board& board, int stop_fd, const std::vector<Handler>& handlers,
                    const char* via) {
  const UniqueFd waiter(::epoll_create1(EPOLL_CLOEXEC));
  const auto wait_for = [&](int fd, size_t index) {
    epoll_event wanted{.events = EPOLLIN, .data = {.u64 = index}};
    return ::epoll_ctl(waiter.get(), EPOLL_CTL_ADD, fd, &wanted) == 0;
  };
  Handles handles;
  for (size_t i = 0; i < handlers.size(); ++i) {
    if (const int error = handles.open(events_of(i), via); error < 0)
      return explained(board, error);
    if (!wait_for(knell_fd(handles[i]), i)) return errno;
    if (i + 1 < handlers.size()) board.ready = static_cast<uint32_t>(i + 1);
  }
  if (!wait_for(stop_fd, handlers.size())) return errno;
  // The first have waited while the last were opened.
  for (size_t i = 0; i < handlers.size(); ++i) {
    if (const int error = read_one(board, handles[i], handlers[i]); error != 0) return error;
  }
  board.ready = static_cast<uint32_t>(handlers.size());
  for (;;) {
    std::array<epoll_event, 64> ready{};
    const int count = ::epoll_wait(waiter.get(), ready.data(), ready.size(), -1);
    for (int i = 0; i < count; ++i) {
      const size_t index = ready[static_cast<size_t>(i)].data.u64;
      if (index == handlers.size()) return 0;
      if (const int error = read_one(board, handles[index], handlers[index]); error != 0)
        return error;
    }
  }
}

}  // namespace

std::unique_ptr<Crowd> make_naive_crowd(size_t listeners) {
  (void)best_request();
  return Listeners::create("connector, a naive client each", listeners, listen_apart);
}

std::unique_ptr<Crowd> make_library_crowd(size_t listeners, const char* via) {
  const std::string name = std::string_view(via) == "daemon"
                               ? "knell, through the daemon"
                               : fmt::format("knell {}, a knell_open each", via);
  return Listeners::create(name, listeners,
                           [via](Board& board, int stop_fd, const std::vector<Handler>& handlers) {
                             return listen_together(board, stop_fd, handlers, via);
                           });
}

}  // namespace knell::bench
