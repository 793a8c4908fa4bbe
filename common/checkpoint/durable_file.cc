#include "common/checkpoint/durable_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>
#if defined(__x86_64__)
#include <xxh_x86dispatch.h>  // the widest vectors of this machine
#endif

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "common/paths/path_fence.h"

namespace lockstep {
namespace {

constexpr size_t kChunk = size_t{1} << 20;  // hashed while it is still in the cache, then written

DiskHook* g_hook = nullptr;

absl::Status Hook(absl::string_view call, const std::string& path) {
  if (g_hook == nullptr) return absl::OkStatus();
  const int error = g_hook->Before(call, path);
  return error == 0 ? absl::OkStatus() : DiskError(error, call, path);
}

}  // namespace

DiskHook* SetDiskHookForTest(DiskHook* hook) { return std::exchange(g_hook, hook); }

absl::Status DiskError(int error, absl::string_view call, const std::string& path) {
  const std::string what = absl::StrCat(call, " ", path, ": ", std::generic_category().message(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::ResourceExhaustedError(absl::StrCat(what, "; free space there or write elsewhere"));
    case ENOENT:
      return absl::NotFoundError(what);
    case EACCES:
    case EPERM:
    case EROFS:
      return absl::PermissionDeniedError(what);
    default:
      return absl::InternalError(what);
  }
}

struct FileWriter::State {
  std::string path;
  int fd = -1;
  int64_t bytes = 0;
  XXH3_state_t* xxh3 = nullptr;
  EVP_MD_CTX* sha256 = nullptr;
  std::string sha256_hex;

  ~State() {
    if (fd >= 0) close(fd);
    XXH3_freeState(xxh3);
    EVP_MD_CTX_free(sha256);
  }
};

FileWriter::FileWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
FileWriter::FileWriter(FileWriter&&) noexcept = default;
FileWriter::~FileWriter() = default;

absl::StatusOr<FileWriter> FileWriter::Create(const std::string& path, bool with_sha256) {
  auto state = std::make_unique<State>();
  state->path = path;
  state->xxh3 = XXH3_createState();
  if (state->xxh3 == nullptr || XXH3_64bits_reset(state->xxh3) != XXH_OK) {
    return absl::InternalError(absl::StrCat(path, ": cannot make an XXH3 state: out of memory?"));
  }
  if (with_sha256) {
    state->sha256 = EVP_MD_CTX_new();
    if (state->sha256 == nullptr || EVP_DigestInit_ex(state->sha256, EVP_sha256(), nullptr) != 1) {
      return absl::InternalError(absl::StrCat(path, ": libcrypto offers no SHA-256"));
    }
  }
  RETURN_IF_ERROR(Hook("open", path));
  do {
    state->fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  } while (state->fd < 0 && errno == EINTR);
  if (state->fd < 0) return DiskError(errno, "open", path);
  return FileWriter(std::move(state));
}

absl::Status FileWriter::Append(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const size_t chunk = std::min(bytes, kChunk);
    XXH3_64bits_update(state_->xxh3, at, chunk);
    if (state_->sha256 != nullptr && EVP_DigestUpdate(state_->sha256, at, chunk) != 1) {
      return absl::InternalError(absl::StrCat(state_->path, ": libcrypto's SHA-256 failed"));
    }
    for (size_t done = 0; done < chunk;) {
      RETURN_IF_ERROR(Hook("write", state_->path));
      const size_t limit = g_hook != nullptr ? g_hook->WriteLimit(chunk - done) : chunk - done;
      const ssize_t written = write(state_->fd, at + done, limit);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return DiskError(errno, "write", state_->path);
      if (written == 0) return DiskError(ENOSPC, "write", state_->path);
      done += static_cast<size_t>(written);
    }
    at += chunk;
    bytes -= chunk;
    state_->bytes += static_cast<int64_t>(chunk);
  }
  return absl::OkStatus();
}

absl::Status FileWriter::Finish() {
  RETURN_IF_ERROR(Hook("fsync", state_->path));
  if (fsync(state_->fd) != 0) return DiskError(errno, "fsync", state_->path);
  RETURN_IF_ERROR(Hook("close", state_->path));
  // Linux has closed it even where close reports an error: never twice.
  if (close(std::exchange(state_->fd, -1)) != 0) return DiskError(errno, "close", state_->path);
  if (state_->sha256 != nullptr) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int length = 0;
    if (EVP_DigestFinal_ex(state_->sha256, digest, &length) != 1) {
      return absl::InternalError(absl::StrCat(state_->path, ": libcrypto's SHA-256 failed"));
    }
    state_->sha256_hex = absl::BytesToHexString({reinterpret_cast<const char*>(digest), length});
  }
  return absl::OkStatus();
}

int64_t FileWriter::bytes() const { return state_->bytes; }
uint64_t FileWriter::xxh3() const { return XXH3_64bits_digest(state_->xxh3); }
std::string FileWriter::sha256() const { return state_->sha256_hex; }

absl::StatusOr<RegularFile> RegularFile::Open(const std::string& path) {
  int fd;
  do {  // O_NONBLOCK: a FIFO in the place of a file must not hang us
    fd = ReadFence().Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return DiskError(errno, "open", path);
  struct stat info;
  const int result = fstat(fd, &info);
  if (result == 0 && S_ISREG(info.st_mode)) return RegularFile(fd, info.st_size);
  const absl::Status status = result != 0 ? DiskError(errno, "fstat", path)
                                          : absl::DataLossError(absl::StrCat(path, ": not a regular file"));
  close(fd);
  return status;
}
RegularFile::RegularFile(RegularFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}
RegularFile::~RegularFile() {
  if (fd_ >= 0) close(fd_);
}

namespace {

// Feeds the whole file to `consume` in pieces.
template <typename Consume>
absl::Status ReadAll(const std::string& path, const RegularFile& file, const Consume& consume) {
  std::vector<char> buffer(kChunk);
  for (;;) {
    const ssize_t got = read(file.fd(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return DiskError(errno, "read", path);
    if (got == 0) return absl::OkStatus();
    RETURN_IF_ERROR(consume(absl::string_view(buffer.data(), static_cast<size_t>(got))));
  }
}

}  // namespace

absl::StatusOr<std::string> ReadSmallFile(const std::string& path, int64_t limit) {
  ASSIGN_OR_RETURN(const RegularFile file, RegularFile::Open(path));
  std::string content;
  RETURN_IF_ERROR(ReadAll(path, file, [&](absl::string_view piece) {
    content.append(piece.data(), piece.size());
    if (static_cast<int64_t>(content.size()) <= limit) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than ", limit, " bytes"));
  }));
  return content;
}

absl::StatusOr<uint64_t> HashFile(const std::string& path, int64_t* bytes) {
  ASSIGN_OR_RETURN(const RegularFile file, RegularFile::Open(path));
  XXH3_state_t* state = XXH3_createState();
  if (state == nullptr || XXH3_64bits_reset(state) != XXH_OK) {
    XXH3_freeState(state);
    return absl::InternalError(absl::StrCat(path, ": cannot make an XXH3 state: out of memory?"));
  }
  const absl::Cleanup free_state = [state] { XXH3_freeState(state); };
  *bytes = 0;
  RETURN_IF_ERROR(ReadAll(path, file, [&](absl::string_view piece) {
    XXH3_64bits_update(state, piece.data(), piece.size());
    *bytes += static_cast<int64_t>(piece.size());
    return absl::OkStatus();
  }));
  return XXH3_64bits_digest(state);
}

uint64_t Xxh3(absl::string_view bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::string ParentDirectory(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

absl::Status MakeDirectory(const std::string& path) {
  RETURN_IF_ERROR(Hook("mkdir", path));
  if (mkdir(path.c_str(), 0755) != 0) return DiskError(errno, "mkdir", path);
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) == 0) {
    if (S_ISDIR(info.st_mode)) return absl::OkStatus();
    return absl::FailedPreconditionError(absl::StrCat(path, ": expected a folder, it is something else"));
  }
  if (errno != ENOENT) return DiskError(errno, "stat", path);
  const std::string parent = ParentDirectory(path);
  if (parent != path) RETURN_IF_ERROR(MakeDirectories(parent));
  RETURN_IF_ERROR(Hook("mkdir", path));
  // Another process may have made it in the meantime.
  if (mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) return DiskError(errno, "mkdir", path);
  return SyncDirectory(parent);
}

absl::Status SyncDirectory(const std::string& path) {
  RETURN_IF_ERROR(Hook("fsync", path));
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return DiskError(errno, "open", path);
  const int result = fsync(fd);
  const int error = errno;
  close(fd);
  return result == 0 ? absl::OkStatus() : DiskError(error, "fsync", path);
}

absl::Status RemoveTree(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (status.type() == fs::file_type::not_found) return absl::OkStatus();
  if (fs::is_directory(status)) {
    std::vector<std::string> entries;
    fs::directory_iterator at(path, error);
    for (; !error && at != fs::directory_iterator(); at.increment(error)) entries.push_back(at->path());
    if (error) return DiskError(error.value(), "read folder", path);
    for (const std::string& entry : entries) {
      RETURN_IF_ERROR(Hook("unlink", entry));
      fs::remove_all(entry, error);
      if (error) return DiskError(error.value(), "remove", entry);
    }
  }
  RETURN_IF_ERROR(Hook("rmdir", path));
  fs::remove(path, error);
  return error ? DiskError(error.value(), "remove", path) : absl::OkStatus();
}

absl::Status Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Hook("rename", to));
  if (rename(from.c_str(), to.c_str()) != 0) return DiskError(errno, "rename", to);
  return absl::OkStatus();
}

namespace {

// OK(false): this file system cannot.
absl::StatusOr<bool> Exchange(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Hook("exchange", to));
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return true;
  if (errno == EINVAL || errno == ENOSYS) return false;
  return DiskError(errno, "renameat2", to);
}

}  // namespace

absl::Status ReplaceDirectory(const std::string& from, const std::string& to) {
  const std::string parent = ParentDirectory(to);
  struct stat info;
  const bool there = lstat(to.c_str(), &info) == 0;
  if (!there) {
    RETURN_IF_ERROR(Rename(from, to));
    const absl::Status synced = SyncDirectory(parent);
    if (!synced.ok()) rename(to.c_str(), from.c_str());
    return synced;
  }
  ASSIGN_OR_RETURN(const bool exchanged, Exchange(from, to));
  std::string old = from;
  if (!exchanged) {
    old = absl::StrCat(from, ".old");
    RETURN_IF_ERROR(RemoveTree(old));
    RETURN_IF_ERROR(Rename(to, old));
    if (const absl::Status renamed = Rename(from, to); !renamed.ok()) {
      rename(old.c_str(), to.c_str());
      return renamed;
    }
  }
  if (const absl::Status synced = SyncDirectory(parent); !synced.ok()) {
    if (exchanged) {
      renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE);
    } else {
      rename(to.c_str(), from.c_str());
      rename(old.c_str(), to.c_str());
    }
    return synced;
  }
  // The new one is in place and durable: what stays of the old is a leftover that retention sweeps.
  RemoveTree(old).IgnoreError();
  return absl::OkStatus();
}

}  // namespace lockstep
