// The largest numbers that a spec may ask for, where more than one part of it has them.
#pragma once

namespace lockstep::spec {

inline constexpr int kWidest = 65536;     // features, channels, heads
inline constexpr int kLongest = 1 << 20;  // tokens
inline constexpr int kLargestVocabulary = 10'000'000;
inline constexpr int kLongestSide = 16384;  // of an image, in pixels
inline constexpr int kMostAxes = 6;         // kernels/arrange.h

}  // namespace lockstep::spec
