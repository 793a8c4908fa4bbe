#include "coordinator/datasets/compatible.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/spec/spec.h"
#include "common/text/byte_pair_tokenizer.h"

namespace lockstep {
namespace {

// COLUMN_TYPE_NUMERIC -> numeric.
std::string EnumText(const std::string& name, size_t prefix) {
  return absl::AsciiStrToLower(name.substr(std::min(prefix, name.size())));
}

std::string ColumnTypeText(v1::ColumnType type) {
  return EnumText(v1::ColumnType_Name(type), std::string("COLUMN_TYPE_").size());
}

absl::Status Differs(const v1::Dataset& dataset, const std::string& field, const std::string& registered,
                     const std::string& asked) {
  return absl::InvalidArgumentError(absl::StrCat(
      "dataset.", field, ": ", dataset.name(), "@", dataset.version(), " was registered with '", registered,
      "', the spec asks for '", asked, "'; remove the field, or register the file under another name"));
}

}  // namespace

bool SameVersion(const v1::Dataset& a, const v1::Dataset& b) {
  const auto same_column = [](const v1::Column& x, const v1::Column& y) {
    return x.name() == y.name() && x.type() == y.type();
  };
  return a.fingerprint() == b.fingerprint() && a.bytes() == b.bytes() && a.format() == b.format() &&
         a.label() == b.label() && a.task() == b.task() && a.files_size() == b.files_size() &&
         a.tokenizer_files_size() == b.tokenizer_files_size() &&
         std::equal(a.columns().begin(), a.columns().end(), b.columns().begin(), b.columns().end(),
                    same_column) &&
         std::equal(a.classes().begin(), a.classes().end(), b.classes().begin(), b.classes().end());
}

namespace {

// A tokenizer that is loaded belongs to the dataset; one that a job fits is the job's own.
absl::Status CheckTokenizer(const v1::DatasetSpec& spec, const v1::Dataset& dataset) {
  const v1::TokenizerSpec& asked = spec.text().tokenizer();
  const std::string registered =
      dataset.tokenizer_files().empty() ? "(no tokenizer)" : dataset.tokenizer_files(0);
  if (asked.bpe().path().empty()) {
    if (dataset.tokenizer_files().empty() || asked.kind_case() == v1::TokenizerSpec::KIND_NOT_SET) {
      return absl::OkStatus();
    }
    return Differs(dataset, "text.tokenizer", registered,
                   asked.has_char_() ? "char" : absl::StrCat("bpe of ", asked.bpe().vocabulary(), " tokens"));
  }
  const absl::StatusOr<std::pair<std::string, std::string>> files = TokenizerFiles(asked.bpe().path());
  if (!files.ok()) return Annotate(files.status(), "dataset.text.tokenizer.bpe.path");
  if (files->first == registered) return absl::OkStatus();
  return Differs(dataset, "text.tokenizer.bpe.path", registered, files->first);
}

}  // namespace

absl::Status CheckCompatible(const v1::DatasetSpec& spec, const v1::Dataset& dataset) {
  if (!spec.label().empty() && spec.label() != dataset.label()) {
    return Differs(dataset, "label", dataset.label(), spec.label());
  }
  if (!spec.labels().empty() && spec.labels() != dataset.labels_path()) {
    return Differs(dataset, "labels", dataset.labels_path(), spec.labels());
  }
  if (spec.format() != v1::DATASET_FORMAT_UNSPECIFIED && spec.format() != dataset.format()) {
    const size_t prefix = std::string("DATASET_FORMAT_").size();
    return Differs(dataset, "format", EnumText(v1::DatasetFormat_Name(dataset.format()), prefix),
                   EnumText(v1::DatasetFormat_Name(spec.format()), prefix));
  }
  // Reconstruction leaves a label out, so that any table will do.
  if (spec.task() != v1::TASK_UNSPECIFIED && spec.task() != v1::TASK_RECONSTRUCTION &&
      spec.task() != dataset.task()) {
    const size_t prefix = std::string("TASK_").size();
    return Differs(dataset, "task", EnumText(v1::Task_Name(dataset.task()), prefix),
                   EnumText(v1::Task_Name(spec.task()), prefix));
  }
  if (spec.has_text()) RETURN_IF_ERROR(CheckTokenizer(spec, dataset));
  const std::map<std::string, v1::ColumnType> asked(spec.columns().begin(), spec.columns().end());
  for (const auto& [name, type] : asked) {
    const auto found =
        std::find_if(dataset.columns().begin(), dataset.columns().end(),
                     [&name = name](const v1::Column& column) { return column.name() == name; });
    if (found == dataset.columns().end()) {
      std::vector<std::string> names;
      for (const v1::Column& column : dataset.columns()) names.push_back(column.name());
      const std::string nearest = Nearest(name, names);
      return absl::InvalidArgumentError(
          absl::StrCat("dataset.columns: ", dataset.name(), "@", dataset.version(), " has no column '", name,
                       "'", nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?")));
    }
    if (type != v1::COLUMN_TYPE_UNSPECIFIED && type != found->type()) {
      return Differs(dataset, absl::StrCat("columns.", name), ColumnTypeText(found->type()),
                     ColumnTypeText(type));
    }
  }
  return absl::OkStatus();
}

}  // namespace lockstep
