#include "common/data/target.h"

#include <algorithm>
#include <cmath>

#include "common/data/cell.h"

namespace lockstep {
namespace {

constexpr size_t kMaxInferredClasses = 50;
constexpr size_t kMaxClasses = 1000;

absl::Status CheckClassCount(const std::string& name, size_t classes) {
  if (classes > kMaxClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat("label ", Quoted(name), ": ", classes, " distinct values are too many classes (at most ",
                     kMaxClasses, "); is it the right column, or is `dataset.task: regression` meant?"));
  }
  if (classes < 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "label ", Quoted(name), ": all rows have the same value; classification needs at least 2 classes"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Target> ResolveTarget(const Table& table, v1::Task declared) {
  Target target;
  target.task = declared;
  if (declared == v1::TASK_RECONSTRUCTION) return target;
  const TableColumn& label = table.label_column();
  if (label.type == v1::COLUMN_TYPE_CATEGORICAL) {
    if (declared == v1::TASK_REGRESSION) {
      return absl::InvalidArgumentError(
          absl::StrCat("label ", Quoted(label.name),
                       ": `dataset.task: regression` needs numbers, but the column is "
                       "categorical (for example ",
                       Quoted(label.categories.empty() ? "" : label.categories[0]), ")"));
    }
    RETURN_IF_ERROR(CheckClassCount(label.name, label.categories.size()));
    target.task = v1::TASK_CLASSIFICATION;
    target.classes = label.categories;
    target.class_of = label.codes;
    return target;
  }

  const auto fraction = std::find_if(label.values.begin(), label.values.end(),
                                     [](double value) { return value != std::floor(value); });
  if (declared == v1::TASK_CLASSIFICATION && fraction != label.values.end()) {
    return absl::InvalidArgumentError(absl::StrCat("row ", fraction - label.values.begin() + 1, ": label ",
                                                   Quoted(label.name), " is ", NumberName(*fraction),
                                                   ": `dataset.task: classification` needs integers or "
                                                   "categories; use regression, or `dataset.columns: {",
                                                   label.name, ": categorical}`"));
  }
  std::vector<double> distinct;
  if (fraction == label.values.end() && declared != v1::TASK_REGRESSION) {
    distinct = label.values;
    std::sort(distinct.begin(), distinct.end());
    distinct.erase(std::unique(distinct.begin(), distinct.end()), distinct.end());
    if (declared == v1::TASK_UNSPECIFIED && distinct.size() <= kMaxInferredClasses) {
      target.task = v1::TASK_CLASSIFICATION;
    }
  }
  if (target.task != v1::TASK_CLASSIFICATION) {
    target.task = v1::TASK_REGRESSION;
    target.values = label.values;
    return target;
  }
  RETURN_IF_ERROR(CheckClassCount(label.name, distinct.size()));
  for (double value : distinct) target.classes.push_back(NumberName(value));
  target.class_of.reserve(label.values.size());
  for (double value : label.values) {
    target.class_of.push_back(
        static_cast<int32_t>(std::lower_bound(distinct.begin(), distinct.end(), value) - distinct.begin()));
  }
  return target;
}

}  // namespace lockstep
