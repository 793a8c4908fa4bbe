// Batch normalisation over the pixels of one logical shard (Ioffe & Szegedy 2015), with the addition of a
// residual and ReLU in the same pass.
//
//   mean, variance     over the shard's N pixels (real rows x height x width), variance biased (divided by N)
//   inverse            1 / sqrt(variance + epsilon)
//   forward            y = f((x - mean) * inverse * gamma + beta + residual)
//   backward           g = dy where y > 0, else 0 (with ReLU; else dy);  dbeta = sum g;  dgamma = sum g *
//   xhat
//                      dx = gamma * inverse * (g - dbeta / N - xhat * dgamma / N),  xhat = (x - mean) *
//                      inverse dresidual = g
//
// Shapes: x, y, residual, dy, dx (pixels, channels), dense float32; everything else (channels).
//
// The statistics are those of blocks of 32 pixels (mean first, then squares about it), merged in order (Chan,
// Golub & LeVeque 1983): one pass over memory, the accuracy of two. Sums of the backward pass are sums of
// blocks, too. Bits depend on the shard's pixels alone; channels are independent of each other. Everything
// runs on the calling thread.
#pragma once

#include <cstdint>

namespace lockstep::kernels {

// What a shard is normalised with.
struct BatchNormFactors {
  const float* mean = nullptr;
  const float* inverse = nullptr;
  const float* gamma = nullptr;
  const float* beta = nullptr;
};

namespace cpu {

// Channels [begin, end) of mean and variance; zeros where there are no pixels.
void BatchNormStatistics(int64_t pixels, int64_t channels, int64_t begin, int64_t end, const float* x,
                         float* mean, float* variance);
void BatchNormInverse(int64_t channels, float epsilon, const float* variance, float* inverse);
// `residual` may be null. y may be x.
void BatchNormForward(int64_t pixels, int64_t channels, const BatchNormFactors& factors, const float* x,
                      const float* residual, bool relu, float* y);
// Channels [begin, end) of dgamma and dbeta; zeros where there are no pixels. After a residual and ReLU `y`
// says which elements count and dy is overwritten with g; otherwise y is null, and with `relu` they are
// computed again from x.
void BatchNormSums(int64_t pixels, int64_t channels, int64_t begin, int64_t end,
                   const BatchNormFactors& factors, const float* x, const float* y, bool relu, float* dy,
                   float* dgamma, float* dbeta);
// `count` is N; `pixels` of them are computed here. `relu`: as above, without a residual. Writes dx, or with
// `add` adds to it; dx may be dy.
void BatchNormInputGradient(int64_t count, int64_t pixels, int64_t channels, const BatchNormFactors& factors,
                            const float* dgamma, const float* dbeta, const float* x, bool relu,
                            const float* dy, bool add, float* dx);

}  // namespace cpu
}  // namespace lockstep::kernels
