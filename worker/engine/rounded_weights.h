// A second copy of the weights, rounded to bfloat16 (kernels/rounding.h), for products in bf16: each step
// reads every weight twice for its products, and two bytes of it instead of four. The optimizer keeps it
// (Optimizer::KeepRounded), so its Apply is followed by Updated; whoever else changes the weights calls
// Forget.
#pragma once

#include <cstdint>

#include "worker/engine/engine.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {

class RoundedWeights {
 public:
  RoundedWeights() = default;  // none
  // Of `count` weights, where products of this precision read them so; else none. The optimizer keeps them
  // from here on; it outlives this, or forgets them first.
  RoundedWeights(int64_t count, Precision precision, const kernels::Rounding& rounding, Optimizer* optimizer);

  static int64_t Bytes(int64_t count, Precision precision);
  int64_t bytes() const { return static_cast<int64_t>(sizeof(uint16_t)) * count_; }
  uint16_t* data() { return count_ == 0 ? nullptr : reinterpret_cast<uint16_t*>(memory_.data()); }

  void Forget() { current_ = false; }
  void Updated(int64_t step) { step_ = step; }
  // They are these weights, rounded for the gradient number `step`.
  void Follow(const float* weights, int64_t step);

 private:
  int64_t count_ = 0;
  bool stochastic_ = false;
  Optimizer* optimizer_ = nullptr;
  ZeroedFloats memory_;  // two values in a float's room
  bool current_ = false;
  int64_t step_ = 0;
};

}  // namespace lockstep::engine
