#include "common/data/language_source.h"

#include <algorithm>
#include <new>

#include "absl/container/flat_hash_set.h"
#include "common/data/file_bytes.h"
#include "common/data/table.h"
#include "common/text/byte_pair_tokenizer.h"
#include "common/text/utf8.h"

namespace lockstep {
namespace {

absl::StatusOr<LanguageSource> Load(v1::DatasetFormat format, const std::vector<std::string>& data,
                                    const std::vector<std::string>& tokenizer) {
  LanguageSource source;
  source.format = format;
  source.paths = data;
  size_t text_bytes = 0;
  for (const std::string& path : data) {
    ASSIGN_OR_RETURN(FileBytes file, FileBytes::Open(path));
    const std::string_view content = file.content();
    if (format == v1::DATASET_FORMAT_TOKENS) {
      absl::StatusOr<TokenShard> shard = TokenShard::Parse(content);
      if (!shard.ok()) return Annotate(shard.status(), path);
      source.records += shard->size();
      source.shards.push_back(*shard);
    } else {
      const absl::StatusOr<int64_t> characters = CountCharacters(content);
      if (!characters.ok()) return Annotate(characters.status(), path);
      source.records += *characters;
      text_bytes += content.size();
    }
    source.files.push_back(std::move(file));
  }
  if (source.records == 0) return absl::InvalidArgumentError(absl::StrCat(data[0], ": holds no tokens"));
  if (format == v1::DATASET_FORMAT_TEXT) {
    source.text = source.files[0].content();
    if (source.files.size() > 1) {
      source.joined = std::make_shared<std::string>();
      source.joined->reserve(text_bytes);
      for (const FileBytes& file : source.files) source.joined->append(file.content());
      source.text = *source.joined;
    }
  }
  for (const std::string& path : tokenizer) {
    ASSIGN_OR_RETURN(FileBytes file, FileBytes::OpenStored(path));
    source.files.push_back(std::move(file));
  }
  ASSIGN_OR_RETURN(source.fingerprint, FingerprintFiles(source.files));
  for (const FileBytes& file : source.files) source.bytes += static_cast<int64_t>(file.stored().size());
  return source;
}

int64_t DistinctCharacters(std::string_view text) {
  absl::flat_hash_set<uint32_t> seen;
  for (size_t at = 0; at < text.size();) {
    const Utf8Character character = DecodeUtf8(text, at);
    seen.insert(character.code);
    at += character.bytes;
  }
  return static_cast<int64_t>(seen.size());
}

}  // namespace

absl::StatusOr<LanguageSource> LoadLanguage(v1::DatasetFormat format, const std::vector<std::string>& data,
                                            const std::vector<std::string>& tokenizer) {
  try {
    return Load(format, data, tokenizer);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(data[0], ": no memory left to read the dataset"));
  }
}

absl::StatusOr<v1::Dataset> InspectLanguage(v1::DatasetFormat format, const v1::DatasetSpec& spec,
                                            const std::vector<std::string>& data,
                                            const std::vector<std::string>& tokenizer) {
  ASSIGN_OR_RETURN(const LanguageSource source, LoadLanguage(format, data, tokenizer));
  if (!tokenizer.empty()) {
    // Read here already, so that nobody waits for a device to learn of a broken tokenizer.
    RETURN_IF_ERROR(BytePairTokenizer::Load(tokenizer[0], tokenizer[1]).status());
  }
  v1::Dataset dataset;
  dataset.set_format(format);
  dataset.set_path(AbsolutePath(spec.path()));
  for (const std::string& path : data) dataset.add_files(AbsolutePath(path));
  for (const std::string& path : tokenizer) dataset.add_tokenizer_files(AbsolutePath(path));
  dataset.set_fingerprint(source.fingerprint);
  dataset.set_bytes(source.bytes);
  dataset.set_records(source.records);
  dataset.set_task(v1::TASK_LANGUAGE_MODEL);
  v1::Column* column = dataset.add_columns();
  if (format == v1::DATASET_FORMAT_TEXT) {
    column->set_name("characters");
    column->set_type(v1::COLUMN_TYPE_CATEGORICAL);
    column->set_distinct(DistinctCharacters(source.text));
  } else {
    column->set_name("tokens");
    column->set_type(v1::COLUMN_TYPE_NUMERIC);
    int32_t largest = 0;
    for (const TokenShard& shard : source.shards) largest = std::max(largest, shard.Largest());
    column->set_maximum(largest);
  }
  return dataset;
}

}  // namespace lockstep
