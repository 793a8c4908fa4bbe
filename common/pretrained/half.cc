#include "common/pretrained/half.h"

#include <bit>
#include <cmath>
#include <cstring>

namespace lockstep {
namespace {

float FromBfloat16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// IEEE binary16.
float FromFloat16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  const uint32_t exponent = (bits >> 10) & 0x1fu, fraction = bits & 0x3ffu;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent == 0) {
    const float magnitude = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
}

template <typename Stored, typename Convert>
void Each(const void* data, int64_t count, float* out, const Convert& convert) {
  const char* at = static_cast<const char*>(data);
  for (int64_t i = 0; i < count; ++i, at += sizeof(Stored)) {
    Stored stored;
    std::memcpy(&stored, at, sizeof(Stored));
    out[i] = convert(stored);
  }
}

}  // namespace

bool IsFloat(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF64;
}

void ToFloat(DType dtype, const void* data, int64_t count, float* out) {
  switch (dtype) {
    case DType::kBF16:
      return Each<uint16_t>(data, count, out, FromBfloat16);
    case DType::kF16:
      return Each<uint16_t>(data, count, out, FromFloat16);
    case DType::kF64:
      return Each<double>(data, count, out, [](double x) { return static_cast<float>(x); });
    default:
      std::memcpy(out, data, static_cast<size_t>(count) * sizeof(float));
  }
}

}  // namespace lockstep
