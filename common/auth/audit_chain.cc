#include "common/auth/audit_chain.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "common/auth/token.h"

namespace lockstep {
namespace {

absl::Status Broken(const std::string& path, int64_t line, const std::string& how) {
  return absl::DataLossError(absl::StrCat("audit log ", path, ": line ", line, " ", how));
}

struct Chain {
  AuditSummary summary;
  std::string file;     // the last one read; empty: none
  int64_t in_file = 0;  // its lines
  bool seen = false;    // the hash that was noted
};

absl::Status ReadFile(const std::string& path, const std::string& noted, Chain* chain) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  AuditSummary& summary = chain->summary;
  int64_t here = 0;
  for (std::string line; std::getline(file, line); ++summary.lines) {
    ++here;
    const int64_t expected = summary.lines + 1;
    if (file.eof()) return Broken(path, here, "is cut off: it has no end");
    const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || !entry.contains("n") || !entry["n"].is_number_integer() ||
        !entry.contains("previous") || !entry["previous"].is_string()) {
      return Broken(path, here, "is not a line of an audit log: expected a JSON object with n and previous");
    }
    const auto number = entry["n"].get<int64_t>();
    if (entry["previous"].get<std::string>() != summary.head) {
      if (number != expected) {
        return Broken(path, here,
                      absl::StrCat("has the number ", number, ": what stood before it was taken out"));
      }
      if (expected == 1) return Broken(path, here, "was changed: it does not begin a chain");
      const std::string before = here > 1 ? absl::StrCat("line ", here - 1)
                                          : absl::StrCat("line ", chain->in_file, " of ", chain->file);
      return Broken(here > 1 ? path : chain->file, here > 1 ? here - 1 : chain->in_file,
                    absl::StrCat("was changed, or line ", here, here > 1 ? "" : absl::StrCat(" of ", path),
                                 " was: the SHA-256 of ", before, " is ", summary.head, ", but line ", here,
                                 " says ", entry["previous"].get<std::string>()));
    }
    if (number != expected) {
      return Broken(path, here, absl::StrCat("was changed: it has the number ", number));
    }
    summary.head = Sha256Hex(line);
    chain->seen = chain->seen || summary.head == noted;
  }
  ++summary.files;
  chain->file = path;
  chain->in_file = here;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<int64_t>> OlderAuditFiles(const std::string& path) {
  const std::filesystem::path whole = std::filesystem::absolute(path);
  const std::string prefix = whole.filename().string() + ".";
  std::vector<int64_t> found;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(whole.parent_path(), error), end; !error && entry != end;
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    int64_t number = 0;
    if (name.rfind(prefix, 0) == 0 && absl::SimpleAtoi(name.substr(prefix.size()), &number) && number > 0 &&
        name == prefix + std::to_string(number)) {
      found.push_back(number);
    }
  }
  if (error) {
    return absl::UnavailableError(
        absl::StrCat("cannot read the folder ", whole.parent_path().string(), ": ", error.message()));
  }
  std::sort(found.begin(), found.end());
  return found;
}

absl::StatusOr<AuditSummary> VerifyAuditLog(const std::string& path, const std::string& noted) {
  const auto older = OlderAuditFiles(path);
  if (!older.ok()) return absl::NotFoundError(older.status().message());
  Chain chain;
  chain.seen = noted.empty() || noted == kAuditStart;
  int64_t expected = 1;
  for (const int64_t number : *older) {
    if (number != expected) {
      return absl::DataLossError(
          absl::StrCat("audit log ", path, ".", expected, " is missing, but there is ", path, ".", number,
                       "; put it back if it was moved, so that all files of the log lie together"));
    }
    RETURN_IF_ERROR(ReadFile(absl::StrCat(path, ".", number), noted, &chain));
    ++expected;
  }
  RETURN_IF_ERROR(ReadFile(path, noted, &chain));
  if (!chain.seen) {
    return absl::DataLossError(absl::StrCat("audit log ", path, ": no line has the SHA-256 ", noted,
                                            "; its end was cut off, or the chain was made anew"));
  }
  return chain.summary;
}

}  // namespace lockstep
