#include "common/data/file_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>
#include <new>

#include "absl/cleanup/cleanup.h"
#include "common/paths/path_fence.h"

namespace lockstep {
namespace {

absl::Status OpenError(const std::string& path, int error) {
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return absl::NotFoundError(absl::StrCat(
          path,
          ": no such file; dataset.path is read on the coordinator's host, relative to the spec's folder"));
    case EXDEV:
      return absl::PermissionDeniedError(absl::StrCat(path, ": lies outside of ", ReadFence().folders(),
                                                      ", or a link leads out; files are read there alone"));
    case EACCES:
    case EPERM:
      return absl::PermissionDeniedError(
          absl::StrCat(path,
                       ": cannot be read: permission denied; the user that runs lockstep needs read "
                       "permission on the file and search permission on its folders"));
    default:
      return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be opened: ", std::strerror(error)));
  }
}

absl::StatusOr<std::shared_ptr<std::string>> ReadAll(int fd, const std::string& path, size_t size) {
  auto bytes = std::make_shared<std::string>();
  bytes->resize(size);
  size_t at = 0;
  while (at < size) {
    const ssize_t got = ::read(fd, bytes->data() + at, size - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
    }
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(path, ": shrank from ", size, " to ", at,
                                              " bytes while it was read; wait until its writer is done"));
    }
    at += static_cast<size_t>(got);
  }
  return bytes;
}

}  // namespace

absl::StatusOr<std::string> Inflate(std::string_view stored, size_t limit) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) return absl::ResourceExhaustedError("zlib could not be set up");
  absl::Cleanup end = [&stream] { inflateEnd(&stream); };
  constexpr size_t kChunk = size_t{1} << 30;  // zlib counts in 32 bits
  std::string content;
  size_t in = 0, out = 0;
  bool member_ended = false;
  try {
    while (true) {
      if (member_ended) {
        // Zero padding may follow the last member, another member may follow any.
        while (in < stored.size() && stored[in] == 0) ++in;
        if (in == stored.size()) break;
        inflateReset(&stream);
        member_ended = false;
      }
      if (out == content.size()) {
        if (out >= limit) {
          return absl::InvalidArgumentError(
              absl::StrCat("the gzip stream decompresses to more than ", limit,
                           " bytes; decompress it and register the plain file"));
        }
        content.resize(std::min(limit, std::max({content.size() * 2, stored.size() * 3, size_t{1} << 16})));
      }
      const size_t give = std::min(kChunk, stored.size() - in);
      const size_t room = std::min(kChunk, content.size() - out);
      stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stored.data() + in));
      stream.avail_in = static_cast<uInt>(give);
      stream.next_out = reinterpret_cast<Bytef*>(content.data() + out);
      stream.avail_out = static_cast<uInt>(room);
      const int code = inflate(&stream, Z_NO_FLUSH);
      const size_t took = give - stream.avail_in, made = room - stream.avail_out;
      in += took;
      out += made;
      if (code == Z_STREAM_END) {
        member_ended = true;
      } else if (code == Z_DATA_ERROR || code == Z_NEED_DICT) {
        return absl::InvalidArgumentError(absl::StrCat("the gzip stream is corrupt at byte ", in, " (",
                                                       stream.msg ? stream.msg : "bad data",
                                                       "); copy or download the file again"));
      } else if (code == Z_MEM_ERROR) {
        return absl::ResourceExhaustedError("no memory left to decompress the file");
      } else if (in == stored.size() && made == 0) {
        return absl::InvalidArgumentError(
            absl::StrCat("the gzip stream is truncated: it ends after ", stored.size(),
                         " bytes in the middle of the data; copy or download the file again"));
      }
    }
    content.resize(out);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("no memory left to decompress the file");
  }
  return content;
}

absl::StatusOr<FileBytes> FileBytes::Open(const std::string& path) { return Open(path, true); }
absl::StatusOr<FileBytes> FileBytes::OpenStored(const std::string& path) { return Open(path, false); }

absl::StatusOr<FileBytes> FileBytes::Open(const std::string& path, bool decompress) {
  if (path.empty()) return absl::InvalidArgumentError("dataset.path is empty: give the file's path");
  // O_NONBLOCK: a FIFO must not hold us up; it is refused below.
  const int fd = ReadFence().Open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return OpenError(path, errno);
  absl::Cleanup close = [fd] { ::close(fd); };
  struct stat info {};
  if (::fstat(fd, &info) != 0) return OpenError(path, errno);
  if (S_ISDIR(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory; expected a file"));
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is not a regular file; expected a file with data"));
  }
  if (info.st_size == 0) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is empty; expected a file with data"));
  }
  const size_t size = static_cast<size_t>(info.st_size);
  FileBytes file;
  try {
    if (size > kMapBytes) {
      void* mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
      if (mapped == MAP_FAILED) return OpenError(path, errno);
      ::madvise(mapped, size, MADV_SEQUENTIAL);
      file.stored_owner_ = std::shared_ptr<const void>(
          mapped, [size](const void* at) { ::munmap(const_cast<void*>(at), size); });
      file.stored_ = {static_cast<const char*>(mapped), size};
    } else {
      ASSIGN_OR_RETURN(auto bytes, ReadAll(fd, path, size));
      file.stored_ = *bytes;
      file.stored_owner_ = std::move(bytes);
    }
    file.content_ = file.stored_;
    if (decompress && size >= 2 && file.stored_[0] == '\x1f' && file.stored_[1] == '\x8b') {
      absl::StatusOr<std::string> inflated = Inflate(file.stored_, kMaxInflatedBytes);
      if (!inflated.ok()) return Annotate(inflated.status(), path);
      if (inflated->empty()) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": decompresses to nothing; the file is empty"));
      }
      auto owner = std::make_shared<std::string>(*std::move(inflated));
      file.content_ = *owner;
      file.content_owner_ = std::move(owner);
    }
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(path, ": no memory left to read ", size, " bytes"));
  }
  return file;
}

std::string AbsolutePath(const std::string& path) {
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

}  // namespace lockstep
