#include "common/data/preprocessing.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "common/data/cell.h"

namespace lockstep {
namespace {

const char* ScalingName(v1::Scaling scaling) {
  switch (scaling) {
    case v1::SCALING_MINMAX:
      return "minmax";
    case v1::SCALING_NONE:
      return "none";
    default:
      return "standard";
  }
}

// The transform from the moments. REQUIRES: minimum <= maximum.
absl::StatusOr<NumericTransform> FromMoments(double minimum, double maximum, double mean, double variance,
                                             v1::Scaling scaling) {
  NumericTransform transform;
  const bool constant = minimum == maximum;
  transform.fill = constant ? minimum : mean;
  if (scaling == v1::SCALING_STANDARD) {
    transform.offset = transform.fill;
    transform.scale = constant ? 1 : std::sqrt(variance);
  } else if (scaling == v1::SCALING_MINMAX) {
    transform.offset = minimum;
    transform.scale = constant ? 1 : maximum - minimum;
  }
  if (transform.scale == 0) transform.scale = 1;  // a spread below what a double can square
  if (!std::isfinite(transform.fill) || !std::isfinite(transform.scale)) {
    return absl::InvalidArgumentError(absl::StrCat("values from ", minimum, " to ", maximum,
                                                   " are too large to scale; rescale or ignore the column"));
  }
  return transform;
}

}  // namespace

float NumericTransform::Apply(double value) const { return static_cast<float>((value - offset) / scale); }

absl::StatusOr<NumericTransform> FitNumeric(const std::vector<double>& values,
                                            const std::vector<int64_t>& records, v1::Scaling scaling) {
  double minimum = std::numeric_limits<double>::infinity(), maximum = -minimum, sum = 0;
  int64_t count = 0;
  for (int64_t r : records) {
    const double value = values[static_cast<size_t>(r)];
    if (std::isnan(value)) continue;
    minimum = std::min(minimum, value);
    maximum = std::max(maximum, value);
    sum += value;
    ++count;
  }
  if (count == 0) return NumericTransform{};
  const double mean = sum / static_cast<double>(count);
  double squares = 0;
  for (int64_t r : records) {
    const double value = values[static_cast<size_t>(r)];
    if (!std::isnan(value)) squares += (value - mean) * (value - mean);
  }
  return FromMoments(minimum, maximum, mean, squares / static_cast<double>(count), scaling);
}

absl::Status Preprocessing::FitPixels(const IdxArray& pixels, const std::vector<int64_t>& train) {
  has_pixels_ = true;
  pixel_shape_ = pixels.shape;
  features_ = pixels.elements;
  double minimum = std::numeric_limits<double>::infinity(), maximum = -minimum, mean = 0, squares = 0;
  const double count = static_cast<double>(train.size()) * static_cast<double>(pixels.elements);
  if (pixels.type == IdxType::kUbyte) {
    std::array<int64_t, 256> histogram{};
    for (int64_t r : train) {
      const std::string_view row =
          pixels.data.substr(static_cast<size_t>(r * pixels.elements), static_cast<size_t>(pixels.elements));
      for (char c : row) ++histogram[static_cast<unsigned char>(c)];
    }
    double sum = 0;
    for (int v = 0; v < 256; ++v) {
      if (histogram[v] == 0) continue;
      minimum = std::min(minimum, static_cast<double>(v));
      maximum = v;
      sum += static_cast<double>(histogram[v]) * v;
    }
    mean = sum / count;
    for (int v = 0; v < 256; ++v) squares += static_cast<double>(histogram[v]) * (v - mean) * (v - mean);
  } else {
    double sum = 0;
    for (int64_t r : train) {
      for (int64_t e = 0; e < pixels.elements; ++e) {
        const double value = pixels.At(r * pixels.elements + e);
        minimum = std::min(minimum, value);
        maximum = std::max(maximum, value);
        sum += value;
      }
    }
    mean = sum / count;
    for (int64_t r : train) {
      for (int64_t e = 0; e < pixels.elements; ++e) {
        const double value = pixels.At(r * pixels.elements + e);
        squares += (value - mean) * (value - mean);
      }
    }
  }
  absl::StatusOr<NumericTransform> fitted = FromMoments(minimum, maximum, mean, squares / count, scaling_);
  if (!fitted.ok()) return Annotate(fitted.status(), "pixels");
  pixels_ = *fitted;
  return absl::OkStatus();
}

absl::StatusOr<Preprocessing> Preprocessing::Fit(const Table& table, const std::vector<int64_t>& train,
                                                 v1::Scaling scaling) {
  Preprocessing result;
  result.scaling_ = scaling == v1::SCALING_UNSPECIFIED ? v1::SCALING_STANDARD : scaling;
  if (table.pixels.has_value()) {
    RETURN_IF_ERROR(result.FitPixels(*table.pixels, train));
    return result;
  }
  for (size_t c = 0; c < table.columns.size(); ++c) {
    const TableColumn& source = table.columns[c];
    if (c == table.label || source.type == v1::COLUMN_TYPE_IGNORE) continue;
    Column& column = result.columns_.emplace_back();
    column.index = c;
    column.name = source.name;
    column.categorical = source.type == v1::COLUMN_TYPE_CATEGORICAL;
    if (!column.categorical) {
      absl::StatusOr<NumericTransform> fitted = FitNumeric(source.values, train, result.scaling_);
      if (!fitted.ok()) return Annotate(fitted.status(), absl::StrCat("column ", Quoted(source.name)));
      column.numeric = *fitted;
      ++result.features_;
      continue;
    }
    std::vector<bool> seen(source.categories.size(), false);
    bool missing_seen = false;
    for (int64_t r : train) {
      const int32_t code = source.codes[static_cast<size_t>(r)];
      if (code == TableColumn::kMissingCode) {
        missing_seen = true;
      } else {
        seen[static_cast<size_t>(code)] = true;
      }
    }
    column.slot_of_code.assign(seen.size(), -1);
    for (size_t k = 0; k < seen.size(); ++k) {
      if (!seen[k]) continue;
      column.slot_of_code[k] = static_cast<int32_t>(column.categories.size());
      column.categories.push_back(source.categories[k]);
    }
    if (missing_seen) {
      column.missing_slot = static_cast<int32_t>(column.categories.size());
      column.categories.emplace_back();
    }
    result.features_ += static_cast<int64_t>(column.categories.size());
  }
  return result;
}

absl::Status Preprocessing::Apply(const Table& table, int64_t record, float* out) const {
  if (has_pixels_) {
    const int64_t first = record * features_;
    for (int64_t e = 0; e < features_; ++e) {
      const double value = table.pixels->At(first + e);
      out[e] = pixels_.Apply(value);
      if (!std::isfinite(out[e])) {
        return absl::InvalidArgumentError(absl::StrCat("row ", record + 1, ", pixel ", e, ": ", value,
                                                       " is too large for a float after scaling"));
      }
    }
    return absl::OkStatus();
  }
  const size_t row = static_cast<size_t>(record);
  for (const Column& column : columns_) {
    const TableColumn& source = table.columns[column.index];
    if (column.categorical) {
      const int32_t code = source.codes[row];
      const int32_t slot = code == TableColumn::kMissingCode ? column.missing_slot
                                                             : column.slot_of_code[static_cast<size_t>(code)];
      std::fill_n(out, column.categories.size(), 0.0f);
      if (slot >= 0) out[slot] = 1.0f;
      out += column.categories.size();
      continue;
    }
    const double value = std::isnan(source.values[row]) ? column.numeric.fill : source.values[row];
    *out = column.numeric.Apply(value);
    if (!std::isfinite(*out)) {
      return absl::InvalidArgumentError(absl::StrCat("row ", record + 1, ", column ", Quoted(column.name),
                                                     ": ", value, " is too large for a float after scaling"));
    }
    ++out;
  }
  return absl::OkStatus();
}

nlohmann::ordered_json Preprocessing::ToJson() const {
  nlohmann::ordered_json json;
  json["scaling"] = ScalingName(scaling_);
  json["features"] = features_;
  if (has_pixels_) {
    json["pixels"] = {{"shape", pixel_shape_}, {"offset", pixels_.offset}, {"scale", pixels_.scale}};
    return json;
  }
  json["columns"] = nlohmann::ordered_json::array();
  for (const Column& column : columns_) {
    if (column.categorical) {
      json["columns"].push_back(
          {{"name", column.name}, {"type", "categorical"}, {"categories", column.categories}});
    } else {
      json["columns"].push_back({{"name", column.name},
                                 {"type", "numeric"},
                                 {"fill", column.numeric.fill},
                                 {"offset", column.numeric.offset},
                                 {"scale", column.numeric.scale}});
    }
  }
  return json;
}

}  // namespace lockstep
