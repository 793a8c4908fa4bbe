#include "common/metrics/scrape_guard.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace lockstep {
namespace {

constexpr size_t kLargestFile = 4096;
constexpr std::string_view kScheme = "Bearer ";

absl::StatusOr<std::string> ReadToken(const std::string& path, const std::string& flag) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kLargestFile + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(0, file.gcount())));
  if (file.bad() || (text.empty() && !file.is_open())) {
    return absl::FailedPreconditionError(
        absl::StrCat(flag, " ", path, " cannot be read: ", std::strerror(errno)));
  }
  const absl::string_view token = absl::StripAsciiWhitespace(text);
  const bool printable = std::all_of(
      token.begin(), token.end(), [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
  if (printable && token.size() >= ScrapeGuard::kShortestToken && text.size() <= kLargestFile) {
    return absl::StatusOr<std::string>(absl::in_place, token.data(), token.size());
  }
  return absl::FailedPreconditionError(
      absl::StrCat(flag, " ", path, ": expected a token of at least ", ScrapeGuard::kShortestToken,
                   " printable characters on one line, such as `openssl rand -hex 32` makes"));
}

bool Same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

absl::StatusOr<ScrapeGuard> ScrapeGuard::Open(const std::string& token_file, const std::string& flag) {
  if (!token_file.empty()) RETURN_IF_ERROR(ReadToken(token_file, flag).status());
  return ScrapeGuard(token_file, flag);
}

absl::Status ScrapeGuard::Admit(std::string_view authorization) const {
  if (token_file_.empty()) return absl::OkStatus();
  const auto token = ReadToken(token_file_, flag_);
  if (!token.ok()) return absl::UnavailableError(token.status().message());
  if (authorization.starts_with(kScheme) && Same(authorization.substr(kScheme.size()), *token)) {
    return absl::OkStatus();
  }
  return absl::UnauthenticatedError(absl::StrCat("/metrics asks for the token in ", flag_,
                                                 "'s file: send Authorization: Bearer TOKEN "
                                                 "(Prometheus: authorization.credentials_file)"));
}

}  // namespace lockstep
