// cuBLASLt's calls over the kernels' emulation, for tests. It proposes these algorithms, in this order; each
// adds up an element in an order of its own, so that a result tells which one was used.
#pragma once

#include "kernels/cublas/lt_api.h"

namespace lockstep::kernels::stand_in {

enum Algorithm : int {
  kForwards = 0,   // k from first to last
  kBackwards = 1,  // from last to first
  kEvenFirst = 2,  // those of even k, then the others
  kSplit = 3,      // two sums, added (split-K)
  kByBatch = 4,    // forwards for a batch of one, else backwards: bits that depend on what is beside a matrix
  kUnsteady = 5,   // forwards in every third call, else backwards: bits that depend on the run
  kTf32 = 6,       // with operands that are not float32
  kAlgorithms = 7,
};

struct Behaviour {
  int fastest = kForwards;  // by the clock that LtLibrary has; -1: slower than our own kernel, all of them
  bool supports = true;     // false: has no algorithm for anything
  int refuses = -1;         // an algorithm that AlgoCheck does not accept (any more)
  bool fails = false;       // Matmul does
  size_t version = 130002;
};
// Of all from here on.
Behaviour& Behave();

// How often Matmul was called with this algorithm, in this process.
int64_t Uses(Algorithm algorithm);

// A small workspace, and every product is worth it.
const LtLibrary* Lt();

}  // namespace lockstep::kernels::stand_in
