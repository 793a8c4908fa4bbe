// The bytes of one input file, as stored and, for a gzip file (recognised by its first two bytes), as they
// decompress. A plain file above kMapBytes is memory-mapped; a smaller one is copied, so that a writer who
// truncates it meanwhile cannot fault us. Immutable after Open; movable; safe to read from several threads.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace lockstep {

class FileBytes {
 public:
  static constexpr size_t kMapBytes = size_t{64} << 20;
  // Bound on what a gzip file may grow to: beyond it, the user is asked to decompress it once and for all.
  static constexpr size_t kMaxInflatedBytes = size_t{16} << 30;

  // NOT_FOUND or PERMISSION_DENIED for the file; INVALID_ARGUMENT: not a regular file, empty, or a broken
  // gzip.
  static absl::StatusOr<FileBytes> Open(const std::string& path);

  // Without decompressing: content() is stored().
  static absl::StatusOr<FileBytes> OpenStored(const std::string& path);

  std::string_view stored() const { return stored_; }    // what lies on disk
  std::string_view content() const { return content_; }  // decompressed

 private:
  static absl::StatusOr<FileBytes> Open(const std::string& path, bool decompress);

  std::shared_ptr<const void> stored_owner_;
  std::shared_ptr<const void> content_owner_;
  std::string_view stored_;
  std::string_view content_;
};

// The whole gzip stream `stored` (one or several members). INVALID_ARGUMENT: truncated, corrupt, or larger
// than `limit`. Messages begin without the file's name.
absl::StatusOr<std::string> Inflate(std::string_view stored, size_t limit);

// As a dataset's record names a file, wherever it is read from later.
std::string AbsolutePath(const std::string& path);

}  // namespace lockstep
