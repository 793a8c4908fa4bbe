// A job's model folder as a stream of files, verified before the first byte is sent.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/server/file_chunks.h"
#include "coordinator/server/stream_source.h"
#include "lockstep/v1/models.pb.h"

namespace lockstep {

// Files in the order of their names. The first Next verifies every checksum of the folder's manifest
// (DATA_LOSS), so it may take a while; all of them read files.
class ModelFiles : public StreamSource<v1::DownloadModelResponse> {
 public:
  explicit ModelFiles(std::string folder) : folder_(std::move(folder)) {}
  absl::StatusOr<Pull> Next(v1::DownloadModelResponse* message) override;

 private:
  absl::Status VerifyAndList();

  const std::string folder_;
  bool verified_ = false;
  std::vector<std::string> files_;
  size_t file_ = 0;
  int64_t size_ = 0;
  std::unique_ptr<FileChunks> chunks_;
};

}  // namespace lockstep
