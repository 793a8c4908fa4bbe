// What one cell of text means: a number, a missing value, or neither; and how it is quoted in a message.
#pragma once

#include <string>
#include <string_view>

namespace lockstep {

// Decimal, finite: "3", "-1.5e3", "+2". Not "inf", "nan", "0x10", "1,5" or "". A magnitude too small for a
// double is 0.
bool ParseNumber(std::string_view text, double* value);

// "", NA, NaN, null (any case). Of a quoted cell, only the empty one.
bool IsMissing(std::string_view text, bool quoted);

bool IsUtf8(std::string_view text);

// 'text', with unprintable bytes escaped and cut to a readable length.
std::string Quoted(std::string_view text);

// The name of a numeric class: "3" for 3, else the shortest text that reads back.
std::string NumberName(double value);

}  // namespace lockstep
