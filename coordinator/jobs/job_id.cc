#include "coordinator/jobs/job_id.h"

#include <algorithm>

namespace lockstep {
namespace {

// Crockford's base 32: in the order of their bytes, without i, l, o, u.
constexpr std::string_view kDigits = "0123456789abcdefghjkmnpqrstvwxyz";
constexpr int kTimeDigits = 9;  // 45 bits of milliseconds: until the year 3084
constexpr int kCounterDigits = 5;
constexpr uint64_t kCounterEnd = uint64_t{1} << (5 * kCounterDigits);

std::string Encode(uint64_t value, int digits) {
  std::string text(digits, '0');
  for (int i = digits - 1; i >= 0; --i, value >>= 5) text[i] = kDigits[value & 31];
  return text;
}

uint64_t Decode(std::string_view text) {
  uint64_t value = 0;
  for (const char digit : text) {
    const size_t found = kDigits.find(digit);
    value = value << 5 | (found == std::string_view::npos ? 0 : found);
  }
  return value;
}

}  // namespace

JobIds::JobIds(std::string_view last) {
  if (last.size() != kTimeDigits + kCounterDigits) return;
  millis_ = Decode(last.substr(0, kTimeDigits));
  counter_ = Decode(last.substr(kTimeDigits));
}

std::string JobIds::Next(absl::Time now) {
  const uint64_t millis = static_cast<uint64_t>(std::max<int64_t>(0, absl::ToUnixMillis(now)));
  if (millis > millis_) {
    millis_ = millis;
    counter_ = absl::Uniform<uint64_t>(random_, 0, kCounterEnd / 2);
  } else if (++counter_ == kCounterEnd) {
    ++millis_;
    counter_ = 0;
  }
  return Encode(millis_, kTimeDigits) + Encode(counter_, kCounterDigits);
}

}  // namespace lockstep
