// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// paired [-r ROUNDS] [-p PROCESSES] [-i IDLE_SECONDS] KNELL: what a listener costs, and what it
// costs the listened to.
//
// In each round every contender, in a shuffled order, listens on one core while a storm of
// processes (vfork + _exit + waitpid, one in ten with status 1) blows on the other: nobody (a
// process that sleeps), a plain client (epoll and one recv an event, behind the kernel's own filter
// for non-zero exits) and `knell watch -o json` over the connector and over bpf, as kWatchers has
// it. Taking turns lets the machine's drift cancel. Printed are medians: the storm's time as a
// ratio to nobody's in the same round, and the listener's CPU per process of the storm, all of it,
// output included, from schedstat. Then the CPU that an idle knell burns. What is measured is
// measured only when the listener told of the last exit.
#include <fcntl.h>
#include <knell/cn_proc.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int kStormCore = 0, kListenerCore = 1;
constexpr int kOneIn = 10;
constexpr int kLastStatus = 88;       // a marker after the storm
constexpr auto kPause = 50'000'000L;  // ns before each storm: same for all
constexpr int kPatienceSeconds = 30;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

uint64_t now_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

void rest(long ns) {
  timespec wait{.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
  while (::nanosleep(&wait, &wait) != 0) {
  }
}

void pin(int core) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(core), &set);
  if (::sched_setaffinity(0, sizeof set, &set) != 0) give_up("sched_setaffinity");
}

// CPU of all threads of a process, ns.
uint64_t cpu_ns(pid_t pid) {
  uint64_t sum = 0;
  std::error_code error;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task", error)) {
    uint64_t ran = 0;
    std::ifstream(task.path() / "schedstat") >> ran;
    sum += ran;
  }
  return sum;
}

// Out of line: what a vfork's child could clobber is better not in a caller's registers.
[[gnu::noinline]] pid_t end_with(int status) {
  const pid_t pid = ::vfork();
  if (pid == 0) ::_exit(status);
  if (pid < 0 || ::waitpid(pid, nullptr, 0) != pid) give_up("vfork");
  return pid;
}

uint64_t storm(int processes) {
  const uint64_t begin = now_ns();
  for (int i = 1; i <= processes; i++) (void)end_with(i % kOneIn == 0 ? 1 : 0);
  return now_ns() - begin;
}

// A listener in a process of its own, on its own core.
class Contender {
 public:
  virtual ~Contender() = default;
  virtual const char* name() const = 0;
  virtual void start() = 0;                  // returns when it listens
  virtual long events() const { return 0; }  // that it told of since it started
  virtual bool told_of(pid_t) = 0;           // whether it told of the exit of that pid
  void stop() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  pid_t pid() const { return pid_; }

 protected:
  template <class Body>
  void run(Body body) {
    pid_ = ::fork();
    if (pid_ < 0) give_up("fork");
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    pin(kListenerCore);
    body();
    ::_exit(1);
  }
  pid_t pid_ = -1;
};

class Nobody : public Contender {
 public:
  const char* name() const override { return "nobody"; }
  void start() override {
    run([] {
      for (;;) ::pause();
    });
  }
  bool told_of(pid_t) override { return true; }
};

// How most programs use the connector: wait, receive one event, handle it, again.
class PlainClient : public Contender {
 public:
  PlainClient() {
    void* memory =
        ::mmap(nullptr, sizeof *shared_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) give_up("mmap");
    shared_ = new (memory) Shared;
  }
  const char* name() const override { return "plain client"; }
  void start() override {
    shared_->ready = false;
    shared_->last = 0;
    run([&] { listen(); });
    for (const uint64_t begin = now_ns(); !shared_->ready;) {
      if (now_ns() - begin > 5'000'000'000) give_up("the plain client does not listen");
    }
  }
  bool told_of(pid_t pid) override { return shared_->last == pid; }

 private:
  struct Shared {
    std::atomic<bool> ready = false;
    std::atomic<pid_t> last = 0;
  };

  static int subscribe() {
    const int sock = ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_CONNECTOR);
    const int bytes = 64 << 20;
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = KNELL_CN_IDX_PROC;
    struct {
      nlmsghdr header;
      knell_cn_msg message;
      knell_proc_input input;
    } request{};
    static_assert(sizeof request == 44);
    request.header.nlmsg_len = sizeof request;
    request.header.nlmsg_type = NLMSG_DONE;
    request.message.idx = KNELL_CN_IDX_PROC;
    request.message.val = KNELL_CN_VAL_PROC;
    request.message.len = sizeof request.input;
    request.input = {KNELL_MCAST_LISTEN, KNELL_EVENT_NONZERO_EXIT};
    if (sock < 0 ||
        ::bind(sock, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::send(sock, &request, sizeof request, 0) != sizeof request) {
      give_up("the process connector");
    }
    if (::setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) != 0)
      give_up("SO_RCVBUFFORCE");
    return sock;
  }

  void listen() {
    const int sock = subscribe();
    const int waiter = ::epoll_create1(EPOLL_CLOEXEC);
    epoll_event wanted{.events = EPOLLIN, .data = {.fd = sock}};
    if (waiter < 0 || ::epoll_ctl(waiter, EPOLL_CTL_ADD, sock, &wanted) != 0) give_up("epoll");
    shared_->ready = true;
    for (;;) {
      epoll_event ready;
      unsigned char bytes[4096];
      if (::epoll_wait(waiter, &ready, 1, -1) != 1) continue;
      if (::recv(sock, bytes, sizeof bytes, 0) != KNELL_CN_DATAGRAM_BYTES) continue;
      knell_proc_event event;
      std::memcpy(&event, bytes + sizeof(nlmsghdr) + sizeof(knell_cn_msg), sizeof event);
      if (event.what == KNELL_EVENT_EXIT && event.data.exit.exit_code == kLastStatus << 8) {
        shared_->last = event.data.exit.process_tgid;
      }
    }
  }

  Shared* shared_ = nullptr;
};

// Its lines go into a file in memory, which costs it about what a pipe would, and the reader of it
// nothing.
class Knell : public Contender {
 public:
  Knell(std::string path, const char* name, std::vector<const char*> flags)
      : path_(std::move(path)), name_(name), flags_(std::move(flags)) {}
  const char* name() const override { return name_; }
  void start() override {
    if (lines_ >= 0) ::close(lines_);
    lines_ = ::memfd_create("lines", MFD_CLOEXEC);
    if (lines_ < 0) give_up("memfd_create");
    looked_ = 0;
    run([&] {
      ::dup2(lines_, STDOUT_FILENO);
      std::vector<const char*> words{"knell", "watch", "-o", "json"};
      words.insert(words.end(), flags_.begin(), flags_.end());
      words.push_back(nullptr);
      ::execv(path_.c_str(), const_cast<char* const*>(words.data()));
      give_up(path_.c_str());
    });
    for (const uint64_t begin = now_ns(); size() == 0; rest(2'000'000)) {
      (void)end_with(kLastStatus);
      if (now_ns() - begin > 5'000'000'000) give_up("knell does not listen");
    }
  }
  bool told_of(pid_t pid) override {
    std::string text(static_cast<size_t>(size() - looked_), '\0');
    const ssize_t got = ::pread(lines_, text.data(), text.size(), looked_);
    text.resize(got < 0 ? 0 : static_cast<size_t>(got));
    text.resize(text.rfind('\n') + 1);  // the last line may be half written
    looked_ += static_cast<off_t>(text.size());
    const size_t at = text.find("\"pid\":" + std::to_string(pid) + ",");
    return at != std::string::npos &&
           text.find("\"exit_code\":" + std::to_string(kLastStatus), at) != std::string::npos;
  }

  long events() const override {
    std::string text(static_cast<size_t>(size()), '\0');
    (void)!::pread(lines_, text.data(), text.size(), 0);
    return std::ranges::count(text, '\n');
  }

 private:
  off_t size() const {
    struct stat about{};
    return ::fstat(lines_, &about) == 0 ? about.st_size : 0;
  }
  std::string path_;
  const char* name_;
  std::vector<const char*> flags_;
  int lines_ = -1;
  off_t looked_ = 0;  // how far into them told_of() has looked
};

struct Turn {
  uint64_t storm_ns, cpu_ns;
};

Turn measure(Contender& contender, int processes) {
  contender.start();
  rest(kPause);
  const uint64_t cpu_before = cpu_ns(contender.pid());
  Turn turn{.storm_ns = storm(processes), .cpu_ns = 0};
  const pid_t last = end_with(kLastStatus);
  for (const uint64_t begin = now_ns(); !contender.told_of(last); rest(1'000'000)) {
    if (now_ns() - begin > 1'000'000'000ULL * kPatienceSeconds) give_up(contender.name());
  }
  turn.cpu_ns = cpu_ns(contender.pid()) - cpu_before;
  contender.stop();
  return turn;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

void take_turns(std::vector<std::unique_ptr<Contender>>& contenders, int rounds, int processes) {
  std::vector<std::vector<Turn>> turns(contenders.size());
  std::vector<size_t> order(contenders.size());
  for (size_t i = 0; i < order.size(); i++) order[i] = i;
  std::mt19937 random(std::random_device{}());
  for (int round = 0; round < rounds; round++) {
    std::ranges::shuffle(order, random);
    for (const size_t i : order) turns[i].push_back(measure(*contenders[i], processes));
  }
  std::printf("%d rounds of %d processes, one in %d non-zero\n", rounds, processes, kOneIn);
  std::printf("%-28s %12s %14s %16s\n", "listener", "storm us/pr", "storm, ratio",
              "CPU ns/process");
  for (size_t i = 0; i < contenders.size(); i++) {
    std::vector<double> each, ratio, cpu;
    for (size_t round = 0; round < turns[i].size(); round++) {
      each.push_back(static_cast<double>(turns[i][round].storm_ns) / processes / 1000);
      ratio.push_back(static_cast<double>(turns[i][round].storm_ns) /
                      static_cast<double>(turns[0][round].storm_ns));
      cpu.push_back(static_cast<double>(turns[i][round].cpu_ns) / processes);
    }
    std::printf("%-28s %12.2f %14.3f %16.0f\n", contenders[i]->name(), median(each), median(ratio),
                median(cpu));
  }
}

void watch_idle(Contender& contender, int seconds) {
  contender.start();
  rest(1'000'000'000);
  const long events = contender.events();
  const uint64_t before = cpu_ns(contender.pid());
  rest(1'000'000'000L * seconds);
  const double spent_ms = static_cast<double>(cpu_ns(contender.pid()) - before) / 1e6;
  std::printf(
      "%s, %d s with nothing of ours happening: %.2f ms of CPU; it told of %ld others' exits\n",
      contender.name(), seconds, spent_ms, contender.events() - events);
  contender.stop();
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 15, processes = 8000, idle = 10;
  for (int option; (option = ::getopt(argc, argv, "r:p:i:")) != -1;) {
    if (option == 'r') rounds = std::atoi(optarg);
    if (option == 'p') processes = std::atoi(optarg);
    if (option == 'i') idle = std::atoi(optarg);
    if (option == '?') return 2;
  }
  if (optind + 1 != argc || rounds < 1 || processes < 1) {
    (void)std::fprintf(stderr,
                       "usage: paired [-r ROUNDS] [-p PROCESSES] [-i IDLE_SECONDS] KNELL\n");
    return 2;
  }
  pin(kStormCore);
  std::vector<std::unique_ptr<Contender>> contenders;
  contenders.push_back(
      std::make_unique<Nobody>());  // the first is what the others are compared with
  contenders.push_back(std::make_unique<PlainClient>());
  const std::pair<const char*, std::vector<const char*>> kWatchers[] = {
      {"connector, non-zero, status",
       {"--via", "connector", "-e", "nonzero-exit", "--details", "status"}},
      {"bpf, non-zero, status", {"--via", "bpf", "-e", "nonzero-exit", "--details", "status"}},
      {"bpf, non-zero, full", {"--via", "bpf", "-e", "nonzero-exit"}},
      {"bpf, every exit, full", {"--via", "bpf", "-e", "exit"}},
  };
  for (const auto& [name, flags] : kWatchers)
    contenders.push_back(std::make_unique<Knell>(argv[optind], name, flags));
  take_turns(contenders, rounds, processes);
  if (idle > 0) watch_idle(*contenders[contenders.size() - 2], idle);
  return 0;
}
