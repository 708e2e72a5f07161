// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0
#include "server/peer.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <optional>
#include <string>

namespace knell::server {
namespace {

// Runs the search in pieces of one process; returns what it found.
std::map<int32_t, int32_t> found(const Peer& peer, Peer::Search search) {
  for (ScanBudget piece{.left = 1}; !peer.continue_search(search, piece); piece.left = 1) {
  }
  return search.found;
}

// A listening socket.
class Door {
 public:
  Door() {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    EXPECT_EQ(::chmod(folder_.data(), 0755), 0);
    path_ = std::string(folder_.data()) + "/door";
    address_.sun_family = AF_UNIX;
    std::memcpy(address_.sun_path, path_.data(), path_.size());
    listening_ = UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<sockaddr*>(&address_), sizeof address_), 0);
    EXPECT_EQ(::chmod(path_.c_str(), 0666), 0);
    EXPECT_EQ(::listen(listening_.get(), 8), 0);
  }
  ~Door() {
    ::unlink(path_.c_str());
    ::rmdir(folder_.data());
  }

  UniqueFd accept() const {
    return UniqueFd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  }
  UniqueFd connect() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    return ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) == 0
               ? std::move(fd)
               : UniqueFd();
  }

 private:
  std::array<char, 32> folder_{"/tmp/knell_peer_XXXXXX"};
  std::string path_;
  sockaddr_un address_{};
  UniqueFd listening_;
};

// A child process that changes its credentials, connects, and stays until this is destroyed.
class Guest {
 public:
  explicit Guest(const std::function<bool()>& become) {
    pid_ = ::fork();
    if (pid_ == 0) {
      if (!become()) ::_exit(1);
      const UniqueFd connection = door_.connect();
      char word = 0;
      ::_exit(connection && ::read(connection.get(), &word, 1) == 0 ? 0 : 2);
    }
    connection_ = door_.accept();
  }
  ~Guest() {
    connection_.reset();
    int status = -1;
    ::waitpid(pid_, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Result<Peer> peer(const Visibility& visibility = {}) const {
    return Peer::create(connection_.get(), visibility, system_clock());
  }
  pid_t pid() const { return pid_; }

 private:
  Door door_;
  pid_t pid_ = -1;
  UniqueFd connection_;
};

constexpr uid_t kUser = 64321;

bool become_user() {
  return ::setgroups(0, nullptr) == 0 && ::setresgid(kUser, kUser, kUser) == 0 &&
         ::setresuid(kUser, kUser, kUser) == 0;
}

class PeerCreate : public testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can change its uid";
  }
};

TEST_F(PeerCreate, RootSeesEverything) {
  const Guest guest([] { return true; });
  const auto peer = guest.peer();
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_EQ(peer->pid(), guest.pid());
  EXPECT_EQ(peer->uid(), 0u);
  EXPECT_EQ(peer->scope(), (hub::Scope{.every_user = true, .uid = 0, .ns = 0}));
  EXPECT_EQ(peer->namespace_depth(), 0u);
  EXPECT_FALSE(peer->comm().empty());
  EXPECT_GT(peer->since_ns(), 0u);
  EXPECT_EQ(found(*peer, peer->begin_search({77, 78})),
            (std::map<int32_t, int32_t>{{77, 77}, {78, 78}}));
}

TEST_F(PeerCreate, AUserSeesOnlyItsOwnProcesses) {
  const Guest guest(become_user);
  const auto peer = guest.peer();
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_EQ(peer->scope(), (hub::Scope{.every_user = false, .uid = kUser, .ns = 0}));
}

TEST_F(PeerCreate, ConfiguredUsersAndGroupsSeeEverything) {
  const Guest guest(become_user);
  EXPECT_TRUE(guest.peer({.users = {kUser}, .groups = {}})->scope().every_user);
  EXPECT_TRUE(guest.peer({.users = {}, .groups = {kUser}})->scope().every_user);
  EXPECT_FALSE(guest.peer({.users = {kUser + 1}, .groups = {kUser + 1}})->scope().every_user);
}

TEST_F(PeerCreate, SupplementaryGroupsCount) {
  const Guest guest([] {
    std::array<gid_t, 100> groups{};
    for (size_t i = 0; i < groups.size(); ++i) groups[i] = 70'000 + static_cast<gid_t>(i);
    return ::setgroups(groups.size(), groups.data()) == 0 && ::setresuid(kUser, kUser, kUser) == 0;
  });
  EXPECT_TRUE(guest.peer({.users = {}, .groups = {70'099}})->scope().every_user);
  EXPECT_FALSE(guest.peer({.users = {}, .groups = {70'100}})->scope().every_user);
}

TEST_F(PeerCreate, CredentialsAreThoseOfTheConnect) {
  const Door door;
  UniqueFd connection = door.connect();
  const UniqueFd accepted = door.accept();
  const auto peer = Peer::create(accepted.get(), {}, system_clock());
  ASSERT_TRUE(peer);
  EXPECT_EQ(peer->pid(), ::getpid());
}

// Their line in /proc/PID/status is longer than a page.
bool have_many_groups() {
  std::array<gid_t, 600> groups{};
  for (size_t i = 0; i < groups.size(); ++i) groups[i] = 4'000'000'000 + static_cast<gid_t>(i);
  return ::setgroups(groups.size(), groups.data()) == 0;
}

// unshare(2) moves only children into the new pid namespace, so the child's child connects.
class GuestInside {
 public:
  explicit GuestInside(uid_t uid) {
    pid_ = ::fork();
    if (pid_ == 0) {
      if (::unshare(CLONE_NEWPID) != 0) ::_exit(3);
      const pid_t first = ::fork();
      if (first == 0) {
        if (!have_many_groups()) ::_exit(6);
        if (uid != 0 && ::setresuid(uid, uid, uid) != 0) ::_exit(4);
        const UniqueFd connection = door_.connect();
        char word = 0;
        ::_exit(connection && ::read(connection.get(), &word, 1) == 0 ? 0 : 2);
      }
      int status = -1;
      ::waitpid(first, &status, 0);
      ::_exit(status == 0 ? 0 : 5);
    }
    connection_ = door_.accept();
  }
  ~GuestInside() {
    connection_.reset();
    int status = -1;
    ::waitpid(pid_, &status, 0);
    EXPECT_EQ(status, 0);
  }
  Result<Peer> peer() const { return Peer::create(connection_.get(), {}, system_clock()); }

 private:
  Door door_;
  pid_t pid_ = -1;
  UniqueFd connection_;
};

TEST_F(PeerCreate, RootInAnotherPidNamespaceSeesOnlyThatNamespace) {
  const GuestInside guest(0);
  const auto peer = guest.peer();
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_NE(peer->scope().ns, 0u);
  EXPECT_TRUE(peer->scope().every_user);
  EXPECT_EQ(peer->namespace_depth(), 1u);
  EXPECT_NE(peer->pid(), 1) << "in our namespace";
  const std::map<int32_t, int32_t> first{{1, peer->pid()}};
  EXPECT_EQ(found(*peer, peer->begin_search({1, 30'000})), first);
  EXPECT_EQ(found(*peer, peer->begin_scan_for_testing({1, 30'000})), first)
      << "as before Linux 6.11";
}

TEST_F(PeerCreate, AUserInAnotherPidNamespaceSeesItsOwnProcessesThere) {
  const GuestInside guest(kUser);
  const auto peer = guest.peer();
  ASSERT_TRUE(peer) << peer.error().message();
  EXPECT_NE(peer->scope().ns, 0u);
  EXPECT_FALSE(peer->scope().every_user);
  EXPECT_EQ(peer->scope().uid, kUser);
}

TEST_F(PeerCreate, AnExitedClientIsAcceptedOrESRCH) {
  std::optional<Door> door(std::in_place);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(door->connect() ? 0 : 1);
  const UniqueFd connection = door->accept();
  int status = -1;
  ASSERT_EQ(::waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  const auto peer = Peer::create(connection.get(), {}, system_clock());
  EXPECT_TRUE(peer || peer.error().code == ESRCH) << peer.error().message();
}

// Without its pidfd the pid could be that of a later process.
TEST(Peer, RefusesAClientWhosePidfdCannotBeOpened) {
  int ends[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
  const UniqueFd ours(ends[0]), theirs(ends[1]);
  int raw = -1;
  socklen_t bytes = sizeof raw;
  constexpr int kSoPeerPidfd = 77;
  if (::getsockopt(ends[0], SOL_SOCKET, kSoPeerPidfd, &raw, &bytes) != 0)
    GTEST_SKIP() << "no SO_PEERPIDFD here";
  const int next = raw;
  ::close(raw);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto peer = Peer::create(ends[0], {}, system_clock());
  EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  ASSERT_FALSE(peer);
  EXPECT_EQ(peer.error().code, EMFILE) << peer.error().message();
}

TEST(Peer, ADescriptorThatIsNoSocketIsAnError) {
  EXPECT_FALSE(Peer::create(0, {}, system_clock()));
  EXPECT_FALSE(Peer::create(-1, {}, system_clock()));
}

}  // namespace
}  // namespace knell::server
