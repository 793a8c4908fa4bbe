#include "common/spec/checks.h"

#include <cmath>

#include "absl/strings/str_cat.h"

namespace lockstep::spec {

absl::Status Invalid(absl::string_view field, absl::string_view message) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", message));
}

absl::Status InRange(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected an integer from ", low, " to ", high, ", got ", value));
}

absl::Status AtLeast(absl::string_view field, int64_t value, int64_t low) {
  if (value >= low) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected an integer of at least ", low, ", got ", value));
}

absl::Status Positive(absl::string_view field, double value) {
  if (std::isfinite(value) && value > 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a finite number above 0, got ", value));
}

absl::Status NotNegative(absl::string_view field, double value) {
  if (std::isfinite(value) && value >= 0) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a finite number of at least 0, got ", value));
}

absl::Status Fraction(absl::string_view field, double value) {
  if (value >= 0 && value < 1) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a number from 0 up to but not including 1, got ", value));
}

absl::Status ZeroToOne(absl::string_view field, double value) {
  if (value >= 0 && value <= 1) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a number from 0 to 1, got ", value));
}

absl::Status InnerFraction(absl::string_view field, double value) {
  if (value > 0 && value < 1) return absl::OkStatus();
  return Invalid(field, absl::StrCat("expected a number between 0 and 1, both excluded, got ", value));
}

}  // namespace lockstep::spec
