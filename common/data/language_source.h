// A language model's data as it was read: a text, or a row of token shards. What training makes of it is
// decided in language_data.h. Immutable.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/data/file_bytes.h"
#include "common/text/token_shard.h"
#include "lockstep/v1/datasets.pb.h"

namespace lockstep {

struct LanguageSource {
  v1::DatasetFormat format = v1::DATASET_FORMAT_UNSPECIFIED;
  std::vector<std::string> paths;  // of the data
  std::vector<FileBytes> files;    // the data, then the tokenizer's
  std::string fingerprint;
  int64_t bytes = 0;
  int64_t records = 0;    // characters, or tokens
  std::string_view text;  // of all files, one after the other
  std::vector<TokenShard> shards;
  std::shared_ptr<std::string> joined;  // what `text` points into, if there are several files
};

// INVALID_ARGUMENT names the file and the byte: text that is not UTF-8, a shard whose header lies; or there
// is nothing in it. NOT_FOUND, PERMISSION_DENIED: a file.
absl::StatusOr<LanguageSource> LoadLanguage(v1::DatasetFormat format, const std::vector<std::string>& data,
                                            const std::vector<std::string>& tokenizer);

// InspectDataset for such data.
absl::StatusOr<v1::Dataset> InspectLanguage(v1::DatasetFormat format, const v1::DatasetSpec& spec,
                                            const std::vector<std::string>& data,
                                            const std::vector<std::string>& tokenizer);

}  // namespace lockstep
