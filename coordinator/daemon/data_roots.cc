#include "coordinator/daemon/data_roots.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "common/net/address.h"
#include "common/paths/path_fence.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

absl::Status MakeRoot(const std::string& path, const char* flag) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("cannot make the folder ", path, ": ", error.message(), "; check ", flag));
}

bool Holds(const std::string& folder, const std::string& inner) {
  std::error_code error;
  const fs::path outer = fs::weakly_canonical(folder, error);
  const fs::path rest = fs::weakly_canonical(inner, error).lexically_relative(outer);
  return !rest.empty() && *rest.begin() != "..";
}

}  // namespace

absl::Status FenceReads(const CoordinatorFlags& flags) {
  ASSIGN_OR_RETURN(const HostPort address, ParseHostPort(flags.listen));
  const bool tokens = NeedsTokens(flags);
  std::vector<std::string> roots = flags.data_roots;
  if (roots.empty()) {
    if (!tokens && IsLoopback(address.host)) return absl::OkStatus();
    roots.push_back(absl::StrCat(flags.data_dir, "/datasets"));
    RETURN_IF_ERROR(MakeRoot(roots.back(), "--data-dir"));
  }
  RETURN_IF_ERROR(MakeRoot(flags.artifact_root, "--artifact-root"));
  roots.push_back(flags.artifact_root);
  for (const std::string& root : roots) {
    if (!tokens || !Holds(root, flags.data_dir)) continue;
    return absl::FailedPreconditionError(
        absl::StrCat(root == flags.artifact_root ? "--artifact-root " : "--data-root ", root,
                     " holds --data-dir ", flags.data_dir,
                     ", where the tokens are: clients that may read files in the one could read the other; ",
                     "choose a folder beside it, or below it"));
  }
  ASSIGN_OR_RETURN(PathFence fence, PathFence::Around(roots, "--data-root"));
  SetReadFence(std::move(fence));
  return absl::OkStatus();
}

}  // namespace lockstep
