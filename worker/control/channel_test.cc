#include "worker/control/channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <set>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lockstep/v1/trainer.pb.h"

namespace lockstep {
namespace {

v1::FromTrainer StatusMessage(const std::string& job, int64_t step) {
  v1::FromTrainer message;
  message.mutable_status()->set_job_id(job);
  message.mutable_status()->set_step(step);
  return message;
}

std::string Frame(const std::string& body) {
  std::string frame(4, '\0');
  for (size_t i = 0; i < 4; ++i) frame[i] = static_cast<char>((body.size() >> (8 * i)) & 0xff);
  return frame + body;
}

class ChannelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto pair = Channel::MakePair();
    ASSERT_TRUE(pair.ok()) << pair.status();
    ours_ = std::make_unique<Channel>(pair->first);
    theirs_ = std::make_unique<Channel>(pair->second);
  }
  void WriteRaw(const std::string& bytes) {
    ASSERT_EQ(::send(theirs_->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  std::unique_ptr<Channel> ours_;
  std::unique_ptr<Channel> theirs_;
};

TEST_F(ChannelTest, MessagesArriveInOrder) {
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(ours_->Send(StatusMessage("job", i)).ok());
  for (int i = 0; i < 100; ++i) {
    v1::FromTrainer got;
    ASSERT_TRUE(theirs_->Receive(&got).ok());
    EXPECT_EQ(got.status().step(), i);
  }
}

TEST_F(ChannelTest, FrameSplitAtEveryByteIsStillOneMessage) {
  const std::string frame = Frame(StatusMessage("a job with a name", 300).SerializeAsString());
  for (size_t split = 0; split <= frame.size(); ++split) {
    v1::FromTrainer got;
    absl::Status status;
    std::thread reader([&] { status = ours_->Receive(&got); });
    WriteRaw(frame.substr(0, split));
    std::this_thread::yield();
    WriteRaw(frame.substr(split));
    reader.join();
    ASSERT_TRUE(status.ok()) << "split at " << split << ": " << status;
    EXPECT_EQ(got.status().step(), 300);
  }
}

TEST_F(ChannelTest, EmptyMessageIsAMessage) {
  ASSERT_TRUE(theirs_->Send(v1::FromTrainer()).ok());
  v1::FromTrainer got = StatusMessage("old content", 1);
  ASSERT_TRUE(ours_->Receive(&got).ok());
  EXPECT_EQ(got.message_case(), v1::FromTrainer::MESSAGE_NOT_SET);
}

TEST_F(ChannelTest, OversizeLengthIsRefusedBeforeAnyMemoryIsTaken) {
  WriteRaw(std::string("\xff\xff\xff\xff", 4));
  v1::FromTrainer got;
  const absl::Status status = ours_->Receive(&got);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("4294967295"));
}

TEST_F(ChannelTest, OversizeMessageIsNotSent) {
  v1::FromTrainer big;
  big.mutable_rendezvous()->set_address(std::string((size_t{64} << 20) + 1, 'x'));
  EXPECT_EQ(ours_->Send(big).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ChannelTest, BytesThatAreNoMessageAreDataLoss) {
  WriteRaw(Frame("\xff\xff\xff"));
  v1::FromTrainer got;
  EXPECT_EQ(ours_->Receive(&got).code(), absl::StatusCode::kDataLoss);
}

TEST_F(ChannelTest, ClosedPeerIsUnavailableForBothDirections) {
  theirs_.reset();
  v1::FromTrainer got;
  EXPECT_EQ(ours_->Receive(&got).code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ours_->Send(StatusMessage("job", 1)).code(), absl::StatusCode::kUnavailable);
}

TEST_F(ChannelTest, PeerClosingInsideAnyByteOfAFrameIsUnavailable) {
  const std::string frame = Frame(StatusMessage("job", 7).SerializeAsString());
  for (size_t length = 0; length < frame.size(); ++length) {
    SetUp();
    WriteRaw(frame.substr(0, length));
    theirs_.reset();
    v1::FromTrainer got;
    EXPECT_EQ(ours_->Receive(&got).code(), absl::StatusCode::kUnavailable) << "cut at " << length;
  }
}

TEST_F(ChannelTest, ShutdownWakesBlockedReceiveOnBothSides) {
  absl::Status ours, theirs;
  std::thread a([&] {
    v1::FromTrainer got;
    ours = ours_->Receive(&got);
  });
  std::thread b([&] {
    v1::FromTrainer got;
    theirs = theirs_->Receive(&got);
  });
  ours_->Shutdown();
  a.join();
  b.join();
  EXPECT_EQ(ours.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(theirs.code(), absl::StatusCode::kUnavailable);
}

TEST_F(ChannelTest, ConcurrentSendersDoNotInterleave) {
  constexpr int kThreads = 4, kEach = 200;
  std::vector<std::thread> senders;
  for (int t = 0; t < kThreads; ++t) {
    senders.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        // Long enough that a frame does not fit the socket's buffer in one go now and then.
        const std::string name(static_cast<size_t>(1 + i * 97), static_cast<char>('a' + t));
        EXPECT_TRUE(theirs_->Send(StatusMessage(name, t * kEach + i)).ok());
      }
    });
  }
  std::set<int64_t> seen;
  for (int i = 0; i < kThreads * kEach; ++i) {
    v1::FromTrainer got;
    ASSERT_TRUE(ours_->Receive(&got).ok());
    const int64_t step = got.status().step();
    const std::string expected(static_cast<size_t>(1 + step % kEach * 97),
                               static_cast<char>('a' + step / kEach));
    EXPECT_EQ(got.status().job_id(), expected);
    seen.insert(step);
  }
  for (auto& sender : senders) sender.join();
  EXPECT_EQ(seen.size(), static_cast<size_t>(kThreads * kEach));
}

}  // namespace
}  // namespace lockstep
