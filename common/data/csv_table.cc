#include "common/data/csv_table.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_join.h"
#include "common/data/cell.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

constexpr size_t kMaxColumns = 100000;

std::string Place(std::string_view text, const RecordIndex& index, int64_t row) {
  return absl::StrCat("row ", row, " (line ", LineOf(text, index.Bytes(row - 1, 1).begin), ")");
}

std::string Names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 12;
  const size_t shown = std::min(names.size(), kShown);
  return absl::StrCat(absl::StrJoin(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                      shown < names.size() ? absl::StrCat(", ... (", names.size(), " columns)") : "");
}

absl::StatusOr<std::vector<std::string>> ReadHeader(CsvScanner* scanner) {
  if (!scanner->Next()) {
    if (!scanner->problem().empty()) {
      return absl::InvalidArgumentError(absl::StrCat("header: ", scanner->problem()));
    }
    return absl::InvalidArgumentError("holds no text; expected a header row with column names, then rows");
  }
  const std::vector<CsvCell>& cells = scanner->cells();
  if (cells.size() > kMaxColumns) {
    return absl::InvalidArgumentError(
        absl::StrCat("the header has ", cells.size(), " columns, more than the ", kMaxColumns, " supported"));
  }
  std::vector<std::string> names;
  absl::flat_hash_map<std::string, size_t> position;
  for (const CsvCell& cell : cells) {
    std::string name(cell.text);
    if (!IsUtf8(name) || name.find('\0') != std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "column name ", Quoted(name), " is not valid UTF-8 text: expected CSV in UTF-8, or an IDX file"));
    }
    if (name.empty()) name = absl::StrCat("column_", names.size() + 1);
    const auto [other, inserted] = position.emplace(name, names.size());
    if (!inserted) {
      return absl::InvalidArgumentError(absl::StrCat("columns ", other->second + 1, " and ", names.size() + 1,
                                                     " are both named ", Quoted(name),
                                                     "; each column needs its own name"));
    }
    names.push_back(std::move(name));
  }
  return names;
}

absl::StatusOr<size_t> FindColumn(const std::vector<std::string>& names, std::string_view wanted,
                                  const char* field) {
  const auto found = std::find(names.begin(), names.end(), wanted);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string hint;
  const std::string nearest = Nearest(wanted, names);
  double number = 0;
  if (!nearest.empty()) {
    hint = absl::StrCat("; did you mean ", Quoted(nearest), "?");
  } else if (std::all_of(names.begin(), names.end(),
                         [&](const std::string& name) { return ParseNumber(name, &number); })) {
    hint = "; the first row holds numbers only: is the header row missing?";
  } else if (names.size() == 1 && names[0].find_first_of(";\t") != std::string::npos) {
    hint = "; cells must be separated by commas";
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, ": no column ", Quoted(wanted), "; the columns are ", Names(names), hint));
}

// Adds the cells of every record to the builders (null: skip); fills the index if it is given.
absl::Status ReadRows(std::string_view text, uint64_t begin, const std::vector<ColumnBuilder*>& builders,
                      size_t label, RecordIndex* index) {
  CsvScanner scanner(text, begin);
  int64_t row = 0;
  const auto here = [&] {
    return absl::StrCat("row ", row, " (line ", LineOf(text, scanner.record_begin()), ")");
  };
  while (scanner.Next()) {
    ++row;
    if (index != nullptr) index->Append(scanner.record_begin());
    const std::vector<CsvCell>& cells = scanner.cells();
    if (cells.size() != builders.size()) {
      return absl::InvalidArgumentError(
          absl::StrCat(here(), ": expected ", builders.size(), " cells as in the header, got ", cells.size(),
                       cells.size() < builders.size() ? "; is a cell missing?"
                                                      : "; is a comma inside a cell not quoted?"));
    }
    for (size_t c = 0; c < cells.size(); ++c) {
      if (builders[c] == nullptr) continue;
      if (c == label && IsMissing(cells[c].text, cells[c].quoted)) {
        return absl::InvalidArgumentError(
            absl::StrCat(here(), ", column ", Quoted(builders[c]->name()),
                         ": the label is missing; fill it in or remove the row"));
      }
      const absl::Status added = builders[c]->Add(cells[c], row);
      if (!added.ok()) return Annotate(added, absl::StrCat(here(), ", column ", Quoted(builders[c]->name())));
    }
  }
  if (!scanner.problem().empty()) {
    ++row;
    return absl::InvalidArgumentError(absl::StrCat(here(), ": ", scanner.problem()));
  }
  if (index != nullptr) index->Finish(scanner.position());
  return absl::OkStatus();
}

}  // namespace

absl::Status ParseCsv(std::string_view text, const v1::DatasetSpec& spec, Table* table) {
  CsvScanner header(text);
  ASSIGN_OR_RETURN(const std::vector<std::string> names, ReadHeader(&header));
  const bool reconstruction = spec.task() == v1::TASK_RECONSTRUCTION;
  if (spec.label().empty() && !reconstruction) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.label is not set: name the column to learn; the columns are ", Names(names)));
  }
  if (!spec.label().empty()) {
    ASSIGN_OR_RETURN(table->label, FindColumn(names, spec.label(), "dataset.label"));
  }
  std::vector<v1::ColumnType> declared(names.size(), v1::COLUMN_TYPE_UNSPECIFIED);
  for (const auto& [name, type] : spec.columns()) {
    ASSIGN_OR_RETURN(const size_t column, FindColumn(names, name, "dataset.columns"));
    declared[column] = type;
  }
  if (reconstruction) {  // a label is no feature, and nothing else either
    if (table->label != Table::kNoLabel) declared[table->label] = v1::COLUMN_TYPE_IGNORE;
    table->label = Table::kNoLabel;
  } else if (declared[table->label] == v1::COLUMN_TYPE_IGNORE) {
    return absl::InvalidArgumentError(
        absl::StrCat("dataset.columns: ", Quoted(spec.label()), " is the label and cannot be ignored"));
  }

  std::vector<ColumnBuilder> builders;
  std::vector<ColumnBuilder*> all;
  builders.reserve(names.size());
  for (size_t c = 0; c < names.size(); ++c) all.push_back(&builders.emplace_back(names[c], declared[c]));
  const uint64_t begin = header.position();
  RETURN_IF_ERROR(ReadRows(text, begin, all, table->label, &table->index));
  table->records = table->index.records();
  if (table->records == 0) {
    return absl::InvalidArgumentError("holds a header row and no data; expected at least one row below it");
  }

  bool replay = false;
  std::vector<ColumnBuilder*> again(names.size(), nullptr);
  for (size_t c = 0; c < names.size(); ++c) {
    int64_t row = 0;
    const absl::Status decided = builders[c].Decide(&row);
    if (!decided.ok()) {
      return Annotate(decided, absl::StrCat(Place(text, table->index, row), ", column ", Quoted(names[c])));
    }
    if (builders[c].needs_replay()) {
      replay = true;
      again[c] = &builders[c];
    }
  }
  if (replay) RETURN_IF_ERROR(ReadRows(text, begin, again, table->label, nullptr));

  size_t features = 0;
  for (ColumnBuilder& builder : builders) {
    table->columns.push_back(std::move(builder).Finish());
    features += table->columns.back().type != v1::COLUMN_TYPE_IGNORE;
  }
  if (features < (reconstruction ? 1 : 2)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no column is left to learn from",
        spec.label().empty() ? std::string() : absl::StrCat(" besides the label ", Quoted(spec.label())),
        "; the columns are ", Names(names)));
  }
  return absl::OkStatus();
}

}  // namespace lockstep
