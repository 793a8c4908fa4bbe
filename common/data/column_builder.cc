#include "common/data/column_builder.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

#include "common/data/cell.h"

namespace lockstep {

ColumnBuilder::ColumnBuilder(std::string name, v1::ColumnType declared) : declared_(declared) {
  column_.name = std::move(name);
  column_.type = declared;
  keep_ = declared == v1::COLUMN_TYPE_IGNORE        ? Keep::kNothing
          : declared == v1::COLUMN_TYPE_CATEGORICAL ? Keep::kCodes
                                                    : Keep::kNumbers;
}

absl::Status ColumnBuilder::AddCode(const CsvCell& cell) {
  auto found = code_of_.find(absl::string_view(cell.text.data(), cell.text.size()));
  if (found == code_of_.end()) {
    if (!IsUtf8(cell.text)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "cell ", Quoted(cell.text), " is not valid UTF-8; convert the file (iconv -f latin1 -t utf8)"));
    }
    if (code_of_.size() >= static_cast<size_t>(std::numeric_limits<int32_t>::max())) {
      return absl::InvalidArgumentError("the column has more than 2^31 categories");
    }
    found = code_of_.emplace(std::string(cell.text), static_cast<int32_t>(code_of_.size())).first;
    column_.categories.emplace_back(cell.text);
  }
  column_.codes.push_back(found->second);
  return absl::OkStatus();
}

absl::Status ColumnBuilder::Add(const CsvCell& cell, int64_t row) {
  if (declared_ == v1::COLUMN_TYPE_IGNORE) return absl::OkStatus();
  if (IsMissing(cell.text, cell.quoted)) {
    ++column_.missing;
    if (keep_ == Keep::kNumbers) column_.values.push_back(std::numeric_limits<double>::quiet_NaN());
    if (keep_ == Keep::kCodes) column_.codes.push_back(TableColumn::kMissingCode);
    return absl::OkStatus();
  }
  if (declared_ == v1::COLUMN_TYPE_CATEGORICAL) return AddCode(cell);
  double value = 0;
  const bool number = ParseNumber(cell.text, &value);
  if (number) {
    ++numbers_;
    if (keep_ == Keep::kNumbers) column_.values.push_back(value);
  } else {
    if (declared_ == v1::COLUMN_TYPE_NUMERIC) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a finite number (the column is declared numeric), got ", Quoted(cell.text)));
    }
    if (others_++ == 0) {
      first_other_row_ = row;
      first_other_ = Quoted(cell.text);
      if (numbers_ == 0) {
        // Text from the start: all before it were missing.
        keep_ = Keep::kCodes;
        column_.codes.assign(column_.values.size(), TableColumn::kMissingCode);
      } else {
        keep_ = Keep::kNothing;
      }
      std::vector<double>().swap(column_.values);
    }
  }
  return keep_ == Keep::kCodes ? AddCode(cell) : absl::OkStatus();
}

absl::Status ColumnBuilder::Decide(int64_t* bad_row) {
  if (declared_ != v1::COLUMN_TYPE_UNSPECIFIED) return absl::OkStatus();
  if (others_ == 0) {
    column_.type = declared_ = v1::COLUMN_TYPE_NUMERIC;
    return absl::OkStatus();
  }
  if (numbers_ >= 19 * static_cast<double>(others_)) {
    *bad_row = first_other_row_;
    return absl::InvalidArgumentError(absl::StrCat(
        "expected a finite number (", numbers_, " of ", numbers_ + others_, " cells are), got ", first_other_,
        "; correct or empty the cell, or write `dataset.columns: {", column_.name, ": categorical}`"));
  }
  column_.type = declared_ = v1::COLUMN_TYPE_CATEGORICAL;
  if (keep_ == Keep::kNothing) {
    needs_replay_ = true;
    keep_ = Keep::kCodes;
    column_.missing = 0;
  }
  return absl::OkStatus();
}

TableColumn ColumnBuilder::Finish() && {
  SortCategories(&column_.categories, &column_.codes);
  return std::move(column_);
}

void SortCategories(std::vector<std::string>* categories, std::vector<int32_t>* codes) {
  std::vector<double> number(categories->size());
  bool numeric = true;
  for (size_t i = 0; i < categories->size() && numeric; ++i) {
    numeric = ParseNumber((*categories)[i], &number[i]);
  }
  std::vector<int32_t> order(categories->size());
  std::iota(order.begin(), order.end(), 0);
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    if (numeric && number[a] != number[b]) return number[a] < number[b];
    return (*categories)[a] < (*categories)[b];
  });
  std::vector<int32_t> rank(order.size());
  std::vector<std::string> sorted(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    rank[order[i]] = static_cast<int32_t>(i);
    sorted[i] = std::move((*categories)[order[i]]);
  }
  *categories = std::move(sorted);
  for (int32_t& code : *codes) {
    if (code >= 0) code = rank[code];
  }
}

}  // namespace lockstep
