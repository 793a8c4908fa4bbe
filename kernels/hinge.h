// Multi-class hinge loss (Weston & Watkins 1999), forward and backward fused and in place.
//
//   loss[r]      = sum over c != label of max(0, 1 + z[r][c] - z[r][label])
//   dz[r][c]     = scale where that margin is above 0, else 0;   dz[r][label] = -scale * (how many are)
//   correct[r]   = 1 if the first largest score is the label's, else 0
//
// PyTorch's MultiMarginLoss is this divided by the classes. Shapes: scores (rows, classes), overwritten with
// dz; labels, losses, correct (rows). Each row alone decides its bits: the sum runs over 16 fixed lanes
// (class mod 16), which are then added pairwise. A NaN score makes its row's loss NaN. A label of -1 leaves
// the row out: zeros. REQUIRES: -1 <= label < classes.
#pragma once

#include <cstdint>

namespace lockstep::kernels::cpu {

void Hinge(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* scores, float* losses,
           float* correct);

}  // namespace lockstep::kernels::cpu
