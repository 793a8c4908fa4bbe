// Writes a downloaded model. Files grow under names that begin with ".partial-" and take their real names all
// at the end, so an interrupted download leaves nothing that looks like a model. The peer is not trusted: a
// file name cannot leave the folder, chunks must be contiguous and complete.
//
//   Add, Add, ... -> Finish      destroyed before Finish: the partial files are removed
//
// Not thread-safe.
#pragma once

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "lockstep/v1/models.pb.h"

namespace lockstep {

class ModelFolder {
 public:
  explicit ModelFolder(std::string folder);
  ~ModelFolder();
  ModelFolder(const ModelFolder&) = delete;
  ModelFolder& operator=(const ModelFolder&) = delete;

  absl::Status Add(const v1::DownloadModelResponse& chunk);
  // The files' names in order of arrival.
  absl::StatusOr<std::vector<std::string>> Finish();

 private:
  struct File {
    std::string name;
    int64_t size = 0;
    int64_t written = 0;
    std::ofstream stream;
  };

  absl::Status Open(const v1::DownloadModelResponse& chunk);
  absl::Status CloseLast();
  std::string PartialPath(const File& file) const;

  const std::string folder_;
  std::vector<File> files_;
  bool finished_ = false;
};

}  // namespace lockstep
