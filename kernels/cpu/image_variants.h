// As cpu/variants.h, for the kernels that work on images.
#pragma once

#include "kernels/batch_norm.h"
#include "kernels/convolution.h"
#include "kernels/pool.h"

#define LOCKSTEP_IMAGE_VARIANTS(isa)                                  \
  namespace isa {                                                     \
  decltype(cpu::ConvolutionPackedSize) ConvolutionPackedSize;         \
  decltype(cpu::ConvolutionPackUnits) ConvolutionPackUnits;           \
  decltype(cpu::ConvolutionPack) ConvolutionPack;                     \
  decltype(cpu::ConvolutionScratch) ConvolutionScratch;               \
  decltype(cpu::ConvolutionForward) ConvolutionForward;               \
  decltype(cpu::ConvolutionInputGradient) ConvolutionInputGradient;   \
  decltype(cpu::ConvolutionWeightUnits) ConvolutionWeightUnits;       \
  decltype(cpu::ConvolutionWeightScratch) ConvolutionWeightScratch;   \
  decltype(cpu::ConvolutionWeightGradient) ConvolutionWeightGradient; \
  decltype(cpu::MaxPoolForward) MaxPoolForward;                       \
  decltype(cpu::MaxPoolBackward) MaxPoolBackward;                     \
  decltype(cpu::AveragePoolForward) AveragePoolForward;               \
  decltype(cpu::AveragePoolBackward) AveragePoolBackward;             \
  decltype(cpu::GlobalAveragePoolForward) GlobalAveragePoolForward;   \
  decltype(cpu::GlobalAveragePoolBackward) GlobalAveragePoolBackward; \
  decltype(cpu::BatchNormStatistics) BatchNormStatistics;             \
  decltype(cpu::BatchNormInverse) BatchNormInverse;                   \
  decltype(cpu::BatchNormForward) BatchNormForward;                   \
  decltype(cpu::BatchNormSums) BatchNormSums;                         \
  decltype(cpu::BatchNormInputGradient) BatchNormInputGradient;       \
  }

namespace lockstep::kernels::cpu {
LOCKSTEP_IMAGE_VARIANTS(v1)
LOCKSTEP_IMAGE_VARIANTS(v3)
LOCKSTEP_IMAGE_VARIANTS(v4)
}  // namespace lockstep::kernels::cpu
