// Small values as people read them. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"

namespace lockstep {

std::string NumberText(double value);            // four significant digits: "0.03172", "12.5", "1.2e-07"
std::string FractionText(double value);          // "0.9764"
std::string CountText(int64_t value);            // "1,797"
std::string BytesText(int64_t bytes);            // "1.2 MiB"
std::string DurationText(absl::Duration value);  // "0.4 s", "12 s", "3m 05s", "2h 10m", "3d 4h"

absl::Duration ToDuration(const google::protobuf::Duration& value);
absl::Time ToTime(const google::protobuf::Timestamp& value);

// "12 s ago"; "-" for an unset time.
std::string AgeText(const google::protobuf::Timestamp& value, absl::Time now);

// Columns that a string takes on a terminal, for text in UTF-8 without wide characters.
size_t DisplayWidth(std::string_view text);

// Control characters (but the newline) replaced, so that text from elsewhere cannot steer the terminal.
std::string Printable(std::string_view text);

// Columns as wide as their widest cell, two spaces apart, no trailing spaces; numbers to the right where
// `right` says so (by column, absent: left). The first row is the head, in capitals by convention.
std::string TableText(const std::vector<std::vector<std::string>>& rows, const std::vector<bool>& right = {});

// What the terminal can show.
struct Style {
  bool color = false;
  bool unicode = false;
  int width = 80;

  std::string Paint(const char* code, const std::string& text) const;
  std::string Bold(const std::string& text) const { return Paint("1", text); }
  std::string Dim(const std::string& text) const { return Paint("2", text); }
  std::string Red(const std::string& text) const { return Paint("31", text); }
  std::string Green(const std::string& text) const { return Paint("32", text); }
  std::string Yellow(const std::string& text) const { return Paint("33", text); }
};

}  // namespace lockstep
