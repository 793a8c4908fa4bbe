#include "coordinator/server/model_files.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "common/checkpoint/checkpoint.h"

namespace lockstep {

absl::Status ModelFiles::VerifyAndList() {
  RETURN_IF_ERROR(VerifyCheckpoint(folder_));
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (entry->symlink_status(error).type() == std::filesystem::file_type::regular) {
      files_.push_back(entry->path().filename());
    }
  }
  if (error) return absl::UnavailableError(absl::StrCat(folder_, ": ", error.message()));
  std::sort(files_.begin(), files_.end());
  verified_ = true;
  return absl::OkStatus();
}

absl::StatusOr<Pull> ModelFiles::Next(v1::DownloadModelResponse* message) {
  if (!verified_) RETURN_IF_ERROR(VerifyAndList());
  if (chunks_ != nullptr && chunks_->done()) {
    chunks_.reset();
    ++file_;
  }
  if (file_ == files_.size()) return Pull::kEnd;
  message->Clear();
  message->set_file(files_[file_]);
  if (chunks_ == nullptr) {
    const std::string path = absl::StrCat(folder_, "/", files_[file_]);
    std::error_code error;
    size_ = static_cast<int64_t>(std::filesystem::file_size(path, error));
    if (error) return absl::UnavailableError(absl::StrCat(path, ": ", error.message()));
    ASSIGN_OR_RETURN(chunks_, FileChunks::Open(path, 0, size_, size_));
  }
  message->set_size(size_);
  message->set_offset(chunks_->position());
  if (!chunks_->done())
    RETURN_IF_ERROR(chunks_->Read(message->mutable_data()));  // an empty file is one empty chunk
  return Pull::kMessage;
}

}  // namespace lockstep
