// SPDX-FileCopyrightText: The knell authors
// SPDX-License-Identifier: Apache-2.0

// Clients that attack the daemon or its listeners: their cost must be bounded, they get an error
// message, and another listener is not affected.
#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <memory>

#include "support/child.h"
#include "support/daemon.h"
#include "support/needs.h"
#include "support/stage.h"
#include "wire_listener.h"

namespace knell::test {
namespace {

using filter::Key;
using filter::wants;

class Hostile : public testing::Test {
 protected:
  void SetUp() override {
    KNELL_NEEDS(lacks_knelld());
    daemon_ = std::make_unique<Daemon>();
    daemon_->configure(config());
    ASSERT_TRUE(daemon_->start());
    good_ = std::make_unique<WireListener>(daemon_->socket(), lives());
  }
  // Checks that the well-behaved listener received all events during the attack.
  void TearDown() override {
    if (good_ == nullptr) return;
    live();
    ASSERT_TRUE(good_->take_life(sentinel())) << (good_->over() ? good_->over()->message() : "");
    EXPECT_EQ(good_->keys_of(lived_), knell::test::keys_of(lived_));
    EXPECT_EQ(good_->lost(), 0u);
  }
  virtual std::string config() const { return ""; }

  void live(int count = 20) {
    const auto some = live_and_die(count);
    lived_.insert(lived_.end(), some.begin(), some.end());
    EXPECT_TRUE(good_->take());
  }
  const std::string& socket() const { return daemon_->socket(); }
  size_t descriptors_of_daemon() const {
    size_t count = 0;
    const std::string path = "/proc/" + std::to_string(daemon_->pid()) + "/fd";
    const std::unique_ptr<DIR, int (*)(DIR*)> all(::opendir(path.c_str()), &::closedir);
    while (::readdir(all.get()) != nullptr) ++count;
    return count;
  }
  // The error with which the daemon ends the connection. Other messages are ignored.
  static Error end_of(WireListener& listener) {
    EXPECT_FALSE(listener.take_until([] { return false; }));
    return listener.over().value_or(Error{});
  }

  std::unique_ptr<Daemon> daemon_;
  std::unique_ptr<WireListener> good_;
  std::vector<Life> lived_;
};

// Opens a connection that sends no HELLO.
UniqueFd connect_raw(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return fd;
}

std::string subscribe_packet() { return *wire::encode(lives(), 1); }

TEST_F(Hostile, HalfAFrame) {
  WireListener one(socket());
  const std::string packet = subscribe_packet();
  ASSERT_TRUE(one.connection().send(packet.substr(0, packet.size() / 2)));
  const Error end = end_of(one);
  EXPECT_EQ(end.code, EBADMSG);
  EXPECT_NE(end.message().find("docs/protocol.md"), std::string::npos) << end.message();
}

TEST_F(Hostile, AFrameOfFourGibibytes) {
  WireListener one(socket());
  std::string packet = subscribe_packet();
  const uint32_t length = 0xffff'fffc;
  std::memcpy(packet.data(), &length, sizeof length);
  ASSERT_TRUE(one.connection().send(packet));
  EXPECT_EQ(end_of(one).code, EBADMSG);
}

TEST_F(Hostile, APacketThatIsLargerThanAnyFrame) {
  WireListener one(socket());
  ASSERT_TRUE(one.connection().send(std::string(wire::kMostFrame + 100, 'x')));
  EXPECT_EQ(end_of(one).code, EMSGSIZE);
}

TEST_F(Hostile, SnapshotsThatAreNotRead) {
  std::vector<std::unique_ptr<WireListener>> all;
  filter::Subscription asked = lives();
  asked.predicates.clear();  // a user may name 16 processes by `under`
  {
    const AsUser nobody(kNobody);
    for (int i = 0; i < 20; ++i) {
      all.push_back(std::make_unique<WireListener>(socket(), asked));
      client::ConnectionToServer& connection = all.back()->connection();
      for (uint32_t request = 0; request < 100; ++request)
        ASSERT_TRUE(connection.try_send(wire::encode_snapshot_request(request)));
    }
  }
  live(60);
  EXPECT_TRUE(good_->take_life(sentinel())) << "while the attackers wait for their answers";
}

TEST_F(Hostile, AMillionFilters) {
  filter::Subscription many = lives();
  many.predicates.clear();
  for (int i = 1; i <= 1024; ++i) many.predicates.push_back(wants(Key::kPid, i));
  std::vector<std::unique_ptr<WireListener>> all;
  Result<void> refused;
  {
    const AsUser nobody(kNobody);
    while (refused && all.size() < 1000) {
      all.push_back(std::make_unique<WireListener>(socket()));
      refused = all.back()->subscribe(many);
    }
  }
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, EDQUOT);
  EXPECT_NE(refused.error().message().find("filter values"), std::string::npos);
  EXPECT_LT(all.size(), 10u);
  many.predicates.push_back(wants(Key::kPid, 1025));
  WireListener root(socket());
  EXPECT_EQ(root.subscribe(many).error().code, EINVAL);
}

TEST_F(Hostile, AllTheProcessesThatUnderCanFollow) {
  std::vector<std::unique_ptr<WireListener>> all;
  filter::Subscription asked = lives();
  asked.predicates.clear();
  for (pid_t pid = 1; pid <= 200; ++pid)
    if (::kill(pid, 0) == 0) asked.predicates.push_back(wants(Key::kUnder, pid));
  {
    const AsUser nobody(kNobody);
    WireListener one(socket());
    (void)one.subscribe(asked);  // the daemon refused it, or there were fewer processes
  }
  WireListener other(socket());
  EXPECT_TRUE(other.subscribe(lives()));
}

TEST_F(Hostile, RootsThatDie) {
  std::vector<std::unique_ptr<WireListener>> all;
  for (int i = 0; i < 10; ++i) {
    Child child = Child::fork([] { return ::pause(); });
    filter::Subscription asked = lives();
    asked.predicates = {wants(Key::kUnder, child.pid())};
    all.push_back(std::make_unique<WireListener>(socket(), asked));
    child.kill();
    ASSERT_TRUE(child.wait());
    EXPECT_TRUE(all.back()->take_until([&] { return !all.back()->received().empty(); }));
  }
  // A new subscription is granted although these roots are part of the joined interest; so is the
  // whole interest when a reload requests it anew.
  WireListener other(socket(), lives());
  all.resize(5);
  ASSERT_EQ(::kill(daemon_->pid(), SIGHUP), 0);
  ASSERT_TRUE(other.take_life(sentinel()));
  ASSERT_TRUE(other.subscribe(lives(KNELL_EVENT_EXIT)));
  const auto status = other.connection().status();
  EXPECT_TRUE(status);
}

class HostileToQueues : public Hostile {
 protected:
  std::string config() const override { return "[limits]\nqueue = \"64K\"\n"; }
};

TEST_F(HostileToQueues, AReaderThatNeverReads) {
  WireListener slow(socket(), lives());
  for (int i = 0; i < 60; ++i) live(60);
  // The slow listener reads only now: its received and lost events must add up to all events.
  const Life last = sentinel();
  ASSERT_TRUE(good_->take_life(last));
  size_t wanted = 3;  // the three events of the sentinel
  for (const auto& [key, count] : knell::test::keys_of(lived_))
    wanted += static_cast<size_t>(count);
  EXPECT_TRUE(slow.take_until([&] { return slow.received().size() + slow.lost() >= wanted; }));
  ASSERT_TRUE(slow.take_all());
  EXPECT_GT(slow.lost(), 0u) << "otherwise the test is void";
  EXPECT_EQ(slow.received().size() + slow.lost(), wanted);
}

TEST_F(Hostile, ClientsThatDisconnectAtOnce) {
  for (int i = 0; i < 200; ++i) {
    const UniqueFd one = connect_raw(socket());
    const std::string hello = wire::encode(wire::ClientHello{.knell = "0", .rule = {}}, 0);
    EXPECT_GT(::send(one.get(), hello.data(), hello.size(), MSG_NOSIGNAL), 0);
    const std::string packet = subscribe_packet();
    EXPECT_GT(::send(one.get(), packet.data(), packet.size(), MSG_NOSIGNAL), 0);
    if (i % 20 == 0) live();
  }
}

TEST_F(Hostile, AThousandConnections) {
  std::vector<UniqueFd> all;
  for (int i = 0; i < 900; ++i) all.push_back(connect_raw(socket()));
  live();
  const auto status = WireListener(socket()).connection().status();
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("\"clients\":902"), std::string::npos) << status->substr(0, 2000);
}

TEST_F(Hostile, AUserWithMoreConnectionsThanAUserMayHave) {
  const AsUser nobody(kNobody);
  std::vector<UniqueFd> all;
  for (int i = 0; i < 300; ++i) all.push_back(connect_raw(socket()));
  char packet[4096];
  const ssize_t n = ::recv(all.back().get(), packet, sizeof packet, 0);
  ASSERT_GT(n, 0);
  const auto frame = wire::parse_packet({packet, static_cast<size_t>(n)});
  ASSERT_TRUE(frame);
  ASSERT_EQ(static_cast<int>(frame->type), static_cast<int>(wire::Message::kBye));
  const auto bye = wire::decode_bye(frame->payload);
  ASSERT_TRUE(bye);
  EXPECT_EQ(bye->error, EUSERS);
  EXPECT_NE(bye->text.find("limits.clients_per_user"), std::string::npos);
  EXPECT_EQ(::recv(all.back().get(), packet, sizeof packet, 0), 0);
}

TEST_F(Hostile, NoDescriptorsLeft) {
  const rlimit few{.rlim_cur = descriptors_of_daemon() + 20,
                   .rlim_max = descriptors_of_daemon() + 20};
  ASSERT_EQ(::prlimit(daemon_->pid(), RLIMIT_NOFILE, &few, nullptr), 0);
  std::vector<UniqueFd> all;
  for (int i = 0; i < 100; ++i) all.push_back(connect_raw(socket()));
  char packet[4096];
  const ssize_t n = ::recv(all.back().get(), packet, sizeof packet, 0);
  ASSERT_GT(n, 0);
  const auto frame = wire::parse_packet({packet, static_cast<size_t>(n)});
  ASSERT_TRUE(frame);
  const auto bye = wire::decode_bye(frame->payload);
  ASSERT_TRUE(bye);
  EXPECT_NE(bye->error, 0);
  EXPECT_FALSE(bye->text.empty());
  live();
  all.clear();
  // New clients are accepted again, once the daemon has noticed that the others disconnected.
  bool accepted = false;
  for (const Deadline deadline; !accepted && !deadline.passed();) {
    auto next = client::ConnectionToServer::connect(socket());
    accepted = next && next->exchange_hellos();
  }
  EXPECT_TRUE(accepted);
}

TEST_F(Hostile, AFloodOfRequestsWithoutReadingTheAnswers) {
  std::vector<std::unique_ptr<WireListener>> all;
  for (int i = 0; i < 20; ++i) all.push_back(std::make_unique<WireListener>(socket()));
  const std::string subscribe = subscribe_packet(), status = wire::encode_status_request(7);
  for (int round = 0; round < 500; ++round) {
    for (auto& one : all) (void)one->connection().try_send(round % 2 == 0 ? subscribe : status);
    if (round % 50 == 0) live();
  }
}

class HostileToTheJournal : public Hostile {
 protected:
  std::string config() const override {
    return "[journal]\npath = \"" + folder_.path() + "/journal.db\"\n";
  }
  static std::string history(uint64_t last, int patterns = 1) {
    wire::History asked;
    for (int i = 0; i < patterns; ++i)
      asked.wanted.predicates.push_back(wants(Key::kExe, "*" + std::to_string(i) + "?*"));
    asked.place.last = last;
    return *wire::encode(asked, 1);
  }
  // Sends the packet, and reads up to the ack.
  static wire::Ack ask(WireListener& one, const std::string& packet) {
    EXPECT_TRUE(one.connection().send(packet));
    const auto ack = one.connection().await_ack(1, [](const wire::Frame&) {});
    EXPECT_TRUE(ack) << ack.error().message();
    return ack.value_or(wire::Ack{.error = -1, .request = 0, .text = {}});
  }
  TemporaryDirectory folder_;
};

TEST_F(HostileToTheJournal, AFloodOfRequestsForThePast) {
  live(60);
  std::vector<std::unique_ptr<WireListener>> all;
  {
    const AsUser nobody(kNobody);
    for (int i = 0; i < 20; ++i) {
      all.push_back(std::make_unique<WireListener>(socket()));
      for (int request = 0; request < 100; ++request)
        (void)all.back()->connection().try_send(history(request % 2 == 0 ? 0 : UINT64_MAX));
    }
  }
  live(60);
  EXPECT_TRUE(good_->take_life(sentinel())) << "while the attackers do not read the answers";
  // Root takes turns with the attackers.
  WireListener root(socket());
  EXPECT_EQ(ask(root, history(0)).error, 0);
  all.resize(10);  // half of them disconnect while their requests are handled
  live();
  EXPECT_EQ(ask(root, history(0)).error, 0);
}

TEST_F(HostileToTheJournal, PatternsThatTakeLongToTest) {
  const AsUser nobody(kNobody);
  WireListener one(socket());
  const wire::Ack ack = ask(one, history(0, 100));
  EXPECT_EQ(ack.error, EDQUOT) << ack.text;
  EXPECT_EQ(ask(one, history(0)).error, 0);
}

TEST_F(Hostile, DescriptorsSentToTheDaemon) {
  const size_t before = descriptors_of_daemon();
  WireListener one(socket());
  const UniqueFd sent(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  for (int i = 0; i < 200; ++i) {
    std::string packet = subscribe_packet();
    iovec part{packet.data(), packet.size()};
    alignas(cmsghdr) char room[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room;
    message.msg_controllen = sizeof room;
    cmsghdr* control = CMSG_FIRSTHDR(&message);
    control->cmsg_level = SOL_SOCKET;
    control->cmsg_type = SCM_RIGHTS;
    control->cmsg_len = CMSG_LEN(sizeof(int));
    const int fd = sent.get();
    std::memcpy(CMSG_DATA(control), &fd, sizeof fd);
    while (::sendmsg(one.connection().fd(), &message, MSG_NOSIGNAL) < 0) ASSERT_EQ(errno, EAGAIN);
    ASSERT_TRUE(one.take());
  }
  ASSERT_TRUE(one.take_all());
  // The daemon opens files of /proc for a moment, whenever a process on the machine causes an
  // event.
  size_t now = descriptors_of_daemon();
  for (const Deadline deadline; now > before + 1 && !deadline.passed();)
    now = descriptors_of_daemon();
  EXPECT_LE(now, before + 1);
}

}  // namespace
}  // namespace knell::test
