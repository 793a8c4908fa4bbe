#include "common/data/dataset_files.h"

#include <glob.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "common/paths/path_fence.h"
#include "common/text/byte_pair_tokenizer.h"
#include "common/text/token_shard.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

bool IsTextName(const std::string& name) {
  return absl::EndsWith(name, ".txt") || absl::EndsWith(name, ".txt.gz");
}
bool IsTokensName(const std::string& name) { return absl::EndsWith(name, ".bin"); }

bool IsPattern(const std::string& path) {
  std::error_code error;
  return path.find_first_of("*?[") != std::string::npos && !fs::exists(path, error);
}

absl::StatusOr<std::vector<std::string>> FilesOfPattern(const std::string& pattern) {
  glob_t found{};
  const absl::Cleanup free = [&found] { ::globfree(&found); };
  const int code = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (code != 0 && code != GLOB_NOMATCH) {
    return absl::InvalidArgumentError(absl::StrCat(pattern, ": the pattern's folders cannot be read"));
  }
  std::vector<std::string> files;
  std::error_code error;
  for (size_t i = 0; i < found.gl_pathc; ++i) {
    if (fs::is_regular_file(found.gl_pathv[i], error)) files.emplace_back(found.gl_pathv[i]);
  }
  if (files.empty()) {
    return absl::NotFoundError(absl::StrCat(
        pattern,
        ": no file matches; the pattern is looked up on the coordinator's host, '*' stands for any "
        "characters but a slash, and names that begin with a dot are passed over"));
  }
  return files;
}

absl::StatusOr<std::vector<std::string>> FilesOfFolder(const std::string& folder, v1::DatasetFormat format) {
  std::vector<std::string> text, tokens;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    std::error_code ignored;
    if (absl::StartsWith(name, ".") || !at->is_regular_file(ignored)) continue;
    if (IsTextName(name)) text.push_back(at->path().string());
    if (IsTokensName(name)) tokens.push_back(at->path().string());
  }
  if (error)
    return absl::PermissionDeniedError(absl::StrCat(folder, ": cannot be listed: ", error.message()));
  if (format == v1::DATASET_FORMAT_TEXT) tokens.clear();
  if (format == v1::DATASET_FORMAT_TOKENS) text.clear();
  if (!text.empty() && !tokens.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(folder,
                                                   ": is a folder with both *.txt and *.bin files; set "
                                                   "dataset.format to text or tokens"));
  }
  if (text.empty() && tokens.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder,
                     ": is a directory without *.txt files (for format text) or *.bin files (for format "
                     "tokens); name a file, or other texts by a pattern such as ",
                     folder, "/*.md"));
  }
  return text.empty() ? tokens : text;
}

bool BeginsAsTokenShard(const std::string& path) {
  int32_t magic = 0;
  const std::string head = ReadNamedHead(path, sizeof(magic));
  if (head.size() == sizeof(magic)) std::memcpy(&magic, head.data(), sizeof(magic));
  return magic == kTokenShardMagic;
}

}  // namespace

std::vector<std::string> DatasetFiles::All() const {
  std::vector<std::string> all = data;
  if (!labels.empty()) all.push_back(labels);
  all.insert(all.end(), tokenizer.begin(), tokenizer.end());
  return all;
}

absl::StatusOr<DatasetFiles> FindFiles(const v1::DatasetSpec& spec) {
  DatasetFiles files;
  std::error_code error;
  if (IsPattern(spec.path())) {
    ASSIGN_OR_RETURN(files.data, FilesOfPattern(spec.path()));
  } else if (fs::is_directory(spec.path(), error)) {
    ASSIGN_OR_RETURN(files.data, FilesOfFolder(spec.path(), spec.format()));
  } else {
    files.data.push_back(spec.path());
  }
  std::sort(files.data.begin(), files.data.end());
  files.labels = spec.labels();
  const std::string& tokenizer = spec.text().tokenizer().bpe().path();
  if (!tokenizer.empty()) {
    absl::StatusOr<std::pair<std::string, std::string>> pair = TokenizerFiles(tokenizer);
    if (!pair.ok()) return Annotate(pair.status(), "dataset.text.tokenizer.bpe.path");
    files.tokenizer = {pair->first, pair->second};
  }
  return files;
}

std::vector<std::string> FilesOf(const v1::Dataset& dataset) {
  DatasetFiles files;
  files.data.assign(dataset.files().begin(), dataset.files().end());
  if (files.data.empty()) files.data.push_back(dataset.path());
  files.labels = dataset.labels_path();
  files.tokenizer.assign(dataset.tokenizer_files().begin(), dataset.tokenizer_files().end());
  return files.All();
}

void SetFiles(const std::vector<std::string>& files, v1::Dataset* dataset) {
  auto at = files.begin();
  if (dataset->files().empty()) {
    dataset->set_path(*at++);
  } else {
    for (std::string& file : *dataset->mutable_files()) file = *at++;
  }
  if (!dataset->labels_path().empty()) dataset->set_labels_path(*at++);
  for (std::string& file : *dataset->mutable_tokenizer_files()) file = *at++;
}

absl::StatusOr<v1::DatasetFormat> LanguageFormat(const v1::DatasetSpec& spec, const DatasetFiles& files) {
  const bool table = spec.format() == v1::DATASET_FORMAT_CSV || spec.format() == v1::DATASET_FORMAT_IDX;
  bool language = spec.format() == v1::DATASET_FORMAT_TEXT || spec.format() == v1::DATASET_FORMAT_TOKENS;
  std::string because = "dataset.format";
  const auto means = [&](bool condition, const char* reason) {
    if (!language && condition) because = reason;
    language |= condition;
  };
  means(spec.task() == v1::TASK_LANGUAGE_MODEL, "dataset.task language_model (or the model)");
  means(spec.has_text(), "dataset.text");
  means(files.data.size() > 1 || files.data[0] != spec.path(), "dataset.path, which names several files,");
  // A CSV file may be called .txt: it has a label.
  if (!table && spec.label().empty() && spec.labels().empty() && spec.columns().empty()) {
    means(IsTextName(spec.path()) || BeginsAsTokenShard(files.data[0]), "the file");
  }
  if (!language) return v1::DATASET_FORMAT_UNSPECIFIED;
  const auto contradicts = [&](const char* what) {
    return absl::InvalidArgumentError(absl::StrCat(spec.path(), ": ", because, " is for a language model, ",
                                                   what, " is not; remove one of them"));
  };
  if (table) return contradicts("the format of a table (csv, idx)");
  if (!spec.label().empty() || !spec.labels().empty()) return contradicts("a label");
  if (!spec.columns().empty()) return contradicts("dataset.columns");
  if (spec.task() != v1::TASK_UNSPECIFIED && spec.task() != v1::TASK_LANGUAGE_MODEL) {
    return contradicts("dataset.task");
  }
  if (spec.format() != v1::DATASET_FORMAT_UNSPECIFIED) return spec.format();
  return IsTokensName(files.data[0]) || BeginsAsTokenShard(files.data[0]) ? v1::DATASET_FORMAT_TOKENS
                                                                          : v1::DATASET_FORMAT_TEXT;
}

}  // namespace lockstep
