#include "coordinator/jobs/job_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <vector>

namespace lockstep {
namespace {

namespace fs = std::filesystem;

// The parts below the root: "jobs", id, ...; none if it lies elsewhere.
std::vector<std::string> PartsOf(const std::string& artifact_root, const std::string& path) {
  std::vector<std::string> parts;
  if (path.empty()) return parts;
  for (const fs::path& part :
       fs::path(path).lexically_normal().lexically_relative(fs::path(artifact_root).lexically_normal())) {
    if (part == "..") return {};
    if (!part.empty() && part != ".") parts.push_back(part.string());
  }
  if (parts.size() < 2 || parts[0] != "jobs") parts.clear();
  return parts;
}

absl::Status CannotRemove(const fs::path& path, const std::error_code& error) {
  const std::string text = absl::StrCat("cannot remove ", path.string(), ": ", error.message(),
                                        "; see who owns it, then delete the job again (`lockstep delete`)");
  const bool denied = error == std::errc::permission_denied || error == std::errc::operation_not_permitted ||
                      error == std::errc::read_only_file_system;
  return denied ? absl::PermissionDeniedError(text) : absl::InternalError(text);
}

// Links are removed, not followed.
int64_t BytesOf(const fs::path& path) {
  std::error_code error;
  if (fs::is_symlink(path, error)) return 0;
  if (fs::is_regular_file(path, error)) return static_cast<int64_t>(fs::file_size(path, error));
  int64_t bytes = 0;
  for (auto entry = fs::recursive_directory_iterator(path, error);
       !error && entry != fs::recursive_directory_iterator(); entry.increment(error)) {
    std::error_code gone;
    if (!entry->is_symlink(gone) && entry->is_regular_file(gone)) {
      const auto size = entry->file_size(gone);
      if (!gone) bytes += static_cast<int64_t>(size);
    }
  }
  return bytes;
}

absl::Status Remove(const fs::path& path, int64_t* freed) {
  const int64_t bytes = BytesOf(path);
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return CannotRemove(path, error);
  *freed += bytes;
  return absl::OkStatus();
}

// The folder's names are on disk: nobody else will look for what is left after the job's rows are gone.
void Sync(const fs::path& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace

std::string JobOfPath(const std::string& artifact_root, const std::string& path) {
  const std::vector<std::string> parts = PartsOf(artifact_root, path);
  return parts.empty() ? "" : parts[1];
}

bool IsInModel(const std::string& artifact_root, const std::string& path) {
  const std::vector<std::string> parts = PartsOf(artifact_root, path);
  return parts.size() > 2 && parts[2] == "model";
}

absl::StatusOr<int64_t> RemoveJobFiles(const std::string& artifact_root, const std::string& id,
                                       bool keep_model) {
  const fs::path folder = fs::path(artifact_root) / "jobs" / id;
  std::error_code error;
  int64_t freed = 0;
  if (!keep_model || !fs::exists(folder / "model", error)) {
    RETURN_IF_ERROR(Remove(folder, &freed));
    Sync(folder.parent_path());
    return freed;
  }
  std::vector<fs::path> others;
  for (auto entry = fs::directory_iterator(folder, error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    if (entry->path().filename() != "model") others.push_back(entry->path());
  }
  if (error) return CannotRemove(folder, error);
  for (const fs::path& path : others) RETURN_IF_ERROR(Remove(path, &freed));
  Sync(folder);
  return freed;
}

}  // namespace lockstep
