// What stat() says of a file, to tell without reading whether it is still the one that was read.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

#include "common/base/status.h"

namespace lockstep {

struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t bytes = 0;
  int64_t modified_nanos = 0;  // of the content
  int64_t changed_nanos = 0;   // of content or attributes: a tool may set the time above back, not this one

  friend bool operator==(const FileIdentity&, const FileIdentity&) = default;

  std::string ToKey() const;

  // False while another write within the clock's granularity could leave no trace.
  bool Settled(int64_t now_nanos) const;
};

FileIdentity IdentityOf(const struct stat& info);

// NOT_FOUND, PERMISSION_DENIED or INVALID_ARGUMENT with the path.
absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path);

}  // namespace lockstep
