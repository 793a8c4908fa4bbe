#include "common/http/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/http/http_error.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A client that sends what it likes.
class RawClient {
 public:
  explicit RawClient(const std::string& address, const char* source = "127.0.0.1") {
    int port = 0;
    (void)absl::SimpleAtoi(address.substr(address.find(':') + 1), &port);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    sockaddr_in from{};
    from.sin_family = AF_INET;
    inet_pton(AF_INET, source, &from.sin_addr);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&from), sizeof from), 0);
    connected_ = connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~RawClient() { close(fd_); }

  RawClient& Say(const std::string& bytes) {
    (void)!send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    return *this;
  }
  // All that comes until the server closes, or until it ends with `last`; "(open)" is added if neither is so
  // within `patience`.
  std::string Hear(absl::Duration patience = absl::Minutes(1), const std::string& last = "(closed)") {
    std::string heard;
    const absl::Time end = absl::Now() + patience;
    while (connected_ && !heard.ends_with(last)) {
      pollfd entry{fd_, POLLIN, 0};
      const absl::Duration left = end - absl::Now();
      if (left <= absl::ZeroDuration() ||
          poll(&entry, 1, static_cast<int>(absl::ToInt64Milliseconds(left)) + 1) == 0) {
        return heard + "(open)";
      }
      char buffer[4096];
      const ssize_t got = recv(fd_, buffer, sizeof buffer, 0);
      if (got <= 0) return heard;
      heard.append(buffer, static_cast<size_t>(got));
    }
    return heard;
  }

 private:
  int fd_ = -1;
  bool connected_ = false;
};

// Who is slow is waited for as long as any test lasts.
class HttpServerTest : public ::testing::Test {
 protected:
  explicit HttpServerTest(absl::Duration request_timeout = absl::Hours(1)) {
    auto server = HttpServer::Start({.listen = "127.0.0.1:0",
                                     .most_header_bytes = 4096,
                                     .most_body_bytes = 1000,
                                     .threads = 4,
                                     .request_timeout = request_timeout},
                                    &Answer);
    if (server.ok()) server_ = *std::move(server);
  }

  std::string Ask(const std::string& bytes) { return RawClient(server_->address()).Say(bytes).Hear(); }
  static std::string Post(const std::string& headers, const std::string& body) {
    return absl::StrCat("POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
                        headers, "\r\n", body);
  }

  static HttpResponse Answer(const HttpRequest& request) {
    HttpResponse response;
    if (request.path == "/") {
      response.body = absl::StrCat("query=", request.query);
    } else if (request.path == "/echo") {
      response.body = absl::StrCat("[", request.body, "]");
    } else {
      response = ErrorResponse(absl::NotFoundError("there is no such page"));
    }
    return response;
  }
  std::unique_ptr<HttpServer> server_;
};

class ImpatientServerTest : public HttpServerTest {
 protected:
  ImpatientServerTest() : HttpServerTest(absl::Milliseconds(700)) {}
};

TEST_F(HttpServerTest, AnswersAndCloses) {
  const std::string answer = Ask("GET /?a=b HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(answer, HasSubstr("Content-Length: 9\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\nquery=a=b"));
  EXPECT_THAT(Ask("HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n"), ::testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(Ask(Post("Content-Length: 5\r\n", "hello")), HasSubstr("[hello]"));
}

TEST_F(HttpServerTest, PathsThatClimbFindNothing) {
  for (const char* path : {"/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd",
                           "/%00", "//etc/passwd", "/./../x"}) {
    const std::string answer = Ask(absl::StrCat("GET ", path, " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    EXPECT_THAT(answer, ::testing::AnyOf(StartsWith("HTTP/1.1 404"), StartsWith("HTTP/1.1 400"))) << path;
    EXPECT_THAT(answer, ::testing::Not(HasSubstr("root:"))) << path;
  }
}

TEST_F(HttpServerTest, WhatIsNotHttpIsRefused) {
  for (const std::string& bytes :
       {std::string("\x16\x03\x01\x02hello\r\n\r\n"), std::string("GET\r\n\r\n"),
        std::string("\0\0\0\0\r\n\r\n", 8), std::string("GET / HTTP/9.9\r\n\r\n")}) {
    EXPECT_THAT(Ask(bytes), ::testing::Not(StartsWith("HTTP/1.1 200")));
  }
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, HeadersThatAreTooLargeAreRefused) {
  const std::string answer =
      Ask("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(5000, 'x') + "\r\n\r\n");
  EXPECT_THAT(answer, ::testing::Not(StartsWith("HTTP/1.1 200")));
  std::string many = "GET / HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 200; ++i) absl::StrAppend(&many, "X", i, ": y\r\n");
  EXPECT_THAT(Ask(many + "\r\n"), ::testing::Not(StartsWith("HTTP/1.1 200")));
}

TEST_F(HttpServerTest, AHeaderThatIsThereTwiceIsRefused) {
  for (const char* twice : {"Origin: http://localhost\r\nOrigin: http://evil.example\r\n",
                            "Host: evil.example\r\n", "Content-Length: 0\r\nContent-Length: 5\r\n"}) {
    EXPECT_THAT(Ask(Post(twice, "")), StartsWith("HTTP/1.1 400")) << twice;
  }
}

TEST_F(HttpServerTest, BodiesThatAreTooLargeOrOfUnknownSizeAreRefused) {
  EXPECT_THAT(Ask(Post("Content-Length: 1001\r\n", std::string(1001, 'x'))), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask(Post("Content-Length: 999999999999\r\n", "")), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(Ask(Post("Content-Length: -5\r\n", "")), ::testing::Not(StartsWith("HTTP/1.1 200")));
  EXPECT_THAT(Ask(Post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n")),
              StartsWith("HTTP/1.1 400"));
}

TEST_F(ImpatientServerTest, ClientsThatDawdleAreClosedAndTheOthersServed) {
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 12; ++i) {
    slow.push_back(std::make_unique<RawClient>(server_->address()));
    slow.back()->Say(i % 3 == 0 ? "" : i % 3 == 1 ? "GET / HT" : Post("Content-Length: 100\r\n", "half"));
  }
  // Whom the machine holds up between the connection and the request is one that dawdles: then once more.
  std::string answer;
  for (int tries = 0; answer.empty() && tries < 5; ++tries) {
    answer = Ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  for (auto& client : slow) EXPECT_THAT(client->Hear(), ::testing::Not(HasSubstr("(open)")));
}

TEST_F(ImpatientServerTest, AClientThatSendsAByteNowAndThenIsClosedAsWell) {
  RawClient drip(server_->address());
  const absl::Time give_up = absl::Now() + absl::Minutes(1);
  std::string heard = "(open)";
  while (heard == "(open)" && absl::Now() < give_up) {
    drip.Say("G");
    heard = drip.Hear(absl::Milliseconds(100));
  }
  EXPECT_EQ(heard, "");
}

TEST_F(HttpServerTest, OneAddressDoesNotHoldUpTheOthers) {
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 40; ++i) {  // of an hour each
    slow.push_back(std::make_unique<RawClient>(server_->address(), "127.0.0.2"));
    slow.back()->Say("GET / HT");
  }
  EXPECT_THAT(Ask("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200"));
  server_->Stop();  // does not wait for them, or the test would not end
}

TEST_F(HttpServerTest, ABodyThatWaitsToBeAskedForIsAskedFor) {
  RawClient client(server_->address());
  client.Say(Post("Expect: 100-continue\r\nContent-Length: 5\r\n", ""));
  const std::string asked = "HTTP/1.1 100 Continue\r\n\r\n";
  EXPECT_EQ(client.Hear(absl::Minutes(1), asked), asked);
  EXPECT_THAT(client.Say("hello").Hear(), HasSubstr("[hello]"));
}

TEST_F(HttpServerTest, ATakenPortIsNamed) {
  const auto second = HttpServer::Start({.listen = server_->address()}, &Answer);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--http-listen"));
}

TEST_F(HttpServerTest, StopsWhileClientsHang) {
  RawClient idle(server_->address());
  RawClient half(server_->address());
  half.Say("GET / HT");
  server_->Stop();  // which would otherwise take an hour
  server_->Stop();
  EXPECT_EQ(server_->address(), "");
}

TEST(ErrorResponse, TextThatIsNotUtf8OrJsonStaysAString) {
  EXPECT_EQ(ErrorResponse(absl::NotFoundError("no \"job\"\n</script>")).body,
            "{\"error\":\"no \\\"job\\\"\\n</script>\"}");
  EXPECT_THAT(ErrorResponse(absl::InternalError("\xff")).body, HasSubstr("error"));
}

TEST(HttpServer, AnEmptyAddressServesNothing) {
  const auto server = HttpServer::Start({.listen = ""}, nullptr);
  ASSERT_TRUE(server.ok());
  EXPECT_EQ((*server)->address(), "");
}

}  // namespace
}  // namespace lockstep
