#include "worker/trainer/product_store.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/checkpoint/durable_file.h"
#include "spdlog/spdlog.h"

namespace lockstep {
namespace {

using engine::ProductChoices;

constexpr int64_t kMaxProductFileBytes = 4096;
constexpr char kHashTitle[] = "xxh3 ";

// The record of one shape, and a hash of it: a flipped digit would be another algorithm.
std::string FileOf(const ProductChoices& one) {
  const std::string text = one.ToText();
  return absl::StrCat(text, kHashTitle, absl::StrFormat("%016x", Xxh3(text)), "\n");
}

absl::StatusOr<ProductChoices> ReadFile(const std::string& path, const std::string& device,
                                        const std::string& shape) {
  ASSIGN_OR_RETURN(const std::string content, ReadSmallFile(path, kMaxProductFileBytes));
  const size_t end = content.rfind(kHashTitle);
  const std::string text = content.substr(0, end == std::string::npos ? 0 : end);
  ASSIGN_OR_RETURN(ProductChoices one, ProductChoices::Parse(text));
  if (content != FileOf(one)) return absl::DataLossError("its hash is another");
  if (one.device != device || one.of.size() != 1 || !one.of.contains(shape)) {
    return absl::DataLossError("it is of another device or shape");
  }
  return one;
}

}  // namespace

std::string ProductStore::FolderOf(const std::string& device) const {
  std::string name = device;
  for (char& c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '-') c = '_';
  }
  return absl::StrCat(folder_, "/", name);
}

ProductChoices ProductStore::Load(const std::string& device) const {
  ProductChoices choices;
  choices.device = device;
  std::error_code error;
  std::filesystem::directory_iterator at(FolderOf(device), error);
  for (; !error && at != std::filesystem::directory_iterator(); at.increment(error)) {
    const std::string shape = at->path().filename();
    if (shape.find('.') != std::string::npos) continue;  // half written
    absl::StatusOr<ProductChoices> one = ReadFile(at->path(), device, shape);
    if (one.ok()) {
      choices.of.merge(one->of);
    } else {
      spdlog::warn("{}: {}; this product is timed anew", at->path().string(),
                   std::string(one.status().message()));
    }
  }
  return choices;
}

absl::Status ProductStore::Enter(ProductChoices* choices) const {
  const std::string folder = FolderOf(choices->device);
  RETURN_IF_ERROR(MakeDirectories(folder));
  for (auto& [shape, algorithm] : choices->of) {
    const std::string path = absl::StrCat(folder, "/", shape);
    absl::StatusOr<ProductChoices> there = ReadFile(path, choices->device, shape);
    if (!there.ok()) {
      ProductChoices one;
      one.device = choices->device;
      one.of[shape] = algorithm;
      const std::string content = FileOf(one), temporary = absl::StrCat(path, ".", getpid());
      ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(temporary, /*with_sha256=*/false));
      RETURN_IF_ERROR(writer.Append(content.data(), content.size()));
      RETURN_IF_ERROR(writer.Finish());
      const bool is_new = absl::IsNotFound(there.status());
      if (is_new && link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) {
        return DiskError(errno, "link", path);
      }
      // A damaged one is nobody's.
      RETURN_IF_ERROR(is_new ? RemoveTree(temporary) : Rename(temporary, path));
      ASSIGN_OR_RETURN(there, ReadFile(path, choices->device, shape));
    }
    algorithm = there->of.at(shape);
  }
  return SyncDirectory(folder);
}

}  // namespace lockstep
