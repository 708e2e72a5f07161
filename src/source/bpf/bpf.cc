// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "source/bpf/bpf.h"

#include <bpf/bpf.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "base/named_process.h"
#include "base/proc_stat.h"
#include "source/bpf/stored_execs.h"
#include "source/connector/diagnosis.h"

// Passes the request to the bpf programs and their settings. The stream of events is in stream.cc.
//
// A program is attached only while its events are wanted. A change of the request first lets more
// events pass (attaches programs, adds to the sets, clears the tests), then fewer. So an event that
// is wanted both before and after passes at any time during the change. A change uses only
// descriptors and mapped memory, and needs no capability.
namespace knell::source {
namespace {

constexpr uint32_t kTypes = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_COMM | kAnyExit;
constexpr uint32_t kReported = kTypes | kConnectorTypes;

// The mark of an exit has no levels, so `namespaces` needs the record of details too.
bool needs_names(const SourceRequest& wanted) {
  return wanted.details != KNELL_DETAILS_STATUS || wanted.namespaces;
}

bool is_raw(const SourceRequest& wanted) { return wanted.level == KNELL_LEVEL_RAW; }

bool add_to_epoll(int epoll, int fd, uint64_t tag) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = tag;
  return ::epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

// The programs to load first. Those that every predicate may need are always included.
Programs::Set programs_for(const SourceRequest& wanted, int32_t hierarchy, bool all) {
  using enum Programs::Program;
  Programs::Set set{kFork, kSignal, kDelivery, kExit, kMkdir};
  if (hierarchy != 0) set.add(kRenameCgroup);
  if (is_raw(wanted)) set.add(kThreadExit);
  if (all || (wanted.mask & KNELL_EVENT_EXEC) != 0) set.add(kExec);
  if (all || (wanted.mask & KNELL_EVENT_COMM) != 0) set.add(kRename);
  if (all || (wanted.mask & kConnectorTypes) != 0) set.add(kConnector);
  return set;
}

}  // namespace

Result<std::unique_ptr<Bpf>> Bpf::create(const BpfOptions& options, const SourceRequest& wanted,
                                         Output& out, std::string* log) {
  KNELL_CHECK(options.args_bytes <= KNELL_ARGS_MOST);
  KNELL_CHECK(std::has_single_bit(options.exit_ring_bytes) &&
              std::has_single_bit(options.event_ring_bytes) &&
              std::has_single_bit(options.reserve_ring_bytes));
  if (!read_environment().initial_pid())
    return say(
        ENOTSUP,
        "bpf reports pids of the initial pid namespace, but this process is in another one: run it "
        "outside the container");
  std::string unread;
  const int32_t hierarchy = process::systemd_hierarchy();
  const Programs::Options loading{
      .exit_ring_bytes = options.exit_ring_bytes,
      .event_ring_bytes = options.event_ring_bytes,
      .reserve_ring_bytes = options.reserve_ring_bytes,
      .unsent_exits = options.unsent_exits,
      .hierarchy = hierarchy,
      .older_kernel_for_testing = options.older_kernel_for_testing,
      .keeper = options.kept == nullptr ? nullptr : &options.kept->handover.keeper};
  const Programs::Set needed = programs_for(wanted, hierarchy, options.load_all);
  if (options.kept != nullptr) {
    Kept& kept = *options.kept;
    auto adopted = adopt(loading, needed, options, out);
    if (auto asked = adopted ? (*adopted)->set_request(wanted) : Result<void>(); !asked)
      adopted = std::unexpected(std::move(asked).error());
    if (adopted) {
      kept.outcome = Kept::Outcome::kAdopted;
      kept.why = "the tracing programs and their events were taken over";
      if ((*adopted)->programs_.upgraded())
        kept.why = "the tracing programs of another version were replaced without losing events";
      return adopted;
    }
    if (adopted.error().code != ENOENT || !kept.records.empty()) {
      kept.outcome = Kept::Outcome::kReplaced;
      kept.why = adopted.error().message();
    }
    kept.handover.keeper.drop(Programs::kStored);
  }
  KNELL_ASSIGN(Programs programs, Programs::load(loading, needed,
                                                 wanted.details == KNELL_DETAILS_FULL
                                                     ? Programs::Set{Programs::Program::kExec}
                                                     : Programs::Set{},
                                                 log != nullptr ? *log : unread));
  KNELL_ASSIGN(auto bpf, make(std::move(programs), options, out));
  KNELL_TRY(bpf->set_request(wanted));
  return bpf;
}

Result<std::unique_ptr<Bpf>> Bpf::adopt(const Programs::Options& options, Programs::Set needed,
                                        const BpfOptions& bpf, Output& out) {
  KNELL_ASSIGN(Programs programs, Programs::adopt(options, needed, attached_in(*bpf.kept)));
  KNELL_ASSIGN(auto adopted, make(std::move(programs), bpf, out));
  if (!adopted->restore())
    return say(ESTALE, "the stored programs cannot be used: their reader's state is missing");
  return adopted;
}

Result<std::unique_ptr<Bpf>> Bpf::make(Programs programs, const BpfOptions& options, Output& out) {
  const auto fds = programs.rings();
  KNELL_ASSIGN(Ring exits, Ring::map(fds.exits, options.exit_ring_bytes));
  KNELL_ASSIGN(Ring others, Ring::map(fds.others, options.event_ring_bytes));
  KNELL_ASSIGN(Ring reserve, Ring::map(fds.reserve, options.reserve_ring_bytes));
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!epoll || !timer || !add_to_epoll(epoll.get(), timer.get(), kTimerTag) ||
      !add_to_epoll(epoll.get(), fds.exits, kRingTag) ||
      !add_to_epoll(epoll.get(), fds.others, kRingTag) ||
      !add_to_epoll(epoll.get(), fds.reserve, kRingTag)) {
    return errno_error("watch the ring buffers of events");
  }
  KNELL_ASSIGN(auto proc, process::ProcReader::open());
  return std::unique_ptr<Bpf>(new Bpf(options, std::move(programs),
                                      {std::move(exits), std::move(others), std::move(reserve)},
                                      std::move(epoll), std::move(timer), std::move(proc), out));
}

Bpf::Bpf(const BpfOptions& options, Programs programs, std::array<Ring, kRings> rings,
         UniqueFd epoll, UniqueFd timer, process::ProcReader proc, Output& out)
    : kept_(options.kept),
      programs_(std::move(programs)),
      rings_(std::move(rings)),
      unsent_(programs_.unsent()),
      epoll_(std::move(epoll)),
      timer_(std::move(timer)),
      proc_(std::move(proc)),
      out_(out),
      clock_(out.clock()),
      options_(options),
      roots_(programs_.roots()),
      table_(proc_, out.clock(), out.time(), out.boot()),
      builder_(out, table_) {
  if (!out.sink().wants_user_names()) table_.users().disable();
  programs_.settings().args_bytes = static_cast<uint32_t>(options.args_bytes);
}

Bpf::~Bpf() {
  if (connector_ != nullptr && kept_ != nullptr && kept_->leaving)
    connector_->leave();
  else
    close_connector();
}

// Attaches the programs that `wanted` needs; with `detach`, detaches all others.
Result<void> Bpf::attach_for(const SourceRequest& wanted, bool detach) {
  using enum Programs::Program;
  const bool raw = is_raw(wanted);
  const bool exits = (wanted.mask & kAnyExit) != 0;
  const bool rooted = !wanted.roots.empty();
  const bool stores = stores_execs_;
  const bool forks = wanted.namespaces || (wanted.mask & KNELL_EVENT_FORK) != 0;
  const bool names = needs_names(wanted);
  const auto plan = std::to_array<std::pair<Programs::Program, bool>>({
      {kFork, forks || rooted || stores},
      {kExec, (wanted.mask & KNELL_EVENT_EXEC) != 0 || stores},
      {kDelivery, exits && names},
      {kSignal, exits || rooted},  // attached before kExit, so that no mark is missed
      {kExit, (exits && !raw) || rooted},
      {kThreadExit, exits && raw},
      {kRename, (wanted.mask & KNELL_EVENT_COMM) != 0},
      {kMkdir, names || !wanted.cgroups.empty()},
      {kRenameCgroup, programs_.hierarchy() != 0 && (names || !wanted.cgroups.empty())},
  });
  for (const auto& [program, needed] : plan) {
    if (needed) KNELL_TRY(programs_.attach(program, true));
    if (!needed && detach) KNELL_TRY(programs_.attach(program, false));
  }
  return {};
}

Result<void> Bpf::set_request(const SourceRequest& request) {
  SourceRequest wanted = request;
  if (wanted.lifetimes) wanted.mask |= KNELL_EVENT_FORK | KNELL_EVENT_EXIT;
  const bool more = table_.keep({.details = wanted.details});
  for (const int32_t pid : wanted.pids) name_pid(pid, true);
  KNELL_TRY(set_programs(wanted));
  builder_.set_request(wanted);
  if (more) builder_.cgroups().begin_scan();
  if (!wanted.scan_later) {
    ScanBudget all;
    (void)scan_some(all);
  }
  if (dying_ != nullptr) KNELL_TRY(dying_->set_request(wanted));
  return set_connector(wanted.mask);
}

Result<void> Bpf::set_programs(const SourceRequest& wanted) {
  volatile knell_settings& settings = programs_.settings();
  const bool full = wanted.details == KNELL_DETAILS_FULL;
  const bool stored_execs_before = stores_execs_;
  stores_execs_ = full && !programs_.dying_readable() && (wanted.mask & kTypes) != 0;

  // Which senders were recorded is unknown until the programs that record them are attached.
  const Programs::Set before = programs_.attached();
  const bool records_senders = settings.names != 0 && before.has(Programs::Program::kSignal) &&
                               before.has(Programs::Program::kDelivery);
  if (!records_senders) settings.names_since_ns = UINT64_MAX;
  settings.names = static_cast<uint32_t>(needs_names(wanted));
  settings.full = static_cast<uint32_t>(full);
  settings.raw = static_cast<uint32_t>(is_raw(wanted));
  if (!wanted.only_under) settings.only_under = 0;
  if (wanted.any_pid) settings.some_pids = 0;
  if (wanted.uids.empty()) settings.some_uids = 0;
  if (wanted.cgroups.empty()) {
    settings.some_cgroups = 0;
    settings.some_cgroups_paths = 0;
  }
  for (const uint32_t uid : wanted.uids) {
    const uint32_t one = 1;
    if (bpf_map_update_elem(programs_.uids(), &uid, &one, BPF_ANY) != 0) {
      return errno_error("set the wanted users in the tracing programs");
    }
  }
  if (!wanted.roots.empty()) settings.roots = 1;
  settings.namespaces = static_cast<uint32_t>(wanted.namespaces);
  const auto attached = attach_for(wanted, false);
  if (!records_senders) settings.names_since_ns = clock_.monotonic_ns();
  KNELL_TRY(attached);
  if (stores_execs_ && !stored_execs_before) exec_scan_.begin();
  KNELL_TRY(roots_.add(wanted.roots));
  if (!wanted.scan_later) {
    ScanBudget all;
    (void)scan_some(all);
    KNELL_TRY(roots_.scan_under(all));
  }
  const bool cgroups = want_cgroups(wanted.cgroups);
  settings.mask = settings.mask | (wanted.mask & kReported);

  settings.mask = wanted.mask & kReported;
  settings.some_uids = static_cast<uint32_t>(!wanted.uids.empty());
  for (const uint32_t uid : wanted_.uids) {
    if (std::ranges::find(wanted.uids, uid) == wanted.uids.end())
      bpf_map_delete_elem(programs_.uids(), &uid);
  }
  settings.some_cgroups = static_cast<uint32_t>(cgroups);
  settings.some_pids = static_cast<uint32_t>(!wanted.any_pid);
  settings.only_under = static_cast<uint32_t>(wanted.only_under);
  roots_.keep(wanted.roots);
  settings.roots = static_cast<uint32_t>(!wanted.roots.empty());
  wanted_ = wanted;
  return attach_for(wanted, true);
}

bool Bpf::scan_some(ScanBudget& budget) {
  const auto visit = [&](int32_t pid) { store_exec(programs_.stored_execs(), pid); };
  (void)exec_scan_.advance(budget, kFilesOfAnExec, visit);
  roots_.forget_some(budget);
  return builder_.cgroups().scan_some(budget) && !exec_scan_.running();
}

// Adds the cgroups to the programs' maps. False: the programs cannot filter by these cgroups. A
// cgroup that is created later is recognised by its path, when it is created. Cgroups that are no
// longer wanted stay in the maps; the layer above the source drops their events.
bool Bpf::want_cgroups(const std::vector<std::string>& paths) {
  if (paths.empty()) return false;
  const uint32_t one = 1;
  for (const std::string& path : paths) {
    std::array<char, KNELL_CGROUP_MOST> key{};
    // The root cgroup, or a path that is too long
    if (path.empty() || path.size() >= key.size()) return false;
    std::ranges::copy(path, key.begin());
    if (bpf_map_update_elem(programs_.cgroup_paths(), key.data(), &one, BPF_ANY) != 0) return false;
    // From here on the program adds this cgroup when it is created. Only then check whether it
    // exists already.
    programs_.settings().some_cgroups_paths = 1;
    const uint64_t inode = builder_.cgroups().inode_of(path);
    if (inode != 0 && bpf_map_update_elem(programs_.cgroups(), &inode, &one, BPF_ANY) != 0)
      return false;
  }
  return true;
}

Result<void> Bpf::add_pid(int32_t pid, uint64_t start) {
  KNELL_ASSIGN(UniqueFd pidfd, open_named_process(pid, start));
  name_pid(pid, true);
  if (!pidfd) return {};
  // The programs collect the details when a process begins to exit. For a process that has already
  // begun to exit, there is at most the mark, without details.
  const auto stat = read_proc_stat(pid);
  if (!is_dead(pidfd.get()) && !(stat && stat->exiting)) return {};
  auto watched = watch_dying(pid, std::move(pidfd), stat ? stat->start : start);
  if (!watched) unname_pid(pid);
  return watched;
}

// `start`: clock ticks since boot, 0: unknown.
Result<void> Bpf::watch_dying(int32_t pid, UniqueFd pidfd, uint64_t start) {
  if (dying_ != nullptr && dying_->has(pid)) return {};
  if (dying_ == nullptr) {
    KNELL_ASSIGN(auto dying, PidfdSource::create(out_));
    KNELL_TRY(dying->set_request(wanted_));
    if (!add_to_epoll(epoll_.get(), dying->fd(), kRingTag)) return errno_error("watch processes");
    dying_ = std::move(dying);
  }
  KNELL_TRY(dying_->add_dying(pid, std::move(pidfd)));
  dying_starts_.emplace_back(pid, start);
  return {};
}

bool Bpf::forget_dying(int32_t pid) {
  if (dying_ == nullptr || !dying_->has(pid)) return false;
  std::ignore = dying_->remove_pid(pid);
  std::erase_if(dying_starts_, [&](const auto& one) { return one.first == pid; });
  return true;
}

Result<void> Bpf::remove_pid(int32_t pid) {
  unname_pid(pid);
  forget_dying(pid);
  return {};
}

// Sets or clears the bit of a pid. Ignores pids beyond the kernel's limit: no process has them.
void Bpf::name_pid(int32_t pid, bool wanted) {
  const auto number = static_cast<uint32_t>(pid);
  if (pid < 0 || number / 64 >= KNELL_PID_WORDS) return;
  std::atomic<uint64_t>& word = programs_.pids()[number / 64];
  const uint64_t bit = uint64_t{1} << number % 64;
  if (wanted)
    word.fetch_or(bit);
  else
    word.fetch_and(~bit);
}

// Clears the bit of a pid, unless a predicate of the request names the pid.
void Bpf::unname_pid(int32_t pid) {
  if (std::ranges::find(wanted_.pids, pid) == wanted_.pids.end()) name_pid(pid, false);
}

// ------------------------------------------------------------------- the types of the connector

// Opens, asks or closes the connector. If it cannot be opened, its types are missing and each
// check_health() tries again; an error only if the programs report none of the wanted types.
Result<void> Bpf::set_connector(uint32_t mask) {
  const uint32_t types = mask & kConnectorTypes;
  unreported_ &= types;
  if ((missing_ | unreported_) == 0) missing_since_ns_ = clock_.monotonic_ns();
  const uint32_t were_missing = std::exchange(missing_, 0);
  if (types == 0) {
    close_connector();
    return {};
  }
  if (connector_ != nullptr) return connector_->set_request({.mask = types});
  auto opened = open_connector_for(types);
  if (!opened) {
    if ((mask & kTypes) == 0) return std::unexpected(std::move(opened).error());
    missing_ = types;
    return {};
  }
  connector_ = *std::move(opened);
  unreported_ |= were_missing & types;
  missing_until_ns_ = clock_.monotonic_ns();
  return {};
}

// The connector socket queues no datagrams: its filter program drops every one.
ConnectorOptions Bpf::connector_options(uint32_t types) const {
  constexpr size_t kSmallest = 4096;
  ConnectorOptions options;
  options.wanted = {.mask = types};
  options.buffer_bytes = kSmallest;
  options.program = programs_.connector();
  return options;
}

Result<std::unique_ptr<Connector>> Bpf::open_connector_for(uint32_t types) {
  KNELL_TRY(programs_.load_more({Programs::Program::kConnector}));
  auto opened = Connector::create(connector_options(types));
  // While the socket is stored, the programs continue to see events in its filter.
  if (opened && kept_ != nullptr)
    kept_->handover.keeper.store(kStoredSocket, (*opened)->fd(), handover::Keeper::Poll::kNo);
  return opened;
}

void Bpf::close_connector() {
  if (connector_ != nullptr && kept_ != nullptr) kept_->handover.keeper.remove(kStoredSocket);
  connector_.reset();
}

Result<void> Bpf::check_health() {
  if (missing_ != 0)
    if (auto opened = open_connector_for(missing_)) {
      connector_ = *std::move(opened);
      unreported_ |= std::exchange(missing_, 0);
      missing_until_ns_ = clock_.monotonic_ns();
    }
  report_missing();
  if (connector_ == nullptr) return {};
  KNELL_TRY(connector_->check_health());
  constexpr size_t kHoles = 4;
  KNELL_TRY(connector_->drain(*this, kHoles));
  return {};
}

// Events that happened while the connector was missing are lost; their number is unknown.
void Bpf::report_missing() {
  if (unreported_ == 0) return;
  event::Raw hole;
  hole.what = KNELL_EVENT_LOST;
  hole.stamp_ns = missing_until_ns_;
  hole.u.lost.from_ns = missing_since_ns_;
  hole.u.lost.types = std::exchange(unreported_, 0);
  on_raw(hole);
}

void Bpf::on_raw(const event::Raw& hole) {
  if (hole.what != KNELL_EVENT_LOST) return;
  if (is_raw(wanted_)) out_.sink().on_thread_event(hole, {});
  out_.add_hole(hole, KNELL_VIA_CONNECTOR, true);
}

// Exits are kept in the kernel while there is room in the map `unsent`, so tracking every process
// to recover exits is not worth its cost. If forks or execs are wanted, births are reported anyway.
process::Tracked Bpf::recoverable(const SourceRequest& wanted) const {
  if (is_raw(wanted)) return process::Tracked::kNone;
  const bool births = (wanted.mask & (KNELL_EVENT_FORK | KNELL_EVENT_EXEC)) != 0;
  const bool every_process =
      wanted.any_pid && wanted.uids.empty() && wanted.cgroups.empty() && !wanted.only_under;
  return births && every_process ? process::Tracked::kAll : process::Tracked::kNamed;
}

Capabilities Bpf::capabilities() const {
  const uint32_t own = KNELL_EVENT_FORK | KNELL_EVENT_EXEC | KNELL_EVENT_EXIT | KNELL_EVENT_COMM;
  return {.types = connector_ == nullptr ? own : own | kConnectorTypes,
          .kernel_filter = true,
          .buffer_bytes =
              options_.exit_ring_bytes + options_.event_ring_bytes + options_.reserve_ring_bytes,
          .births = true};
}

Counters Bpf::counters() const {
  const volatile knell_losses& losses = programs_.losses();
  Counters all;
  if (connector_ != nullptr) all = connector_->counters();
  all.received += received_;
  const std::pair<uint32_t, uint64_t> by_types[] = {
      {KNELL_EVENT_EXIT, losses.exits + unread_},
      {KNELL_EVENT_FORK, losses.forks + losses.births},
      {KNELL_EVENT_EXEC, losses.execs},
      {KNELL_EVENT_COMM, losses.comms},
      {kConnectorTypes, losses.changes}};
  for (const auto& [types, lost] : by_types) {
    all.lost += lost;
    all.lost_by_types[types] += lost;
  }
  return all;
}

}  // namespace knell::source
