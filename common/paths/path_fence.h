// What a client may make a process read. A fence is a set of folders; a path that somebody outside named (a
// dataset, its labels, a tokenizer, a checkpoint, pretrained weights) is opened beneath one of them by
// openat2(2) with RESOLVE_BENEATH, so that neither `..` nor a link nor a rename at the wrong moment leads
// out.
//
//   text (length, control characters, `..`) -> which folder it lies in -> openat2 beneath that folder
//
// A path is taken as it is written: nothing in it is decoded. A link that leads out, or that is absolute, is
// refused wherever it leads. Immutable once made; thread-safe.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace lockstep {

class PathFence {
 public:
  // No fence: whatever the process may read.
  PathFence() = default;

  // Around folders that exist; with "/" among them there is no fence, without any
  // folder nothing may be read. `flag` is what an operator sets it by.
  // FAILED_PRECONDITION: a folder cannot be opened, or the kernel has no openat2 (Linux before 5.6).
  static absl::StatusOr<PathFence> Around(const std::vector<std::string>& folders, const std::string& flag);

  bool fenced() const { return state_ != nullptr; }
  std::string folders() const;  // "/data, /models", for messages

  // open(2) of an existing file, without a fence as well; close-on-exec. -1 and errno, EXDEV: it lies
  // outside.
  int Open(const std::string& path, int flags) const;

  // Whether `path`, which stood in `field`, may be read; the last part of it may be a pattern, as may any
  // before it ("/data/*/part-?.txt"): what the pattern finds is to be checked by itself. INVALID_ARGUMENT: it
  // is no path that anybody means. PERMISSION_DENIED: it lies outside. NOT_FOUND: nothing is there, with a
  // fence alone. Messages name the field, the value, the folders and what to do.
  absl::Status Check(std::string_view field, const std::string& path, bool pattern = false) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// Whether this could name a file at all: no control character, no part longer than a name may be.
absl::Status CheckPathText(std::string_view field, std::string_view path);

// The process's own fence, which whoever reads a named file of its obeys; none until one is set. Set it
// before other threads read.
const PathFence& ReadFence();
void SetReadFence(PathFence fence);

// The content of a regular file inside of the process's fence. NOT_FOUND, PERMISSION_DENIED;
// INVALID_ARGUMENT: it is something else, or larger than `limit`. Messages begin with the path.
absl::StatusOr<std::string> ReadNamedFile(const std::string& path, size_t limit);

// Up to so many bytes that it begins with; none if it cannot be read.
std::string ReadNamedHead(const std::string& path, size_t bytes);

}  // namespace lockstep
