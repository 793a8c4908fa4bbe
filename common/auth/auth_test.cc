#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "common/auth/audit_chain.h"
#include "common/auth/client_access.h"
#include "common/auth/role.h"
#include "common/auth/token.h"
#include "common/base/folder_for_test.h"

namespace lockstep {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::string FreshFolder() { return FolderForTest("auth"); }

std::string Written(const std::string& text) {
  const std::string path = FreshFolder() + "/file";
  std::ofstream(path) << text;
  return path;
}

TEST(Role, WorkersDoTheirOwnWorkAndNothingElse) {
  EXPECT_TRUE(Covers(Role::kSubmitter, Role::kViewer));
  EXPECT_FALSE(Covers(Role::kViewer, Role::kSubmitter));
  EXPECT_FALSE(Covers(Role::kWorker, Role::kViewer));
  EXPECT_FALSE(Covers(Role::kSubmitter, Role::kWorker));
  for (const Role role : {Role::kViewer, Role::kSubmitter, Role::kWorker, Role::kAdmin}) {
    EXPECT_TRUE(Covers(Role::kAdmin, role));
    EXPECT_TRUE(Covers(role, role));
    EXPECT_EQ(Covers(role, Role::kAdmin), role == Role::kAdmin);
    EXPECT_EQ(ParseRole(RoleName(role)), role);
  }
  EXPECT_EQ(ParseRole("root"), std::nullopt);
}

TEST(Token, TwoAreNeverAlike) {
  const std::string token = NewToken();
  EXPECT_EQ(token.size(), std::string("lockstep_").size() + 43) << token;  // 256 bits in base64
  EXPECT_NE(token, NewToken());
}

TEST(Token, Sha256IsThatOfTheStandard) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(TokenOfHeader, OnlyOneFormIsTaken) {
  const auto token = TokenOfHeader("bearer abc");
  ASSERT_TRUE(token.ok());
  EXPECT_EQ(*token, "abc");
  for (const std::string& header :
       {std::string(), std::string("abc"), std::string("Basic abc"), std::string("Bearer "),
        std::string("Bearer a b"), std::string("Bearer a\nb"), "Bearer " + std::string(513, 'x')}) {
    EXPECT_TRUE(absl::IsUnauthenticated(TokenOfHeader(header).status())) << header;
  }
}

TEST(TokenOfHeader, MessageDoesNotRepeatWhatCame) {
  EXPECT_THAT(std::string(TokenOfHeader("Basic secret").status().message()), Not(HasSubstr("secret")));
}

TEST(TokenFile, IsForItsOwnerAloneAndReadsBack) {
  const std::string path = FreshFolder() + "/admin.token";
  std::ofstream(path) << "old";  // for everybody
  ASSERT_TRUE(WriteTokenFile(path, "lockstep_x").ok());
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  const auto token = ReadTokenFile(path);
  ASSERT_TRUE(token.ok()) << token.status();
  EXPECT_EQ(*token, "lockstep_x");
}

TEST(TokenFile, WhatIsNoTokenIsNamedNotShown) {
  const std::string path = Written("two words\n");
  const absl::Status status = ReadTokenFile(path).status();
  EXPECT_THAT(std::string(status.message()), testing::AllOf(HasSubstr(path), Not(HasSubstr("two words"))));
  EXPECT_THAT(std::string(ReadTokenFile(path + "x").status().message()), HasSubstr("No such file"));
  EXPECT_FALSE(ReadTokenFile(Written("")).ok());
}

TEST(ClientAccess, FlagsWinOverVariables) {
  const std::string file = Written("from-file\n");
  ClientAccess access;
  access.token_file = file;
  ASSERT_TRUE(access
                  .Complete([](const char* name) {
                    return std::string(name == std::string("LOCKSTEP_TOKEN") ? "from-variable" : "");
                  })
                  .ok());
  EXPECT_EQ(*access.Token(), "from-file");
  ClientAccess without;
  ASSERT_TRUE(without
                  .Complete([](const char* name) {
                    return std::string(name == std::string("LOCKSTEP_TOKEN") ? "from-variable" : "");
                  })
                  .ok());
  EXPECT_EQ(*without.Token(), "from-variable");
}

TEST(ClientAccess, CertificateWithoutAuthorityIsRefused) {
  ClientAccess access;
  access.tls.cert = "c.pem";
  access.tls.key = "c.key";
  const absl::Status status = access.Complete([](const char*) { return std::string(); });
  EXPECT_THAT(std::string(status.message()), HasSubstr("--tls-ca"));
}

std::string Chain(int lines) {
  std::string text, head = kAuditStart;
  for (int i = 1; i <= lines; ++i) {
    const std::string line = absl::StrCat(R"({"n":)", i, R"(,"rpc":"x","previous":")", head, "\"}");
    head = Sha256Hex(line);
    absl::StrAppend(&text, line, "\n");
  }
  return text;
}

std::string Problem(const std::string& text, const std::string& noted = "") {
  return std::string(VerifyAuditLog(Written(text), noted).status().message());
}

TEST(VerifyAuditLog, WholeLogGivesTheLastHash) {
  const std::string text = Chain(3);
  const auto summary = VerifyAuditLog(Written(text), "");
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->lines, 3);
  const size_t last = text.rfind('\n', text.size() - 2) + 1;
  EXPECT_EQ(summary->head, Sha256Hex(text.substr(last, text.size() - last - 1)));
  EXPECT_EQ(VerifyAuditLog(Written(""), "")->lines, 0);
}

TEST(VerifyAuditLog, ChangedLineIsNamed) {
  for (int line = 1; line <= 4; ++line) {
    std::string text = Chain(5);
    size_t at = 0;
    for (int i = 1; i < line; ++i) at = text.find('\n', at) + 1;
    text[text.find("\"x\"", at) + 1] = 'y';
    EXPECT_THAT(Problem(text), HasSubstr(absl::StrCat("line ", line, " was changed"))) << line;
  }
}

TEST(VerifyAuditLog, LineTakenOutIsNamed) {
  std::string text = Chain(5);
  const size_t first = text.find('\n') + 1, second = text.find('\n', first) + 1;
  text.erase(first, second - first);
  EXPECT_THAT(Problem(text), HasSubstr("line 2 has the number 3"));
}

TEST(VerifyAuditLog, EveryCutByteIsSeen) {
  const std::string text = Chain(2);
  const size_t first = text.find('\n') + 1;
  for (size_t size = first + 1; size < text.size(); ++size) {
    EXPECT_THAT(Problem(text.substr(0, size)), HasSubstr("line 2")) << size;
  }
}

// One chain in files of 2 lines each: `audit.log.1`, ..., and the rest in `audit.log`, whose path it returns.
std::string ChainOfFiles(int lines) {
  std::string path = FreshFolder() + "/audit.log", text = Chain(lines);
  for (int file = 1; lines > 2; ++file, lines -= 2) {
    const size_t end = text.find('\n', text.find('\n') + 1) + 1;
    std::ofstream(absl::StrCat(path, ".", file)) << text.substr(0, end);
    text.erase(0, end);
  }
  std::ofstream(path) << text;
  return path;
}

TEST(VerifyAuditLog, AllFilesAreOneChainInTheOrderOfTheirNumbers) {
  const std::string path = ChainOfFiles(23);  // .10 comes after .9
  std::ofstream(path + ".bak") << "not of the log\n";
  std::ofstream(path + ".01") << "nor this\n";
  const auto summary = VerifyAuditLog(path, "");
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_EQ(summary->lines, 23);
  EXPECT_EQ(summary->files, 12);
  EXPECT_EQ(summary->head, VerifyAuditLog(Written(Chain(23)), "")->head);
  EXPECT_TRUE(VerifyAuditLog(path, VerifyAuditLog(Written(Chain(3)), "")->head).ok())
      << "noted in an older file";
}

TEST(VerifyAuditLog, TheFirstBreakIsNamedWithItsFile) {
  const struct {
    const char* file;
    size_t line;  // to be changed
    const char* said;
  } cases[] = {{".1", 1, "audit.log.1: line 1 was changed"},
               {".2", 1, "audit.log.2: line 1 was changed"},
               {".2", 2, "audit.log.2: line 2 was changed, or line 1 of "},
               {".3", 2, "audit.log.3: line 2 was changed, or line 1 of "}};
  for (const auto& one : cases) {
    const std::string path = ChainOfFiles(7);
    std::ifstream file(path + one.file);
    std::string text(std::istreambuf_iterator<char>(file), {});
    text[text.find("\"x\"", one.line == 1 ? 0 : text.find('\n')) + 1] = 'y';
    std::ofstream(path + one.file) << text;
    EXPECT_THAT(std::string(VerifyAuditLog(path, "").status().message()), HasSubstr(one.said)) << one.file;
  }
}

TEST(VerifyAuditLog, AFileThatIsGoneIsMissed) {
  for (const char* gone : {".1", ".2", ".3", ""}) {
    const std::string path = ChainOfFiles(7);
    std::filesystem::remove(path + gone);
    const absl::Status status = VerifyAuditLog(path, "").status();
    EXPECT_THAT(std::string(status.message()),
                HasSubstr(std::string(gone) == ".3" ? "audit.log: line 1 has the number 7"
                                                    : absl::StrCat("audit.log", gone)))
        << gone;
  }
}

TEST(VerifyAuditLog, ChainMadeAnewLacksTheNotedHash) {
  const std::string noted = VerifyAuditLog(Written(Chain(2)), "")->head;
  EXPECT_EQ(Problem(Chain(4), noted), "");
  EXPECT_THAT(Problem(Chain(1), noted), HasSubstr(noted));
}

}  // namespace
}  // namespace lockstep
