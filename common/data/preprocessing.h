// From a table's raw columns to the features of the model: fitted once on the training records, then applied
// to any record. A numeric column becomes one feature, (x - offset) / scale, with `fill` for a missing x. A
// categorical column becomes one feature for each category seen in training (missing counts as one, written
// ""): 1 for the record's category, else 0; a category not seen in training is all zeros. IDX pixels share
// one offset and scale, so that an image keeps its contrast. Statistics are in double, in record order: the
// same bits on every rank. Immutable after Fit.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/data/table.h"
#include "lockstep/v1/job_spec.pb.h"
#include "nlohmann/json.hpp"

namespace lockstep {

struct NumericTransform {
  double fill = 0;  // training mean
  double offset = 0;
  double scale = 1;
  float Apply(double value) const;
};

// Mean and population deviation (standard), minimum and range (minmax) or 0 and 1 (none) of values[i], i in
// records, skipping NaN; a constant gets scale 1. INVALID_ARGUMENT: too large for double arithmetic.
absl::StatusOr<NumericTransform> FitNumeric(const std::vector<double>& values,
                                            const std::vector<int64_t>& records, v1::Scaling scaling);

class Preprocessing {
 public:
  // `scaling` UNSPECIFIED: standard. INVALID_ARGUMENT names the column.
  static absl::StatusOr<Preprocessing> Fit(const Table& table, const std::vector<int64_t>& train,
                                           v1::Scaling scaling);

  int64_t features() const { return features_; }

  // Writes features() values for `record` of `table`. INVALID_ARGUMENT: a value does not fit a float.
  // REQUIRES: `table` has the columns of the fitted one.
  absl::Status Apply(const Table& table, int64_t record, float* out) const;

  nlohmann::ordered_json ToJson() const;

 private:
  struct Column {
    size_t index = 0;  // into Table::columns
    std::string name;
    bool categorical = false;
    NumericTransform numeric;
    std::vector<std::string> categories;  // those of training
    std::vector<int32_t> slot_of_code;    // -1: not seen in training
    int32_t missing_slot = -1;
  };

  absl::Status FitPixels(const IdxArray& pixels, const std::vector<int64_t>& train);

  v1::Scaling scaling_ = v1::SCALING_STANDARD;
  int64_t features_ = 0;
  std::vector<Column> columns_;
  std::vector<int32_t> pixel_shape_;
  bool has_pixels_ = false;
  NumericTransform pixels_;
};

}  // namespace lockstep
