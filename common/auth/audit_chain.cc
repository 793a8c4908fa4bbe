#include "common/auth/audit_chain.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/auth/token.h"

namespace lockstep {
namespace {

absl::Status Broken(const std::string& path, int64_t line, const std::string& how) {
  return absl::DataLossError(absl::StrCat("audit log ", path, ": line ", line, " ", how));
}

}  // namespace

absl::StatusOr<AuditSummary> VerifyAuditLog(const std::string& path, const std::string& noted) {
  std::ifstream file(path);
  if (!file) return absl::NotFoundError(absl::StrCat("cannot read ", path, ": ", std::strerror(errno)));
  AuditSummary summary;
  bool seen = noted.empty() || noted == kAuditStart;
  for (std::string line; std::getline(file, line); ++summary.lines) {
    const int64_t here = summary.lines + 1;
    if (file.eof()) return Broken(path, here, "is cut off: it has no end");
    const auto entry = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!entry.is_object() || !entry.contains("n") || !entry["n"].is_number_integer() ||
        !entry.contains("previous") || !entry["previous"].is_string()) {
      return Broken(path, here, "is not a line of an audit log: expected a JSON object with n and previous");
    }
    const auto number = entry["n"].get<int64_t>();
    if (entry["previous"].get<std::string>() != summary.head) {
      if (number != here) {
        return Broken(path, here,
                      absl::StrCat("has the number ", number, ": what stood before it was taken out"));
      }
      if (here == 1) return Broken(path, here, "was changed: it does not begin a chain");
      return Broken(
          path, here - 1,
          absl::StrCat("was changed, or line ", here, " was: the SHA-256 of line ", here - 1, " is ",
                       summary.head, ", but line ", here, " says ", entry["previous"].get<std::string>()));
    }
    if (number != here) return Broken(path, here, absl::StrCat("was changed: it has the number ", number));
    summary.head = Sha256Hex(line);
    seen = seen || summary.head == noted;
  }
  if (!seen) {
    return absl::DataLossError(absl::StrCat("audit log ", path, ": no line has the SHA-256 ", noted,
                                            "; its end was cut off, or the chain was made anew"));
  }
  return summary;
}

}  // namespace lockstep
