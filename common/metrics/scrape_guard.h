// Who may read /metrics: whoever sends the bearer token that a file holds. Prometheus sends it with
// `authorization: { credentials_file: ... }`. The file is read at each scrape, so that another token needs no
// restart. Thread-safe.
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

class ScrapeGuard {
 public:
  // `token_file` empty: everybody may. FAILED_PRECONDITION: it cannot be read, or holds no token of at least
  // kShortestToken characters on one line.
  static absl::StatusOr<ScrapeGuard> Open(const std::string& token_file, const std::string& flag);

  // UNAUTHENTICATED: `authorization` (the header; empty: none) is not "Bearer TOKEN". UNAVAILABLE: the file
  // cannot be read any more, and nobody is let in.
  absl::Status Admit(std::string_view authorization) const;

  static constexpr size_t kShortestToken = 16;

 private:
  ScrapeGuard(std::string token_file, std::string flag)
      : token_file_(std::move(token_file)), flag_(std::move(flag)) {}

  std::string token_file_, flag_;
};

}  // namespace lockstep
