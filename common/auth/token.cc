#include "common/auth/token.h"

#include <fcntl.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"

namespace lockstep {
namespace {

constexpr char kPrefix[] = "lockstep_";  // so that scanners for leaked secrets find one
constexpr size_t kLongestToken = 512;

bool IsPlain(std::string_view text) {
  for (const unsigned char c : text) {
    if (!absl::ascii_isgraph(c)) return false;
  }
  return !text.empty() && text.size() <= kLongestToken;
}

absl::Status FileError(const std::string& path, const char* what) {
  return absl::FailedPreconditionError(
      absl::StrCat("cannot ", what, " the token file ", path, ": ", std::strerror(errno)));
}

}  // namespace

std::string NewToken() {
  unsigned char bytes[32];
  // A generator without entropy must not give tokens that can be guessed.
  if (RAND_bytes(bytes, sizeof bytes) != 1) std::abort();
  std::string text;
  absl::WebSafeBase64Escape(absl::string_view(reinterpret_cast<const char*>(bytes), sizeof bytes), &text);
  return kPrefix + text;
}

std::string Sha256Hex(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(digest), SHA256_DIGEST_LENGTH));
}

absl::StatusOr<std::string_view> TokenOfHeader(std::string_view header) {
  constexpr std::string_view kScheme = "bearer ";
  if (header.empty()) {
    return absl::UnauthenticatedError(
        "a token is needed; give one with --token-file or LOCKSTEP_TOKEN (an admin makes them with `lockstep "
        "token create`)");
  }
  if (!absl::StartsWithIgnoreCase(absl::string_view(header.data(), header.size()), "bearer ") ||
      !IsPlain(header.substr(kScheme.size()))) {
    return absl::UnauthenticatedError("the authorization is not of the form `Bearer TOKEN`");
  }
  return header.substr(kScheme.size());
}

absl::StatusOr<std::string> ReadTokenFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return FileError(path, "open");
  char buffer[kLongestToken + 2];
  const ssize_t size = read(fd, buffer, sizeof buffer);
  close(fd);
  if (size < 0) return FileError(path, "read");
  std::string token(buffer, static_cast<size_t>(size));
  absl::StripAsciiWhitespace(&token);
  if (IsPlain(token)) return token;
  return absl::InvalidArgumentError(
      absl::StrCat("the token file ", path, " holds ", token.empty() ? "nothing" : "something else",
                   "; expected one line with a token, as `lockstep token create` prints it"));
}

absl::Status WriteTokenFile(const std::string& path, std::string_view token) {
  const std::string text = absl::StrCat(std::string(token), "\n"), temporary = path + ".new";
  unlink(temporary.c_str());
  const int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return FileError(temporary, "make");
  const bool written =
      write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && fsync(fd) == 0;
  close(fd);
  if (!written || rename(temporary.c_str(), path.c_str()) != 0) return FileError(path, "write");
  const int folder =
      open(std::filesystem::path(path).parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    fsync(folder);
    close(folder);
  }
  return absl::OkStatus();
}

}  // namespace lockstep
