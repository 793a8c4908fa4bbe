#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/net/address.h"
#include "common/net/grpc_status.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;

TEST(HostPort, HostAndPortAreSplitAtTheLastColon) {
  auto v4 = ParseHostPort("127.0.0.1:7070");
  ASSERT_TRUE(v4.ok());
  EXPECT_EQ(v4->host, "127.0.0.1");
  EXPECT_EQ(v4->port, 7070);
  auto v6 = ParseHostPort("[::1]:0");
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->ToString(), "[::1]:0");
}

TEST(HostPort, MalformedAddressIsRefusedWithAnExample) {
  for (const char* text :
       {"", "localhost", ":7070", "localhost:", "localhost:x", "localhost:65536", "h:-1", "::1:7070"}) {
    auto parsed = ParseHostPort(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("HOST:PORT")) << text;
  }
}

TEST(IsLoopback, OnlyAddressesOfThisMachineCount) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1"})
    EXPECT_TRUE(IsLoopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "192.168.0.1", "128.0.0.1", "example.org", ""}) {
    EXPECT_FALSE(IsLoopback(host)) << host;
  }
}

TEST(CheckListenable, TakenPortIsNamedWithWhatToDo) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(fd, 1), 0);
  ASSERT_EQ(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const int port = ntohs(address.sin_port);
  const absl::Status status = CheckListenable({"127.0.0.1", port}, "the test server", "--listen");
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat("port ", port, " is in use")));
  EXPECT_THAT(std::string(status.message()), HasSubstr("--listen"));
  close(fd);
  EXPECT_TRUE(CheckListenable({"127.0.0.1", port}, "the test server", "--listen").ok());
}

TEST(CheckListenable, ForeignAddressIsNotCalledInUse) {
  const absl::Status status = CheckListenable({"192.0.2.1", 0}, "the test server", "--listen");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
}

TEST(GrpcStatus, CodeAndMessageSurviveTheRoundTrip) {
  const absl::Status there = absl::DataLossError("checksum differs");
  EXPECT_EQ(ToGrpc(there).error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_EQ(FromGrpc(ToGrpc(there)), there);
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus())).ok());
}

TEST(GrpcStatus, OverlongMessageIsCutBetweenCharacters) {
  std::string text = "x";
  for (int i = 0; i < 5000; ++i) text += "\u00e4";
  const std::string cut = ToGrpc(absl::InvalidArgumentError(text)).error_message();
  EXPECT_LT(cut.size(), 2100u);
  EXPECT_THAT(cut, testing::EndsWith("\u00e4 ..."));
}

}  // namespace
}  // namespace lockstep
