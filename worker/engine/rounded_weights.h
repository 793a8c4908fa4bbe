// A second copy of the weights, rounded to bfloat16, for products in bf16: each step reads every weight twice
// for its products, and two bytes of it instead of four. The optimizer keeps it (Optimizer::KeepRounded);
// whoever else changes the weights calls Forget.
#pragma once

#include <cstdint>

#include "worker/engine/engine.h"
#include "worker/engine/zeroed_floats.h"

namespace lockstep::engine {

class RoundedWeights {
 public:
  RoundedWeights() = default;  // none
  // Of `count` weights, where products of this precision read them so; else none. `team` (may be null)
  // outlives this.
  RoundedWeights(int64_t count, Precision precision, Team* team);

  static int64_t Bytes(int64_t count, Precision precision);
  int64_t bytes() const { return static_cast<int64_t>(sizeof(uint16_t)) * count_; }
  uint16_t* data() { return count_ == 0 ? nullptr : reinterpret_cast<uint16_t*>(memory_.data()); }

  void Forget() { current_ = false; }
  // They are these weights, rounded.
  void Follow(const float* weights);

 private:
  int64_t count_ = 0;
  Team* team_ = nullptr;
  ZeroedFloats memory_;  // two values in a float's room
  bool current_ = false;
};

}  // namespace lockstep::engine
