#include "worker/agent/dataset_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/time/clock.h"
#include "common/data/dataset_files.h"
#include "common/logging/logging.h"
#include "common/paths/path_fence.h"
#include "worker/agent/backoff.h"

namespace lockstep {
namespace {

// The size of a regular file that we may read; nullopt if it is none.
std::optional<int64_t> ReadableSize(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  if (::access(path.c_str(), R_OK) != 0) return std::nullopt;
  return info.st_size;
}

// A path that the dataset was registered under may name another file here.
bool MayBeRead(const std::vector<std::string>& files) {
  return std::all_of(files.begin(), files.end(),
                     [](const std::string& file) { return ReadFence().Check("dataset.path", file).ok(); });
}

// True if the files are there and, together, as large as the registered dataset.
bool AreHere(const std::vector<std::string>& files, int64_t bytes) {
  int64_t total = 0;
  for (const std::string& file : files) {
    const std::optional<int64_t> size = ReadableSize(file);
    if (!size.has_value()) return false;
    total += *size;
  }
  return total == bytes;
}

// Names come from the coordinator: only what is plainly a file name may become one.
std::string SafeName(const std::string& path) {
  std::string name = std::filesystem::path(path).filename().string();
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-' && c != '_') c = '_';
  }
  return name.substr(name.size() > 100 ? name.size() - 100 : 0);
}

// What the files are called in the cache. A row of many keeps them apart by number.
std::vector<std::string> CacheNames(const v1::Dataset& dataset, const std::string& folder) {
  std::vector<std::string> names;
  const std::vector<std::string> files = FilesOf(dataset);
  const size_t tokenizer = files.size() - static_cast<size_t>(dataset.tokenizer_files_size());
  for (size_t i = 0; i < files.size(); ++i) {
    const std::string number = dataset.files_size() > 1 ? absl::StrCat("-", i) : "";
    const char* const kind = i >= tokenizer                                         ? "tokenizer"
                             : !dataset.labels_path().empty() && i + 1 == tokenizer ? "labels"
                                                                                    : "data";
    names.push_back(absl::StrCat(folder, "/", kind, number, "-", SafeName(files[i])));
  }
  return names;
}

class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

// Waits for the lock in steps, so that a Stop can end the wait.
absl::Status Lock(int fd, const std::string& path, const std::atomic<bool>& cancelled) {
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot lock ", path));
    if (cancelled) return absl::CancelledError("stopped while another fetch of the dataset was running");
    absl::SleepFor(absl::Milliseconds(20));
  }
  return absl::OkStatus();
}

absl::Status Append(int fd, const std::string& data, const std::string& path) {
  for (size_t done = 0; done < data.size();) {
    const ssize_t n = ::write(fd, data.data() + done, data.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", path));
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

// How far a fetch got: whole shards of so many, and the bytes they make up.
struct Progress {
  int64_t done = 0;
  int64_t shards = 0;
  int64_t bytes = 0;
};

Progress ReadProgress(const std::string& path, int64_t shards) {
  Progress progress;
  std::ifstream in(path);
  if (in >> progress.done >> progress.shards >> progress.bytes && progress.shards == shards &&
      progress.done >= 0 && progress.done <= shards && progress.bytes >= 0) {
    return progress;
  }
  return {0, shards, 0};
}

}  // namespace

DatasetCache::DatasetCache(Options options, ShardReader reader)
    : options_(std::move(options)), reader_(std::move(reader)) {}

absl::StatusOr<v1::Dataset> DatasetCache::Localize(v1::Dataset dataset, const std::atomic<bool>& cancelled) {
  if (const auto files = FilesOf(dataset); MayBeRead(files) && AreHere(files, dataset.bytes()))
    return dataset;
  const std::string& fingerprint = dataset.fingerprint();
  if (fingerprint.empty() || !std::all_of(fingerprint.begin(), fingerprint.end(),
                                          [](unsigned char c) { return absl::ascii_isxdigit(c); })) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset ", dataset.name(), ": fingerprint '", fingerprint, "' is not hexadecimal"));
  }
  const std::string folder = absl::StrCat(options_.directory, "/", fingerprint);
  const std::vector<std::string> files = CacheNames(dataset, folder);
  if (!AreHere(files, dataset.bytes())) {
    std::error_code error;
    std::filesystem::create_directories(folder, error);
    if (error) {
      return absl::UnavailableError(absl::StrCat("cannot make the dataset cache ", folder, ": ",
                                                 error.message(), "; choose another folder with --data-dir"));
    }
    const std::string lock_path = absl::StrCat(folder, "/.lock");
    File lock(lock_path, O_RDWR | O_CREAT);
    if (lock.fd() < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot open ", lock_path));
    RETURN_IF_ERROR(Lock(lock.fd(), lock_path, cancelled));
    if (!AreHere(files, dataset.bytes())) {
      LogInfo("fetching dataset", {{"dataset", dataset.name()}, {"bytes", dataset.bytes()}, {"to", folder}});
      for (size_t i = 0; i < files.size(); ++i) {
        RETURN_IF_ERROR(Fetch(dataset, static_cast<int>(i), files[i], cancelled));
      }
    }
    if (!AreHere(files, dataset.bytes())) {
      for (const std::string& file : files) std::filesystem::remove(file, error);
      return absl::DataLossError(absl::StrCat(
          "dataset ", dataset.name(), "@", dataset.version(), ": the copy from the coordinator is not ",
          dataset.bytes(), " bytes; the file has probably changed since it was registered"));
    }
  }
  SetFiles(files, &dataset);
  return dataset;
}

absl::Status DatasetCache::Fetch(const v1::Dataset& dataset, int file, const std::string& target,
                                 const std::atomic<bool>& cancelled) {
  const std::string part = target + ".part", state = target + ".progress";
  const int64_t shards = std::clamp<int64_t>(dataset.bytes() / options_.shard_bytes + 1, 1, 1 << 20);
  Progress progress = ReadProgress(state, shards);
  File out(part, O_RDWR | O_CREAT);
  struct stat info;
  if (out.fd() < 0 || ::fstat(out.fd(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", part));
  }
  if (info.st_size < progress.bytes) progress = {0, shards, 0};

  Backoff backoff(absl::Milliseconds(50), absl::Seconds(1));
  absl::Time give_up = absl::Now() + options_.retry_for;
  while (progress.done < shards) {
    if (::ftruncate(out.fd(), progress.bytes) != 0 || ::lseek(out.fd(), 0, SEEK_END) < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", part));
    }
    v1::ReadShardRequest request;
    request.set_dataset(absl::StrCat(dataset.name(), "@", dataset.version()));
    request.set_file(file);
    request.set_shard(progress.done);
    request.set_shards(shards);
    int64_t bytes = progress.bytes;
    const absl::Status status = reader_(request, [&](const v1::ReadShardResponse& chunk) -> absl::Status {
      if (cancelled) return absl::CancelledError("stopped while the dataset was being fetched");
      if (chunk.offset() != bytes) {
        return absl::DataLossError(absl::StrCat("dataset ", request.dataset(), ": expected bytes from ",
                                                bytes, " on, the coordinator sent ", chunk.offset()));
      }
      RETURN_IF_ERROR(Append(out.fd(), chunk.data(), part));
      bytes += static_cast<int64_t>(chunk.data().size());
      options_.on_bytes(static_cast<int64_t>(chunk.data().size()));
      return absl::OkStatus();
    });
    if (cancelled) return absl::CancelledError("stopped while the dataset was being fetched");
    if (status.ok()) {
      progress = {progress.done + 1, shards, bytes};
      std::ofstream(state) << progress.done << ' ' << shards << ' ' << bytes << '\n';
      backoff.Reset();
      give_up = absl::Now() + options_.retry_for;
    } else if (status.code() == absl::StatusCode::kUnavailable && absl::Now() < give_up) {
      absl::SleepFor(backoff.Next());
    } else {
      return Annotate(status,
                      absl::StrCat("cannot fetch dataset ", request.dataset(), " from the coordinator"));
    }
  }
  if (::fsync(out.fd()) != 0 || ::rename(part.c_str(), target.c_str()) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", target));
  }
  std::error_code ignored;
  std::filesystem::remove(state, ignored);
  return absl::OkStatus();
}

}  // namespace lockstep
