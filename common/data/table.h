// A dataset's content as it was read: typed columns (CSV) or pixels (IDX), and the label. What training makes
// of it is decided elsewhere (target.h, split.h, preprocessing.h). Immutable after LoadTable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/column_builder.h"
#include "common/data/csv_scanner.h"
#include "common/data/file_bytes.h"
#include "common/data/idx.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

struct Table {
  v1::DatasetFormat format = v1::DATASET_FORMAT_UNSPECIFIED;
  std::vector<FileBytes> files;  // data, then the labels of IDX
  std::string fingerprint;       // XXH3-128 of the stored bytes of the files, one after the other, hex
  int64_t bytes = 0;
  int64_t records = 0;
  std::vector<TableColumn> columns;  // CSV: all columns in file order; IDX: the label alone
  size_t label = kNoLabel;           // index into columns
  std::optional<IdxArray> pixels;    // IDX
  RecordIndex index;                 // CSV

  static constexpr size_t kNoLabel = static_cast<size_t>(-1);  // reconstruction
  // REQUIRES: there is a label.
  const TableColumn& label_column() const { return columns[label]; }
};

// Reads the files of `spec` whole. Errors as InspectDataset.
absl::StatusOr<Table> LoadTable(const v1::DatasetSpec& spec);

// The fingerprint of `files`, without parsing them.
absl::StatusOr<std::string> FingerprintFiles(const std::vector<FileBytes>& files);
absl::StatusOr<std::string> FingerprintPaths(const std::vector<std::string>& paths);

}  // namespace lockstep
