// Loops over channels are innermost and plain, so that the compiler vectorises them.

#include "kernels/pool.h"

#include <string.h>

#include "kernels/cpu/image_variants.h"

namespace lockstep::kernels::cpu::LOCKSTEP_ISA {
namespace {

int64_t Extent(int64_t extent, const PoolShape& s) {
  return (extent + 2 * s.padding - s.kernel) / s.stride + 1;
}

// Calls f(output pixel, input pixel, tap) for each pixel of each window of one image, outputs and taps in
// row-major order.
template <typename F>
inline __attribute__((always_inline)) void ForEachPixel(const PoolShape& s, F f) {
  const int64_t rows = Extent(s.height, s), columns = Extent(s.width, s);
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      for (int64_t kh = 0; kh < s.kernel; ++kh) {
        const int64_t h = r * s.stride + kh - s.padding;
        if (h < 0 || h >= s.height) continue;
        for (int64_t kw = 0; kw < s.kernel; ++kw) {
          const int64_t w = c * s.stride + kw - s.padding;
          if (w < 0 || w >= s.width) continue;
          f(r * columns + c, h * s.width + w, kh * s.kernel + kw);
        }
      }
    }
  }
}

void Fill(int64_t count, float value, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = value;
}

// Windows that tile the image: each pixel has one.
bool Disjoint(const PoolShape& s) { return s.kernel == s.stride && s.padding == 0; }

template <bool kWinner>
void MaxForward(const PoolShape& s, int64_t begin, int64_t end, const float* x, float* y, uint8_t* winner) {
  const int64_t k = s.channels, out = Extent(s.height, s) * Extent(s.width, s) * k;
  for (int64_t n = begin; n < end; ++n) {
    const float* image = x + n * s.height * s.width * k;
    int64_t seen = -1;
    ForEachPixel(s, [&](int64_t to, int64_t from, int64_t tap) {
      const float* __restrict in = image + from * k;
      float* __restrict best = y + n * out + to * k;
      uint8_t* __restrict which = kWinner ? winner + n * out + to * k : nullptr;
      const bool first = to != seen;
      seen = to;
      if (first) {
        for (int64_t i = 0; i < k; ++i) best[i] = in[i];
        if (kWinner) memset(which, static_cast<int>(tap), static_cast<size_t>(k));
        return;
      }
      const uint8_t number = static_cast<uint8_t>(tap);
      for (int64_t i = 0; i < k; ++i) {
        // Not (in <= best): so that a NaN comes through, and stays.
        const bool larger = !(in[i] <= best[i]) && best[i] == best[i];
        best[i] = larger ? in[i] : best[i];
        if (kWinner) which[i] = larger ? number : which[i];
      }
    });
  }
}

}  // namespace

void MaxPoolForward(const PoolShape& s, int64_t begin, int64_t end, const float* x, float* y,
                    uint8_t* winner) {
  if (winner == nullptr) return MaxForward<false>(s, begin, end, x, y, nullptr);
  MaxForward<true>(s, begin, end, x, y, winner);
}

void MaxPoolBackward(const PoolShape& s, int64_t begin, int64_t end, const float* dy, const uint8_t* winner,
                     bool add, float* dx) {
  const int64_t k = s.channels, in = s.height * s.width * k,
                out = Extent(s.height, s) * Extent(s.width, s) * k;
  const bool whole = s.height % s.kernel == 0 && s.width % s.kernel == 0;
  const bool write = !add && Disjoint(s);
  for (int64_t n = begin; n < end; ++n) {
    float* image = dx + n * in;
    if (!add && !(write && whole)) Fill(in, 0.0f, image);
    ForEachPixel(s, [&](int64_t from, int64_t to, int64_t tap) {
      const float* __restrict gradient = dy + n * out + from * k;
      const uint8_t* __restrict which = winner + n * out + from * k;
      float* __restrict pixel = image + to * k;
      const uint8_t number = static_cast<uint8_t>(tap);
      if (write) {
        for (int64_t i = 0; i < k; ++i) pixel[i] = which[i] == number ? gradient[i] : 0.0f;
      } else {
        for (int64_t i = 0; i < k; ++i) pixel[i] += which[i] == number ? gradient[i] : 0.0f;
      }
    });
  }
}

void AveragePoolForward(const PoolShape& s, int64_t begin, int64_t end, const float* x, float* y) {
  const int64_t k = s.channels, out = Extent(s.height, s) * Extent(s.width, s) * k;
  const float scale = 1.0f / static_cast<float>(s.kernel * s.kernel);
  for (int64_t n = begin; n < end; ++n) {
    const float* image = x + n * s.height * s.width * k;
    Fill(out, 0.0f, y + n * out);
    ForEachPixel(s, [&](int64_t to, int64_t from, int64_t) {
      const float* __restrict in = image + from * k;
      float* __restrict sum = y + n * out + to * k;
      for (int64_t i = 0; i < k; ++i) sum[i] += in[i];
    });
    for (int64_t i = 0; i < out; ++i) y[n * out + i] *= scale;
  }
}

void AveragePoolBackward(const PoolShape& s, int64_t begin, int64_t end, const float* dy, bool add,
                         float* dx) {
  const int64_t k = s.channels, in = s.height * s.width * k,
                out = Extent(s.height, s) * Extent(s.width, s) * k;
  const float scale = 1.0f / static_cast<float>(s.kernel * s.kernel);
  for (int64_t n = begin; n < end; ++n) {
    float* image = dx + n * in;
    if (!add) Fill(in, 0.0f, image);
    ForEachPixel(s, [&](int64_t from, int64_t to, int64_t) {
      const float* __restrict gradient = dy + n * out + from * k;
      float* __restrict pixel = image + to * k;
      for (int64_t i = 0; i < k; ++i) pixel[i] += scale * gradient[i];
    });
  }
}

void GlobalAveragePoolForward(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* x,
                              float* y) {
  const float scale = 1.0f / static_cast<float>(pixels);
  for (int64_t n = begin; n < end; ++n) {
    float* __restrict sum = y + n * channels;
    Fill(channels, 0.0f, sum);
    for (int64_t p = 0; p < pixels; ++p) {
      const float* __restrict in = x + (n * pixels + p) * channels;
      for (int64_t i = 0; i < channels; ++i) sum[i] += in[i];
    }
    for (int64_t i = 0; i < channels; ++i) sum[i] *= scale;
  }
}

void GlobalAveragePoolBackward(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* dy,
                               bool add, float* dx) {
  const float scale = 1.0f / static_cast<float>(pixels);
  for (int64_t n = begin; n < end; ++n) {
    const float* __restrict gradient = dy + n * channels;
    for (int64_t p = 0; p < pixels; ++p) {
      float* __restrict pixel = dx + (n * pixels + p) * channels;
      for (int64_t i = 0; i < channels; ++i) pixel[i] = (add ? pixel[i] : 0.0f) + scale * gradient[i];
    }
  }
}

}  // namespace lockstep::kernels::cpu::LOCKSTEP_ISA
