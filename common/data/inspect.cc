#include <algorithm>
#include <cmath>
#include <limits>

#include "common/data/cell.h"
#include "common/data/dataset.h"
#include "common/data/dataset_files.h"
#include "common/data/file_bytes.h"
#include "common/data/language_source.h"
#include "common/data/table.h"
#include "common/data/target.h"

namespace lockstep {
namespace {

// One-hot features a single column may ask for; more are a key or free text.
constexpr size_t kMaxCategories = 10000;

// Welford's mean: cannot overflow where the values do not.
class Summary {
 public:
  void Add(double value) {
    minimum_ = std::min(minimum_, value);
    maximum_ = std::max(maximum_, value);
    ++count_;
    mean_ += value / count_ - mean_ / count_;
  }
  void Describe(v1::Column* column) const {
    if (count_ == 0) return;
    column->set_minimum(minimum_);
    column->set_maximum(maximum_);
    column->set_mean(mean_);
  }

 private:
  double minimum_ = std::numeric_limits<double>::infinity();
  double maximum_ = -std::numeric_limits<double>::infinity();
  double mean_ = 0;
  double count_ = 0;
};

void DescribePixels(const IdxArray& pixels, v1::Column* column) {
  column->set_name("pixels");
  column->set_type(v1::COLUMN_TYPE_NUMERIC);
  column->mutable_shape()->Assign(pixels.shape.begin(), pixels.shape.end());
  const int64_t values = pixels.records * pixels.elements;
  double sum = 0, minimum = pixels.At(0), maximum = minimum;
  for (int64_t i = 0; i < values; ++i) {
    const double value = pixels.At(i);
    minimum = std::min(minimum, value);
    maximum = std::max(maximum, value);
    sum += value;
  }
  column->set_minimum(minimum);
  column->set_maximum(maximum);
  column->set_mean(sum / static_cast<double>(values));
}

}  // namespace

absl::StatusOr<v1::Dataset> InspectDataset(const v1::DatasetSpec& spec) {
  ASSIGN_OR_RETURN(const DatasetFiles files, FindFiles(spec));
  ASSIGN_OR_RETURN(const v1::DatasetFormat language, LanguageFormat(spec, files));
  if (language != v1::DATASET_FORMAT_UNSPECIFIED) {
    return InspectLanguage(language, spec, files.data, files.tokenizer);
  }
  ASSIGN_OR_RETURN(const Table table, LoadTable(spec));
  absl::StatusOr<Target> target = ResolveTarget(table, spec.task());
  if (!target.ok()) return Annotate(target.status(), spec.path());

  v1::Dataset dataset;
  dataset.set_format(table.format);
  dataset.set_path(AbsolutePath(spec.path()));
  if (!spec.labels().empty()) dataset.set_labels_path(AbsolutePath(spec.labels()));
  dataset.set_label(spec.label());
  dataset.set_fingerprint(table.fingerprint);
  dataset.set_bytes(table.bytes);
  dataset.set_records(table.records);
  dataset.set_task(target->task);
  for (const std::string& name : target->classes) dataset.add_classes(name);
  if (table.pixels.has_value()) DescribePixels(*table.pixels, dataset.add_columns());
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const TableColumn& source = table.columns[c];
    v1::Column* column = dataset.add_columns();
    column->set_name(source.name);
    column->set_type(source.type);
    column->set_missing(source.missing);
    column->set_distinct(static_cast<int64_t>(source.categories.size()));
    if (c != table.label && source.categories.size() > kMaxCategories) {
      return absl::InvalidArgumentError(absl::StrCat(
          spec.path(), ": column ", Quoted(source.name), ": ", source.categories.size(),
          " categories are too many (at most ", kMaxCategories,
          "); if it is a key or free text, write `dataset.columns: {", source.name, ": ignore}`"));
    }
    Summary summary;
    for (double value : source.values) {
      if (!std::isnan(value)) summary.Add(value);
    }
    summary.Describe(column);
  }
  return dataset;
}

}  // namespace lockstep
