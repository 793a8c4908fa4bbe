#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "common/spec/spec.h"
#include "common/spec/yaml_reader.h"

namespace lockstep {
namespace {

std::string Resolve(const std::string& path, std::string_view base) {
  if (path.empty() || base.empty()) return path;
  const std::filesystem::path given(path);
  if (given.is_absolute()) return path;
  return (std::filesystem::path(base) / given).lexically_normal().string();
}

}  // namespace

absl::StatusOr<v1::JobSpec> ParseSpec(std::string_view yaml, std::string_view file,
                                      std::string_view base_directory,
                                      const std::vector<std::string>& overrides) {
  v1::JobSpec spec;
  RETURN_IF_ERROR(ReadYaml(yaml, file, &spec));
  for (const auto& override_text : overrides) RETURN_IF_ERROR(ApplyOverride(override_text, &spec));
  if (spec.has_dataset()) {
    auto* dataset = spec.mutable_dataset();
    dataset->set_path(Resolve(dataset->path(), base_directory));
    dataset->set_labels(Resolve(dataset->labels(), base_directory));
    if (dataset->text().tokenizer().has_bpe()) {
      auto* bpe = dataset->mutable_text()->mutable_tokenizer()->mutable_bpe();
      bpe->set_path(Resolve(bpe->path(), base_directory));
    }
  }
  if (spec.has_from()) {
    spec.mutable_from()->set_path(Resolve(spec.from().path(), base_directory));
    spec.mutable_from()->set_safetensors(Resolve(spec.from().safetensors(), base_directory));
  }
  return spec;
}

absl::StatusOr<v1::JobSpec> ReadSpec(const std::string& path, const std::vector<std::string>& overrides) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file; expected a job spec in YAML"));
  }
  if (std::filesystem::is_directory(status)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory; expected a job spec in YAML"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::PermissionDeniedError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
  constexpr std::streamsize kLongestSpec = 1 << 20;
  std::string text(kLongestSpec + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.gcount() > kLongestSpec) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is larger than the limit of 1 MiB, so it is hardly a job spec"));
  }
  text.resize(static_cast<size_t>(file.gcount()));
  const auto folder = std::filesystem::absolute(path, error).parent_path();
  return ParseSpec(text, path, folder.string(), overrides);
}

}  // namespace lockstep
