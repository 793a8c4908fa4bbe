#include "common/data/table.h"

#include <xxhash.h>

#include <limits>
#include <memory>
#include <new>

#include "absl/strings/escaping.h"
#include "common/data/cell.h"
#include "common/data/csv_table.h"

namespace lockstep {
namespace {

absl::Status LoadIdx(const v1::DatasetSpec& spec, Table* table) {
  const bool labelled = spec.task() != v1::TASK_RECONSTRUCTION;
  if (spec.labels().empty() && labelled) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.path(), ": is an IDX file: dataset.labels must name the IDX file with the labels"));
  }
  if (!spec.labels().empty() && !labelled) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.path(),
                     ": dataset.labels is not used for reconstruction, whose targets are the pixels "
                     "themselves; leave it out"));
  }
  if (!spec.label().empty() || spec.columns_size() > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(spec.path(), ": is an IDX file, which has no named columns: remove dataset.",
                     spec.label().empty() ? "columns" : "label", " (the labels come from dataset.labels)"));
  }
  absl::StatusOr<IdxArray> pixels = ParseIdx(table->files[0].content());
  if (!pixels.ok()) return Annotate(pixels.status(), spec.path());
  if (!labelled) {
    table->records = pixels->records;
    table->pixels = *std::move(pixels);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(FileBytes labels_file, FileBytes::Open(spec.labels()));
  table->files.push_back(std::move(labels_file));
  absl::StatusOr<IdxArray> labels = ParseIdx(table->files[1].content());
  if (!labels.ok()) return Annotate(labels.status(), spec.labels());
  if (labels->elements != 1) {
    return absl::InvalidArgumentError(absl::StrCat(spec.labels(), ": expected one label a record, got ",
                                                   labels->elements,
                                                   "; are dataset.path and dataset.labels swapped?"));
  }
  if (labels->records != pixels->records) {
    return absl::InvalidArgumentError(absl::StrCat(spec.labels(), ": holds ", labels->records,
                                                   " labels, but ", spec.path(), " holds ", pixels->records,
                                                   " records; the two files do not belong together"));
  }
  table->records = pixels->records;
  table->pixels = *std::move(pixels);
  table->label = 0;
  TableColumn& column = table->columns.emplace_back();
  column.name = "label";
  column.type = v1::COLUMN_TYPE_NUMERIC;
  column.values.resize(static_cast<size_t>(table->records));
  for (int64_t i = 0; i < table->records; ++i) column.values[static_cast<size_t>(i)] = labels->At(i);
  return absl::OkStatus();
}

absl::StatusOr<Table> Load(const v1::DatasetSpec& spec) {
  Table table;
  ASSIGN_OR_RETURN(FileBytes data, FileBytes::Open(spec.path()));
  table.files.push_back(std::move(data));
  const std::string_view content = table.files[0].content();
  table.format = spec.format();
  if (table.format == v1::DATASET_FORMAT_UNSPECIFIED) {
    table.format = LooksLikeIdx(content) ? v1::DATASET_FORMAT_IDX : v1::DATASET_FORMAT_CSV;
  }
  if (table.format == v1::DATASET_FORMAT_IDX) {
    RETURN_IF_ERROR(LoadIdx(spec, &table));
  } else {
    if (!spec.labels().empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          spec.path(), ": is CSV: dataset.labels is for IDX files; name the label column in dataset.label"));
    }
    const absl::Status parsed = ParseCsv(content, spec, &table);
    if (!parsed.ok()) return Annotate(parsed, spec.path());
  }
  ASSIGN_OR_RETURN(table.fingerprint, FingerprintFiles(table.files));
  for (const FileBytes& file : table.files) table.bytes += static_cast<int64_t>(file.stored().size());
  return table;
}

}  // namespace

absl::StatusOr<std::string> FingerprintFiles(const std::vector<FileBytes>& files) {
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                              XXH3_freeState);
  if (state == nullptr) return absl::ResourceExhaustedError("no memory left for the fingerprint");
  XXH3_128bits_reset(state.get());
  for (const FileBytes& file : files) {
    XXH3_128bits_update(state.get(), file.stored().data(), file.stored().size());
  }
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state.get()));
  return absl::BytesToHexString({reinterpret_cast<const char*>(canonical.digest), sizeof canonical.digest});
}

absl::StatusOr<std::string> FingerprintPaths(const std::vector<std::string>& paths) {
  std::vector<FileBytes> files;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(FileBytes file, FileBytes::OpenStored(path));
    files.push_back(std::move(file));
  }
  return FingerprintFiles(files);
}

absl::StatusOr<Table> LoadTable(const v1::DatasetSpec& spec) {
  try {
    return Load(spec);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError(absl::StrCat(spec.path(), ": no memory left to read the dataset"));
  }
}

}  // namespace lockstep
