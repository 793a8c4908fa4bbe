// Tokenizers from files.
#include <filesystem>

#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/checkpoint/durable_file.h"
#include "common/paths/path_fence.h"
#include "common/text/byte_pair_tokenizer.h"
#include "common/text/character_tokenizer.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

constexpr char kPreprocessingFile[] = "preprocessing.json";
constexpr size_t kLargestFile = size_t{256} << 20;  // a larger one is hardly a tokenizer's

absl::StatusOr<nlohmann::json> ReadJson(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(path, kLargestFile));
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is not JSON: ", e.what()));
  }
}

absl::StatusOr<std::vector<std::string>> ReadVocabulary(const std::string& path) {
  ASSIGN_OR_RETURN(const nlohmann::json json, ReadJson(path));
  if (!json.is_object() || json.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": expected an object that maps each token to its id, as GPT-2's vocab.json"));
  }
  std::vector<std::string> letters(json.size());
  std::vector<bool> taken(json.size());
  for (const auto& [token, id] : json.items()) {
    const bool inside = id.is_number_unsigned() && id.get<uint64_t>() < json.size();
    if (!inside || taken[id.get<size_t>()]) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": token \"", token, "\" has the id ",
                       id.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace),
                       inside ? ", which another token has too" : "", "; expected each of 0 .. ",
                       json.size() - 1, " once, for ", json.size(), " tokens"));
    }
    taken[id.get<size_t>()] = true;
    letters[id.get<size_t>()] = token;
  }
  return letters;
}

absl::StatusOr<std::vector<std::string>> ReadMerges(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadNamedFile(path, kLargestFile));
  std::vector<std::string> merges;
  int64_t number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    absl::ConsumeSuffix(&line, "\r");
    if (line.empty() || absl::StartsWith(line, "#version")) continue;
    const std::vector<absl::string_view> parts = absl::StrSplit(line, ' ');
    if (parts.size() != 2 || parts[0].empty() || parts[1].empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", number, ": expected two tokens with a blank between them, got \"",
                       line.substr(0, 80), "\""));
    }
    merges.emplace_back(line);
  }
  return merges;
}

}  // namespace

absl::StatusOr<std::unique_ptr<BytePairTokenizer>> BytePairTokenizer::Load(const std::string& vocabulary_path,
                                                                           const std::string& merges_path) {
  ASSIGN_OR_RETURN(std::vector<std::string> letters, ReadVocabulary(vocabulary_path));
  ASSIGN_OR_RETURN(const std::vector<std::string> merges, ReadMerges(merges_path));
  absl::StatusOr<std::unique_ptr<BytePairTokenizer>> made = Make(std::move(letters), merges);
  if (!made.ok()) return Annotate(made.status(), absl::StrCat(vocabulary_path, " and ", merges_path));
  return made;
}

absl::Status BytePairTokenizer::Save(const std::string& folder) const {
  RETURN_IF_ERROR(MakeDirectories(folder));
  const auto [vocabulary, merges] = Files();
  for (const auto& [name, content] :
       {std::pair(kVocabularyFile, &vocabulary), std::pair(kMergesFile, &merges)}) {
    const std::string path = absl::StrCat(folder, "/", name), partial = path + ".partial";
    ASSIGN_OR_RETURN(FileWriter file, FileWriter::Create(partial, /*with_sha256=*/false));
    RETURN_IF_ERROR(file.Append(content->data(), content->size()));
    RETURN_IF_ERROR(file.Finish());
    RETURN_IF_ERROR(Rename(partial, path));
  }
  return SyncDirectory(folder);
}

absl::StatusOr<std::pair<std::string, std::string>> TokenizerFiles(const std::string& path) {
  std::error_code error;
  const fs::path given(path);
  if (path.empty()) return absl::InvalidArgumentError("the path of the tokenizer is empty");
  if (!fs::exists(given, error)) {
    return absl::NotFoundError(absl::StrCat(
        path, ": no such file or folder; expected a tokenizer folder with vocab.json and merges.txt"));
  }
  const fs::path vocabulary = fs::is_directory(given, error) ? given / kVocabularyFile : given;
  const fs::path merges = vocabulary.parent_path() / kMergesFile;
  for (const fs::path& file : {vocabulary, merges}) {
    if (fs::exists(file, error)) continue;
    const std::string folder = vocabulary.parent_path().string();
    const std::string advice =
        fs::exists(vocabulary.parent_path() / "tokenizer.json", error)
            ? absl::StrCat(
                  "the tokenizer.json there gives both: python3 -c \"from tokenizers import Tokenizer as T; "
                  "T.from_file('",
                  folder, "/tokenizer.json').model.save('", folder, "')\"")
            : "`lockstep tokenizer train` makes both";
    return absl::NotFoundError(absl::StrCat(
        file.string(), ": no such file; a tokenizer is vocab.json with merges.txt beside it (", advice, ")"));
  }
  return std::pair(vocabulary.string(), merges.string());
}

absl::StatusOr<std::unique_ptr<Tokenizer>> TokenizerFromJson(const nlohmann::json& json) {
  if (json.is_object() && json.size() == 1 && json.contains("char")) {
    return CharacterTokenizer::FromJson(json["char"]);
  }
  if (json.is_object() && json.size() == 1 && json.contains("bpe")) {
    return BytePairTokenizer::FromJson(json["bpe"]);
  }
  return absl::InvalidArgumentError("expected an object with either 'char' or 'bpe'");
}

absl::StatusOr<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path) {
  const std::string preprocessing = (fs::path(path) / kPreprocessingFile).string();
  std::error_code error;
  if (!path.empty() && fs::exists(preprocessing, error)) {
    ASSIGN_OR_RETURN(const nlohmann::json json, ReadJson(preprocessing));
    if (!json.is_object() || !json.contains("tokenizer")) {
      return absl::InvalidArgumentError(
          absl::StrCat(preprocessing, ": has no tokenizer; the model was not trained on text"));
    }
    absl::StatusOr<std::unique_ptr<Tokenizer>> made = TokenizerFromJson(json["tokenizer"]);
    if (!made.ok()) return Annotate(made.status(), absl::StrCat(preprocessing, ": tokenizer"));
    return made;
  }
  ASSIGN_OR_RETURN(const auto files, TokenizerFiles(path));
  return BytePairTokenizer::Load(files.first, files.second);
}

absl::StatusOr<std::string> Tokenizer::Decode(std::span<const int32_t> tokens) const {
  std::string text;
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] < 0 || tokens[i] >= vocabulary()) {
      return absl::InvalidArgumentError(absl::StrCat("token ", i + 1, " of ", tokens.size(), " is ",
                                                     tokens[i], "; expected an id of 0 .. ", vocabulary() - 1,
                                                     ". Was the text encoded with another tokenizer?"));
    }
    text += Text(tokens[i]);
  }
  return text;
}

}  // namespace lockstep
