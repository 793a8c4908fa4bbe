// The pointwise part of LSTM and GRU steps on a GPU: kernels/recurrent_cell.h says what is computed, here for
// `rows` rows. On an error nothing was queued.
#pragma once

#include <cstdint>

#include "kernels/cuda/stream.h"
#include "kernels/recurrent_cell.h"

namespace lockstep::kernels::cuda {

// gates: products in, activations out. recurrent and c_before are null where there is no step before.
Launched LstmCellForward(const RecurrentCell& cell, int64_t rows, const float* bias_input,
                         const float* bias_hidden, const float* recurrent, const float* c_before,
                         float* gates, float* c, float* h, Stream stream);
// gates: activations in, gradients of `a` out.
Launched LstmCellBackward(const RecurrentCell& cell, int64_t rows, const float* c_before, const float* c,
                          const float* dy, const float* from_next, float* dc, float* gates, Stream stream);
// gates: products in, activations out; recurrent: products in, hn out in its last third.
Launched GruCellForward(const RecurrentCell& cell, int64_t rows, const float* bias_input,
                        const float* bias_hidden, const float* h_before, float* gates, float* recurrent,
                        float* h, Stream stream);
// gates, recurrent: what forward left in, gradients of the products out.
Launched GruCellBackward(const RecurrentCell& cell, int64_t rows, const float* h_before, const float* dy,
                         const float* from_next, float* carry, float* gates, float* recurrent, Stream stream);

}  // namespace lockstep::kernels::cuda
