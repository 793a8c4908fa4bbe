#include "client/cli/errors.h"

#include "absl/strings/match.h"
#include "client/cli/exit_codes.h"

namespace lockstep {
namespace {

// Problems of the command line itself, found after the parse.
bool IsUsage(const absl::Status& status) {
  return absl::IsInvalidArgument(status) && absl::StartsWith(status.message(), "--");
}

std::string Hint(const absl::Status& status, const GlobalOptions& options) {
  const absl::string_view message = status.message();
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return absl::StrCat(
          "is lockstep-coordinator running? --coordinator (or LOCKSTEP_COORDINATOR) says where, now ",
          options.coordinator, "; `lockstep run SPEC` needs none");
    case absl::StatusCode::kNotFound:
      return absl::StrContains(message, "no job ") && !absl::StrContains(message, "lockstep jobs")
                 ? "`lockstep jobs` lists the jobs that there are"
                 : "";
    case absl::StatusCode::kUnimplemented:
      return "client and coordinator are of different versions; `lockstep version` tells the client's";
    case absl::StatusCode::kDeadlineExceeded:
      return "the coordinator is there, but did not answer in time; its log may say why";
    case absl::StatusCode::kDataLoss:
      return absl::StrContains(message, "checkpoint") ? "`lockstep checkpoints JOB` shows which are whole"
                                                      : "";
    case absl::StatusCode::kResourceExhausted:
      return absl::StrContains(message, "larger than max") ? "a message is limited to 16 MiB" : "";
    default:
      return "";
  }
}

}  // namespace

std::string ErrorText(const absl::Status& status, const GlobalOptions& options, const Style& style) {
  std::string message = Printable(std::string(status.message()));
  if (message.empty()) message = "the coordinator gave no reason";
  if (absl::IsResourceExhausted(status) && absl::StrContains(message, "larger than max")) {
    message = absl::StrCat("the message is over the size limit: ", message);
  }
  std::string text = absl::StrCat(style.Red("error:"), " ", message, "\n");
  const std::string hint = Hint(status, options);
  if (!hint.empty()) absl::StrAppend(&text, style.Dim("hint:"), " ", hint, "\n");
  return text;
}

int ExitCodeFor(const absl::Status& status) {
  if (status.ok()) return kExitSucceeded;
  if (absl::IsNotFound(status)) return kExitNotFound;
  if (absl::IsCancelled(status)) return kExitNotFinished;
  if (IsUsage(status)) return kExitUsage;
  return kExitError;
}

}  // namespace lockstep
