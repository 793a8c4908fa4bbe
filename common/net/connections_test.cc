#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "common/net/gated_listener.h"

namespace lockstep {
namespace {

TEST(ConnectionTable, LimitsHoldForAllAndForEachPeer) {
  ConnectionTable table({.all = 3, .per_peer = 2});
  for (const char* peer : {"a", "a", "b"}) {
    EXPECT_EQ(table.Decide(peer), Verdict::kAdmitted);
    table.Add(peer);
  }
  EXPECT_EQ(table.Decide("a"), Verdict::kPeerFull);
  EXPECT_EQ(table.Decide("c"), Verdict::kFull);
  table.Remove("a");
  EXPECT_EQ(table.Decide("a"), Verdict::kAdmitted);
  EXPECT_EQ(table.all(), 2);
}

// Connects `fd` from 127.0.0.`host`.
void ConnectFrom(int fd, int port, int host) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl((127u << 24) + static_cast<uint32_t>(host));
  EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
}

// Waits, for at most 10 s, until the other side closes.
bool IsClosed(int fd) {
  const timeval patience{10, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  char byte;
  const ssize_t got = ::recv(fd, &byte, 1, 0);
  return got == 0 || (got < 0 && errno == ECONNRESET);
}

class GatedListenerTest : public ::testing::Test {
 protected:
  void Listen(GatedListener::Options options) {
    options.address = {"127.0.0.1", 0};
    auto listener = GatedListener::Listen(options);
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
    listener_->Start([this](int fd, int, const GatedListener::Peer& peer) {
      EXPECT_THAT(peer.address, ::testing::StartsWith("127.0.0."));
      absl::MutexLock lock(&mutex_);
      taken_.push_back(fd);
    });
  }
  void TearDown() override {
    listener_.reset();
    for (const int fd : clients_) ::close(fd);
    absl::MutexLock lock(&mutex_);
    for (const int fd : taken_) ::close(fd);
  }

  int Client(int host = 1) {
    const int fd = clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ConnectFrom(fd, listener_->port(), host);
    return fd;
  }
  int Speak(int host = 1) {
    const int fd = Client(host);
    EXPECT_EQ(::send(fd, "P", 1, MSG_NOSIGNAL), 1);
    return fd;
  }
  bool Await(size_t taken) {
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return taken_.size() >= taken; };
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(10));
  }
  void CloseFirstTaken() {
    absl::MutexLock lock(&mutex_);
    ::close(taken_.front());
    taken_.erase(taken_.begin());
  }

  absl::Mutex mutex_;
  std::vector<int> taken_ ABSL_GUARDED_BY(mutex_);
  std::vector<int> clients_;
  std::unique_ptr<GatedListener> listener_;
};

TEST_F(GatedListenerTest, WhoSpeaksIsHandedOverWithWhatItSaid) {
  Listen({});
  Speak();
  ASSERT_TRUE(Await(1));
  absl::MutexLock lock(&mutex_);
  char byte = 0;
  EXPECT_EQ(::recv(taken_.front(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 'P');
}

TEST_F(GatedListenerTest, APeerBeyondItsLimitIsClosedAndOthersAreNot) {
  Listen({.limits = {.all = 10, .per_peer = 2}, .look_interval = absl::ZeroDuration()});
  Speak(2), Speak(2);
  ASSERT_TRUE(Await(2));
  EXPECT_TRUE(IsClosed(Speak(2)));
  Speak(3);
  ASSERT_TRUE(Await(3));
  EXPECT_EQ(listener_->counts().peer_full, 1);
  CloseFirstTaken();
  Speak(2);
  EXPECT_TRUE(Await(3)) << "a connection that was closed still counts";
}

TEST_F(GatedListenerTest, BeyondTheLimitOfAllEverybodyIsClosed) {
  Listen({.limits = {.all = 2, .per_peer = 2}});
  Speak(2), Speak(3);
  ASSERT_TRUE(Await(2));
  EXPECT_TRUE(IsClosed(Speak(4)));
  EXPECT_EQ(listener_->counts().full, 1);
}

TEST_F(GatedListenerTest, TheSilentAreClosedAndHoldNobodyUp) {
  Listen({.most_waiting = 4, .patience = absl::Milliseconds(300)});
  std::vector<int> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(Client());
  // A client that the machine holds up between its connection and its word is silent as well: another then.
  int late = 0;
  for (Speak(); !Await(1) && late < 3; Speak()) ++late;
  for (const int fd : silent) EXPECT_TRUE(IsClosed(fd));
  EXPECT_EQ(listener_->counts().silent, 20 + late);
  EXPECT_EQ(listener_->counts().open, 1);
}

TEST_F(GatedListenerTest, WithoutDescriptorsTheSilentMakeRoomAndItGoesOn) {
  Listen({.most_waiting = 1000});
  for (int i = 0; i < 50; ++i) Client();
  const int late = clients_.emplace_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const absl::Time patience = absl::Now() + absl::Seconds(10);
  while (listener_->counts().waiting < 50 && absl::Now() < patience) absl::SleepFor(absl::Milliseconds(1));
  const int free = ::dup(late);
  ::close(free);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = static_cast<rlim_t>(free);  // no number is free below it
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  ConnectFrom(late, listener_->port(), 1);
  EXPECT_EQ(::send(late, "P", 1, MSG_NOSIGNAL), 1);
  const bool taken = Await(1);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(taken);
  Speak();
  EXPECT_TRUE(Await(2));
}

TEST_F(GatedListenerTest, StopsWithConnectionsThatWait) {
  Listen({});
  const int silent = Client();
  listener_->Stop();
  listener_->Stop();
  EXPECT_TRUE(IsClosed(silent));
}

}  // namespace
}  // namespace lockstep
