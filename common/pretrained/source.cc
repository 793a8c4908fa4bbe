#include "common/pretrained/source.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/checkpoint/durable_file.h"
#include "common/paths/path_fence.h"
#include "common/spec/spec.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr char kField[] = "from.safetensors: ";
constexpr size_t kShown = 8;
constexpr size_t kLargestJson = size_t{64} << 20;

std::vector<std::string> NamesIn(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status Absent(const std::string& path) {
  const fs::path given = fs::path(path).lexically_normal();
  const fs::path bare = given.has_filename() ? given : given.parent_path();
  const fs::path folder = bare.has_parent_path() ? bare.parent_path() : fs::path(".");
  const std::string nearest = Nearest(bare.filename().string(), NamesIn(folder));
  return absl::NotFoundError(absl::StrCat(
      kField, path,
      ": no such file or folder; expected a safetensors file, a Hugging Face folder or a model's folder",
      nearest.empty() ? "" : absl::StrCat(". Did you mean ", (folder / nearest).string(), "?")));
}

bool IsPickle(absl::string_view name) {
  return absl::EndsWith(name, ".bin") || absl::EndsWith(name, ".pt") || absl::EndsWith(name, ".pth") ||
         absl::EndsWith(name, ".ckpt");
}

std::string HowToConvertPickle(const std::string& folder) {
  return absl::StrCat(
      "Save it as safetensors with PyTorch: python3 -c \"from transformers import "
      "AutoModelForCausalLM as M; M.from_pretrained('",
      folder, "').save_pretrained('", folder, "-safetensors')\"");
}

// A file that is plainly of another format is told by its first bytes.
absl::Status CheckFormat(const std::string& path, const std::string& given) {
  const std::string start = ReadNamedHead(path, 64);
  const auto refuse = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat(kField, given, what));
  };
  if (absl::StartsWith(start, "PK\x03\x04") || absl::StartsWith(start, "\x80\x02")) {
    return refuse(absl::StrCat(" is a PyTorch pickle, which runs code when it is read. ",
                               HowToConvertPickle(fs::path(path).parent_path().string())));
  }
  if (absl::StartsWith(start, "GGUF")) {
    return refuse(
        " is a GGUF file; expected safetensors, as the model's page on Hugging Face offers beside it");
  }
  if (absl::StartsWith(start, "version https://git-lfs")) {
    return refuse(" is a Git LFS pointer, not the weights; fetch them with: git lfs pull");
  }
  if (absl::EndsWith(path, ".json")) {
    return refuse(absl::StrCat(" is a JSON file, not the weights; name the folder that holds it: ",
                               fs::path(path).parent_path().string()));
  }
  return absl::OkStatus();
}

absl::Status NothingIn(const std::string& folder) {
  std::vector<std::string> files;
  bool pickle = false;
  for (const std::string& name : NamesIn(folder)) {
    if (absl::EndsWith(name, ".safetensors")) files.push_back(name);
    pickle = pickle || IsPickle(name);
  }
  std::string what =
      absl::StrCat(kField, folder, " holds neither model.safetensors nor model.safetensors.index.json");
  if (!files.empty()) {
    absl::StrAppend(&what, "; name one of its files: ",
                    absl::StrJoin(files.begin(),
                                  files.begin() + static_cast<int64_t>(std::min(files.size(), kShown)), ", "),
                    files.size() > kShown ? ", ..." : "");
  } else if (pickle) {
    absl::StrAppend(&what, ", but PyTorch pickles, which run code when they are read. ",
                    HowToConvertPickle(folder));
  }
  return absl::NotFoundError(what);
}

absl::StatusOr<std::vector<std::string>> Shards(const std::string& folder, const std::string& index) {
  ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(index, kLargestJson));
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object() || !parsed.contains("weight_map") || !parsed["weight_map"].is_object() ||
      parsed["weight_map"].empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kField, index, ": expected an object weight_map of tensors to files"));
  }
  std::set<std::string> names;
  for (const auto& [tensor, name] : parsed["weight_map"].items()) {
    if (!name.is_string() || name.get<std::string>().empty() ||
        name.get<std::string>().find('/') != std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat(kField, index, ": the file of ", tensor, " is not a name in this folder"));
    }
    names.insert(name.get<std::string>());
  }
  std::vector<std::string> absent, files;
  std::error_code error;
  for (const std::string& name : names) {
    files.push_back(absl::StrCat(folder, "/", name));
    if (!fs::is_regular_file(files.back(), error)) absent.push_back(name);
  }
  if (absent.empty()) return files;
  return absl::NotFoundError(absl::StrCat(kField, index, " lists ", names.size(), " files, of which ",
                                          absent.size(), " are not there (", absent.front(),
                                          absent.size() > 1 ? ", ..." : "", "); is the download complete?"));
}

}  // namespace

absl::StatusOr<PretrainedSource> FindPretrained(const std::string& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return Absent(path);
  PretrainedSource source;
  const bool is_folder = fs::is_directory(path, error);
  const std::string folder = ParentDirectory(is_folder ? path + "/" : path);
  if (!is_folder) {
    source.files.push_back(path);
  } else if (fs::exists(folder + "/model.safetensors", error)) {
    source.files = {folder + "/model.safetensors"};
  } else if (fs::exists(folder + "/model.safetensors.index.json", error)) {
    ASSIGN_OR_RETURN(source.files, Shards(folder, folder + "/model.safetensors.index.json"));
  } else {
    return NothingIn(folder);
  }
  if (fs::exists(folder + "/config.json", error)) source.config = folder + "/config.json";
  if (fs::exists(folder + "/spec.yaml", error)) source.spec = folder + "/spec.yaml";
  for (std::string& file : source.files) {
    RETURN_IF_ERROR(CheckFormat(file, file));
    const fs::path real = fs::canonical(file, error);
    if (!error) file = real.string();
  }
  return source;
}

}  // namespace lockstep
