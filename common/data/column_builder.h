// Takes the cells of one CSV column in row order and decides what the column is:
//
//   every cell that is not missing is a finite number            numeric
//   at least 95 % are, but not all                               an error that names the first other cell
//   fewer                                                        categorical
//
// A declared type is not inferred: a cell that is no number in a column declared numeric is an error. An
// undeclared column that begins with numbers stores numbers only; if it turns out categorical, needs_replay()
// asks for its cells once more.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "common/base/status.h"
#include "common/data/csv_scanner.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

struct TableColumn {
  std::string name;
  v1::ColumnType type = v1::COLUMN_TYPE_UNSPECIFIED;
  int64_t missing = 0;
  std::vector<double> values;           // numeric: NaN where missing
  std::vector<int32_t> codes;           // categorical: index into categories, kMissingCode where missing
  std::vector<std::string> categories;  // sorted: by value if all are numbers, else by bytes

  static constexpr int32_t kMissingCode = -1;
};

class ColumnBuilder {
 public:
  // UNSPECIFIED: infer.
  ColumnBuilder(std::string name, v1::ColumnType declared);

  // INVALID_ARGUMENT if the cell cannot stand in this column; the message has no row.
  absl::Status Add(const CsvCell& cell, int64_t row);

  // Call when all cells were added. If it is true then, add all cells again.
  absl::Status Decide(int64_t* bad_row);
  bool needs_replay() const { return needs_replay_; }

  TableColumn Finish() &&;

  const std::string& name() const { return column_.name; }

 private:
  enum class Keep { kNothing, kNumbers, kCodes };

  absl::Status AddCode(const CsvCell& cell);

  TableColumn column_;
  v1::ColumnType declared_;
  Keep keep_;
  bool needs_replay_ = false;
  int64_t numbers_ = 0;
  int64_t others_ = 0;
  int64_t first_other_row_ = 0;
  std::string first_other_;
  absl::flat_hash_map<std::string, int32_t> code_of_;
};

// Sorts `categories` (see TableColumn) and renumbers `codes` accordingly.
void SortCategories(std::vector<std::string>* categories, std::vector<int32_t>* codes);

}  // namespace lockstep
