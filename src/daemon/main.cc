// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// The process of the daemon: options, the listening socket, privileges, and one sd-event loop. The
// order of the start matters. First the socket is opened, before any slow step, so that clients
// wait and do not fail. Then the sources are opened with all privileges. Then privileges are
// dropped. Only then is data of clients read.
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/memory_limit.h"
#include "base/privilege.h"
#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "daemon/listening_socket.h"
#include "daemon/log.h"
#include "daemon/options.h"
#include "daemon/privileges.h"
#include "handover/supervisor.h"

namespace knell::daemon {
namespace {

constexpr int kFailed = 1, kUsage = 2;
// How long the start and the end wait for a slow service manager; chosen, not measured
constexpr int kNotifyMs = 5000;

// Opens /dev/null for closed standard descriptors, so that later descriptors do not get their
// numbers.
void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) (void)::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
  }
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log_warning("cannot raise the limit on open files");
}

// Makes the daemon the last victim of the OOM killer, because it reports the other victims. Under
// systemd the unit sets the same score.
void spare_from_oom_killer() {
  constexpr std::string_view kScore = "-900";
  if (::geteuid() != 0) return;
  const UniqueFd file(::open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), kScore.data(), kScore.size()) < 0)
    log_debug("cannot change oom_score_adj");
}

// The event loop handles these signals. They stay pending until it runs.
constexpr std::array kSignals{SIGTERM, SIGINT, SIGHUP};
void block_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : kSignals) ::sigaddset(&set, number);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
}

void apply(ReadConfig& read) {
  Log::of_process().set_level(read.config.log_level);
  for (const std::string& warning : read.warnings) log_warning("{}", warning);
  const auto limit = memory_limit();
  if (!limit || !fit_into_memory(read.config, *limit)) return;
  const Config& config = read.config;
  log_info(
      "the memory of this cgroup is limited to {} MiB, so the queues of all listeners have at most "
      "{} KiB, and that of the journal {} KiB",
      *limit >> 20, config.limits.memory_bytes >> 10, config.journal.queue_bytes >> 10);
}

// One run of the daemon. The loop calls the handlers; `error_` is set if the loop ends because of
// an error.
class Process {
 public:
  Process(const Options& options, handover::Keeper keeper) : options_(options) {
    handover_.keeper = std::move(keeper);
  }

  Result<void> start(const Config& config);
  Result<void> run();
  // Ends the daemon. Returns whether its threads have ended; if not, this process must end by
  // _exit(2).
  bool stop();

 private:
  using Loop = std::unique_ptr<sd_event, decltype(&sd_event_unref)>;
  using Timer = std::unique_ptr<sd_event_source, decltype(&sd_event_source_unref)>;

  Result<void> open(const Config& config);
  Result<void> add_to_loop();
  void serve();
  void reload();
  void send_summary();
  void notify_ready() { handover_.keeper.notify("READY=1\nSTATUS=" + summary_); }
  void fail(const Error& error);

  const Options& options_;
  ListeningSocket listening_;
  handover::Handover handover_;
  std::unique_ptr<Daemon> daemon_;
  Loop loop_{nullptr, sd_event_unref};
  Timer summary_timer_{nullptr, sd_event_source_unref};
  bool summary_is_due_ = false;
  std::string summary_;  // the status line that was last sent to systemd
  std::optional<Error> error_;
};

Result<void> Process::open(const Config& config) {
  KNELL_ASSIGN(auto inherited, inherited_socket(handover_.keeper));
  if (inherited) {
    listening_ = std::move(*inherited);
  } else {
    KNELL_ASSIGN(listening_, open_socket(config.socket));
    store_socket(handover_.keeper, listening_);
  }
  KNELL_ASSIGN(daemon_, Daemon::create(config, std::move(listening_.fd), handover_));
  if (listening_.passed && handover_.state) daemon_->leave_quietly();
  const auto become = user_to_become();
  if (become) {
    const auto given = listening_.file.chown_folder(become->uid, become->gid);
    if (!given) log_warning("{}", given.error().message());
  }
  if (!become && ::geteuid() == 0)
    log_warning(
        "there is no user knell, so knelld continues as uid 0 with fewer capabilities; create the "
        "user with systemd-sysusers or `useradd --system knell`");
  if (const auto made = make_journal_folder(config.journal, become); !made)
    log_warning("journal: {}", made.error().message());
  KNELL_TRY(drop_privileges(become));
  handover::end_with_supervisor();
  KNELL_TRY(daemon_->start_journal());
  log_debug("uid {}, with {}", ::getuid(), capabilities_text(effective_capabilities().value_or(0)));
  return {};
}

Result<void> Process::add_to_loop() {
  const auto check = [](int done, std::string_view what) -> Result<void> {
    if (done < 0) return make_error(-done, what);
    return {};
  };
  sd_event* loop = nullptr;
  KNELL_TRY(check(sd_event_new(&loop), "create the event loop"));
  loop_.reset(loop);
  const auto on_ready = [](sd_event_source*, int, uint32_t, void* self) {
    static_cast<Process*>(self)->serve();
    return 0;
  };
  KNELL_TRY(check(sd_event_add_io(loop, nullptr, daemon_->fd(), EPOLLIN, on_ready, this),
                  "wait for events"));
  const auto on_signal = [](sd_event_source*, const signalfd_siginfo* info, void* self) {
    auto& process = *static_cast<Process*>(self);
    if (info->ssi_signo == SIGHUP) {
      process.reload();
    } else {
      sd_event_exit(process.loop_.get(), 0);
    }
    return 0;
  };
  for (const int number : kSignals)
    KNELL_TRY(
        check(sd_event_add_signal(loop, nullptr, number, on_signal, this), "wait for signals"));
  const auto on_timer = [](sd_event_source*, uint64_t, void* self) {
    static_cast<Process*>(self)->send_summary();
    return 0;
  };
  sd_event_source* timer = nullptr;
  KNELL_TRY(check(sd_event_add_time_relative(loop, &timer, CLOCK_MONOTONIC, 0, 0, on_timer, this),
                  "create a timer"));
  summary_timer_.reset(timer);
  sd_event_source_set_enabled(timer, SD_EVENT_OFF);
  return check(sd_event_set_watchdog(loop, 1), "serve the watchdog");
}

Result<void> Process::start(const Config& config) {
  KNELL_TRY(open(config));
  KNELL_TRY(add_to_loop());
  summary_ = daemon_->summary();
  log_info("knelld {} listens on {}, {}", KNELL_VERSION, listening_.path, summary_);
  if (!config.journal.enabled)
    log_info(
        "no journal is written: [journal] enabled is false, or knelld runs with --socket and the "
        "default "
        "[journal] path");
  notify_ready();
  handover_.keeper.flush(kNotifyMs);
  return {};
}

Result<void> Process::run() {
  const int done = sd_event_loop(loop_.get());
  handover_.keeper.notify("STOPPING=1");
  if (error_) return std::unexpected(*error_);
  daemon_->remember_living_processes();
  if (done < 0) return make_error(-done, "run the event loop");
  log_info("stopped by a signal");
  return {};
}

bool Process::stop() {
  const bool ended = daemon_ == nullptr || daemon_->stop();
  daemon_.reset();
  handover_.keeper.flush(kNotifyMs);
  return ended;
}

void Process::fail(const Error& error) {
  error_ = error;
  sd_event_exit(loop_.get(), kFailed);
}

void Process::serve() {
  if (const auto served = daemon_->serve(); !served) return fail(served.error());
  if (summary_is_due_) return;
  // A one-shot timer, so that an idle daemon never wakes up.
  constexpr uint64_t kSecondUs = 1'000'000;
  summary_is_due_ = true;
  sd_event_source_set_time_relative(summary_timer_.get(), kSecondUs);
  sd_event_source_set_enabled(summary_timer_.get(), SD_EVENT_ONESHOT);
}

void Process::send_summary() {
  summary_is_due_ = false;
  std::string now = daemon_->summary();
  if (now == summary_) return;
  summary_ = std::move(now);
  handover_.keeper.notify("STATUS=" + summary_);
}

void Process::reload() {
  // This timestamp lets systemd distinguish this reload from an earlier one, sd_notify(3).
  const uint64_t now_us = system_clock().monotonic_ns() / 1000;
  handover_.keeper.notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(now_us));
  auto read = configuration(options_);
  if (!read) {
    log_error("{}\nthe old configuration is still used", read.error().message());
  } else {
    apply(*read);
    if (const auto done = daemon_->reload(read->config); !done) {
      log_error("{}\nthe new configuration was applied only in part", done.error().message());
    } else {
      log_info("the configuration was read again");
    }
  }
  summary_ = daemon_->summary();
  notify_ready();
}

// Returns the exit status.
int report(const Result<void>& served) {
  if (served) return 0;
  log_error("{}", served.error().message());
  sd_notifyf(0, "STATUS=%s\nERRNO=%d", served.error().message().c_str(), served.error().code);
  return kFailed;
}

Result<void> serve(const Options& options) {
  KNELL_ASSIGN(auto keeper, handover::Keeper::from_environment());
  KNELL_ASSIGN(ReadConfig read, configuration(options));
  apply(read);
  ::umask(022);
  block_signals();
  raise_descriptor_limit();
  spare_from_oom_killer();
  Result<void> served;
  bool ended = false;
  {
    Process process(options, std::move(keeper));
    served = process.start(read.config);
    if (served) served = process.run();
    ended = process.stop();
  }
  // Without this, a thread could run while exit(3) destroys objects that it uses.
  if (!ended) ::_exit(report(served));
  return served;
}

int print(const std::string& text) {
  const ssize_t done = ::write(STDOUT_FILENO, text.data(), text.size());
  return done == static_cast<ssize_t>(text.size()) ? 0 : kFailed;
}

int check_config(const Options& options) {
  const auto read = configuration(options);
  if (!read) {
    (void)print(read.error().message() + "\n");
    return kFailed;
  }
  std::string text;
  for (const std::string& warning : read->warnings) text += "warning: " + warning + "\n";
  return print(text + "ok\n");
}

// The command of this program with the same options, by its path: an upgrade may have replaced the
// file.
std::vector<std::string> supervised_command(const std::vector<std::string>& words) {
  std::array<char, PATH_MAX> path{};
  const ssize_t bytes = ::readlink("/proc/self/exe", path.data(), path.size());
  std::vector<std::string> command{
      std::string(path.data(), bytes > 0 ? static_cast<size_t>(bytes) : 0)};
  std::ranges::copy_if(words, std::back_inserter(command),
                       [](const std::string& word) { return word != kSupervise; });
  return command;
}

int run(const std::vector<std::string>& words) {
  const auto options = parse_options(words);
  if (!options) {
    log_error("{}", options.error().message());
    return kUsage;
  }
  if (options->action == Options::Action::kPrint) return print(options->text);
  if (options->action == Options::Action::kCheckConfig) return check_config(*options);
  if (options->supervise) {
    const auto status = handover::supervise(supervised_command(words),
                                            [](const std::string& text) { log_error("{}", text); });
    if (status) return *status;
    log_error("{}", status.error().message());
    return kFailed;
  }
  return report(serve(*options));
}

}  // namespace
}  // namespace knell::daemon

int main(int argc, char** argv) {
  knell::daemon::fill_standard_descriptors();
  return knell::daemon::run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc));
}
