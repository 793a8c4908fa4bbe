#include "client/library/model_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace lockstep {
namespace {

bool IsBaseName(const std::string& name) {
  return !name.empty() && name.size() < 200 && name[0] != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

}  // namespace

ModelFolder::ModelFolder(std::string folder) : folder_(std::move(folder)) {}

ModelFolder::~ModelFolder() {
  if (finished_) return;
  for (const auto& file : files_) {
    std::error_code ignored;
    std::filesystem::remove(PartialPath(file), ignored);
  }
}

std::string ModelFolder::PartialPath(const File& file) const {
  return absl::StrCat(folder_, "/.partial-", file.name);
}

absl::Status ModelFolder::CloseLast() {
  if (files_.empty()) return absl::OkStatus();
  File& file = files_.back();
  if (file.written != file.size) {
    return absl::DataLossError(absl::StrCat("the download of ", file.name, " broke off after ", file.written,
                                            " of ", file.size, " bytes; try again"));
  }
  file.stream.close();
  if (file.stream.fail()) {
    return absl::ResourceExhaustedError(
        absl::StrCat(PartialPath(file), ": cannot be written: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status ModelFolder::Open(const v1::DownloadModelResponse& chunk) {
  RETURN_IF_ERROR(CloseLast());
  if (!IsBaseName(chunk.file())) {
    return absl::InvalidArgumentError(
        absl::StrCat("the coordinator sent a file named '", chunk.file(), "'; expected a plain name"));
  }
  if (std::any_of(files_.begin(), files_.end(), [&](const File& f) { return f.name == chunk.file(); })) {
    return absl::DataLossError(absl::StrCat("the coordinator sent ", chunk.file(), " twice"));
  }
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  if (error) return absl::PermissionDeniedError(absl::StrCat(folder_, ": cannot be made: ", error.message()));
  File& file = files_.emplace_back();
  file.name = chunk.file();
  file.size = chunk.size();
  file.stream.open(PartialPath(file), std::ios::binary | std::ios::trunc);
  if (!file.stream) {
    return absl::PermissionDeniedError(
        absl::StrCat(PartialPath(file), ": cannot be written: ", std::strerror(errno)));
  }
  return absl::OkStatus();
}

absl::Status ModelFolder::Add(const v1::DownloadModelResponse& chunk) {
  if (files_.empty() || files_.back().name != chunk.file()) RETURN_IF_ERROR(Open(chunk));
  File& file = files_.back();
  const auto bytes = static_cast<int64_t>(chunk.data().size());
  if (chunk.size() != file.size || chunk.offset() != file.written || bytes > file.size - file.written) {
    return absl::DataLossError(absl::StrCat("the download of ", file.name, " has a gap: expected offset ",
                                            file.written, " of ", file.size, " bytes, got ", bytes,
                                            " bytes at ", chunk.offset(), " of ", chunk.size()));
  }
  file.stream.write(chunk.data().data(), bytes);
  if (!file.stream) {
    return absl::ResourceExhaustedError(
        absl::StrCat(PartialPath(file), ": cannot be written: ", std::strerror(errno)));
  }
  file.written += bytes;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ModelFolder::Finish() {
  RETURN_IF_ERROR(CloseLast());
  if (files_.empty()) return absl::DataLossError("the coordinator sent a model without files");
  std::vector<std::string> names;
  for (const auto& file : files_) {
    std::error_code error;
    std::filesystem::rename(PartialPath(file), absl::StrCat(folder_, "/", file.name), error);
    if (error) {
      return absl::PermissionDeniedError(
          absl::StrCat(folder_, "/", file.name, ": cannot be replaced: ", error.message()));
    }
    names.push_back(file.name);
  }
  finished_ = true;
  return names;
}

}  // namespace lockstep
