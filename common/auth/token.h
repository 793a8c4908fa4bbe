// A bearer token: "lockstep_" and 256 random bits in base64url. Nothing keeps the token itself but its owner:
// the coordinator knows its SHA-256, which is enough to recognise it and useless to make it (no salt is
// needed: nobody guesses 256 bits). Plain functions.
#pragma once

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

std::string NewToken();

// SHA-256 in lower-case hex.
std::string Sha256Hex(std::string_view bytes);

// The token of a call's `authorization` metadata or header, "Bearer TOKEN". UNAUTHENTICATED says what is
// wrong with it, never what it is.
absl::StatusOr<std::string_view> TokenOfHeader(std::string_view header);

// The token in a file, without the line's end. INVALID_ARGUMENT, NOT_FOUND name the file.
absl::StatusOr<std::string> ReadTokenFile(const std::string& path);

// Makes (or replaces) a file that its owner alone can read, and returns when it is on disk.
absl::Status WriteTokenFile(const std::string& path, std::string_view token);

}  // namespace lockstep
