#include "common/http/http_parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace lockstep {
namespace {

using ::testing::HasSubstr;

absl::StatusOr<HttpHead> Parse(const std::string& lines, int64_t most = 1000) {
  return ParseHttpHead(lines + std::string(kEndOfHead), most);
}

TEST(HttpParse, TakesARequestApart) {
  const auto head = Parse(
      "POST /api/jobs/1m7/cancel?a=b?c HTTP/1.1\r\nHost: localhost:7073\r\nX-Y:\t a b \r\nContent-Length: "
      "12");
  ASSERT_TRUE(head.ok()) << head.status();
  EXPECT_EQ(head->request.method, "POST");
  EXPECT_EQ(head->request.path, "/api/jobs/1m7/cancel");
  EXPECT_EQ(head->request.query, "a=b?c");
  EXPECT_EQ(head->request.Header("host"), "localhost:7073");
  EXPECT_EQ(head->request.Header("x-y"), "a b");
  EXPECT_EQ(head->body_bytes, 12);
  EXPECT_FALSE(head->expects_continue);
  EXPECT_TRUE(Parse("GET / HTTP/1.0").ok());
  EXPECT_TRUE(
      Parse("PUT / HTTP/1.1\r\nHost: x\r\nExpect: 100-Continue\r\nContent-Length: 1")->expects_continue);
  EXPECT_EQ(Parse("GET /%2e%2e/%00 HTTP/1.0")->request.path, "/%2e%2e/%00");  // nothing is decoded
}

TEST(HttpParse, WhatTwoReadersCouldReadInTwoWaysIsRefused) {
  const std::string start = "GET / HTTP/1.1\r\nHost: localhost";
  for (const std::string& lines : {std::string("GET /"),
                                   std::string("GET / HTTP/9.9"),
                                   std::string("GET /  HTTP/1.1"),
                                   std::string(" / HTTP/1.1"),
                                   std::string("GET http://localhost/ HTTP/1.1\r\nHost: localhost"),
                                   std::string("GET * HTTP/1.0"),
                                   std::string("GET /a b HTTP/1.0"),
                                   std::string("GET /\x01 HTTP/1.0"),
                                   std::string("GET /\xff HTTP/1.0"),
                                   std::string("G(T / HTTP/1.0"),
                                   std::string(20, 'G') + " / HTTP/1.0",
                                   std::string("GET / HTTP/1.1"),
                                   std::string("GET / HTTP/1.0\nHost: x"),
                                   start + "\r\nHost: evil.example",
                                   start + "\r\n folded",
                                   start + "\r\nName : x",
                                   start + "\r\n: x",
                                   start + "\r\nno colon",
                                   start + "\r\nX: a\nb",
                                   start + std::string("\r\nX: \0", 6),
                                   start + "\r\nTransfer-Encoding: chunked",
                                   start + "\r\nContent-Length: -5",
                                   start + "\r\nContent-Length: +5",
                                   start + "\r\nContent-Length: 5 5",
                                   start + "\r\nContent-Length:",
                                   start + "\r\nContent-Length: 0x5",
                                   start + "\r\nContent-Length: 5\r\nContent-Length: 5",
                                   start + "\r\nOrigin: a\r\norigin: b",
                                   start + "\r\nExpect: cookies"}) {
    const auto head = Parse(lines);
    EXPECT_EQ(head.status().code(), absl::StatusCode::kInvalidArgument) << lines;
  }
  EXPECT_TRUE(Parse(start + "\r\nCookie: a\r\nCookie: b").ok());
}

TEST(HttpParse, SizesAreBounded) {
  for (const char* length : {"1001", "999999999999", "99999999999999999999999999"}) {
    const auto head = Parse(absl::StrCat("GET / HTTP/1.0\r\nContent-Length: ", length));
    EXPECT_EQ(head.status().code(), absl::StatusCode::kOutOfRange) << length;
  }
  EXPECT_EQ(Parse("GET / HTTP/1.0\r\nContent-Length: 1000")->body_bytes, 1000);
  EXPECT_EQ(Parse("GET / HTTP/1.0\r\nContent-Length: 0000000000000000000000001")->body_bytes, 1);
  std::string many = "GET / HTTP/1.0";
  for (size_t i = 0; i < kMostHeaders; ++i) absl::StrAppend(&many, "\r\nX", i, ": y");
  EXPECT_TRUE(Parse(many).ok());
  EXPECT_THAT(std::string(Parse(many + "\r\nZ: y").status().message()), HasSubstr("too many"));
}

}  // namespace
}  // namespace lockstep
