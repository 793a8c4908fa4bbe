#include "coordinator/tracking/tensorboard_sink.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "common/base/proto_time.h"
#include "common/spec/spec.h"
#include "coordinator/tracking/event_file.h"

namespace lockstep {
namespace {

absl::Status EventFileFailed(const std::string& what, const std::string& path) {
  return absl::UnavailableError(absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(errno)));
}

struct EventFd {
  ~EventFd() {
    if (fd >= 0) close(fd);
  }
  int fd = -1;
};

absl::Status SyncFolder(const std::string& folder) {
  EventFd opened{open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (opened.fd < 0 || fsync(opened.fd) != 0) return EventFileFailed("sync", folder);
  return absl::OkStatus();
}

absl::Status WriteWhole(int fd, std::string_view bytes, int64_t offset, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = pwrite(fd, bytes.data(), bytes.size(), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return EventFileFailed("write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
    offset += n;
  }
  return absl::OkStatus();
}

// What the file begins with: its version, and the job's spec as text.
std::string Header(const v1::Job& job) {
  const absl::Time time = FromProto(job.submitted_at());
  std::string spec = absl::StrCat("    ", SpecToYaml(job.spec()));
  for (size_t at = 0; (at = spec.find('\n', at)) != std::string::npos; at += 5) spec.replace(at, 1, "\n    ");
  const std::string text = absl::StrCat("job ", job.id(), ", spec ", SpecHash(job.spec()), ", dataset ",
                                        job.dataset_version(), "\n\n", spec);
  return absl::StrCat(TfRecord(FileVersionEvent(time)), TfRecord(TextEvent(time, 0, "spec", text)));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TensorboardSink>> TensorboardSink::Open(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return absl::FailedPreconditionError(absl::StrCat("cannot make the folder ", directory, ": ",
                                                      error.message(), "; check --tensorboard-dir"));
  }
  return std::unique_ptr<TensorboardSink>(new TensorboardSink(directory));
}

absl::Status TensorboardSink::Write(const v1::Job& job, const std::vector<PointChange>& points,
                                    TrackedJob* tracked) {
  std::string records;
  for (const PointChange& change : points) {
    records += TfRecord(ScalarsEvent(change.time, change.point.step(), change.point.values()));
  }
  return Append(job, records, tracked);
}

absl::Status TensorboardSink::End(const v1::Job& job, TrackedJob* tracked) {
  const v1::MetricPoint last = FinalPoint(job);
  if (last.values().empty()) return absl::OkStatus();
  return Append(job, TfRecord(ScalarsEvent(FromProto(job.finished_at()), last.step(), last.values())),
                tracked);
}

absl::Status TensorboardSink::Append(const v1::Job& job, const std::string& records, TrackedJob* tracked) {
  const std::string folder = absl::StrCat(directory_, "/", job.name(), "-", job.id());
  const std::string path = absl::StrCat(folder, "/events.out.tfevents.",
                                        absl::ToUnixSeconds(FromProto(job.submitted_at())), ".lockstep");
  std::error_code error;
  std::filesystem::create_directories(folder, error);  // if it fails, so does open
  EventFd file{open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)};
  if (file.fd < 0) return EventFileFailed("open", path);
  struct stat status;
  if (fstat(file.fd, &status) != 0) return EventFileFailed("look at", path);
  int64_t length = 0;
  if (!tracked->state.empty() && !absl::SimpleAtoi(tracked->state, &length)) {
    return absl::DataLossError(absl::StrCat("the position of ", path, " is '", tracked->state, "'"));
  }
  if (status.st_size < length) length = 0;  // somebody cleared it: begin anew
  if (ftruncate(file.fd, length) != 0) return EventFileFailed("cut", path);
  const std::string bytes = length == 0 ? Header(job) + records : records;
  RETURN_IF_ERROR(WriteWhole(file.fd, bytes, length, path));
  if (fdatasync(file.fd) != 0) return EventFileFailed("sync", path);
  if (length == 0) {
    RETURN_IF_ERROR(SyncFolder(folder));
    RETURN_IF_ERROR(SyncFolder(directory_));
  }
  tracked->state = absl::StrCat(length + static_cast<int64_t>(bytes.size()));
  return absl::OkStatus();
}

}  // namespace lockstep
