// The three compilations of each CPU kernel, declared with the type of the public function.
#pragma once

#include "kernels/activation.h"
#include "kernels/adagrad.h"
#include "kernels/arrange.h"
#include "kernels/attention.h"
#include "kernels/combine.h"
#include "kernels/cross_entropy.h"
#include "kernels/dropout.h"
#include "kernels/embedding.h"
#include "kernels/gemm.h"
#include "kernels/hinge.h"
#include "kernels/lerp.h"
#include "kernels/lion.h"
#include "kernels/muon.h"
#include "kernels/norm.h"
#include "kernels/recurrent_cell.h"
#include "kernels/rmsprop.h"
#include "kernels/rope.h"
#include "kernels/rounding.h"
#include "kernels/shard_outer.h"
#include "kernels/squared_error.h"
#include "kernels/swiglu.h"
#include "kernels/tree_add.h"
#include "kernels/update.h"

// clang-format off
#define LOCKSTEP_VARIANTS(isa) \
  namespace isa { \
  decltype(cpu::BiasActivationForward) BiasActivationForward; \
  decltype(cpu::BiasActivationSlopes) BiasActivationSlopes; \
  decltype(cpu::SlopesBackward) SlopesBackward; \
  decltype(cpu::ActivationBackward) ActivationBackward; \
  decltype(cpu::DropoutForward) DropoutForward; \
  decltype(cpu::DropoutBackward) DropoutBackward; \
  decltype(cpu::SoftmaxCrossEntropy) SoftmaxCrossEntropy; \
  decltype(cpu::SquaredError) SquaredError; \
  decltype(cpu::Regularize) Regularize; \
  decltype(cpu::SgdUpdate) SgdUpdate; \
  decltype(cpu::AdamUpdate) AdamUpdate; \
  decltype(cpu::AdagradUpdate) AdagradUpdate; \
  decltype(cpu::RmsPropUpdate) RmsPropUpdate; \
  decltype(cpu::LionUpdate) LionUpdate; \
  decltype(cpu::MuonMomentum) MuonMomentum; \
  decltype(cpu::Lerp) Lerp; \
  decltype(cpu::RoundStochastically) RoundStochastically; \
  decltype(cpu::Combine) Combine; \
  decltype(cpu::Hinge) Hinge; \
  decltype(cpu::TreeAddInto) TreeAddInto; \
  void ShardOuterProductFp32(const ShardTree&, const OuterProduct&, float*); \
  void GemmFp32(const GemmArguments&, float*); \
  decltype(cpu::ShardColumnSum) ShardColumnSum; \
  decltype(cpu::Transpose) Transpose; \
  decltype(cpu::LayerNormForward) LayerNormForward; \
  decltype(cpu::LayerNormBackward) LayerNormBackward; \
  decltype(cpu::RmsNormForward) RmsNormForward; \
  decltype(cpu::RmsNormBackward) RmsNormBackward; \
  decltype(cpu::NormParameterGradients) NormParameterGradients; \
  decltype(cpu::EmbeddingForward) EmbeddingForward; \
  decltype(cpu::BucketTokens) BucketTokens; \
  decltype(cpu::OrderByToken) OrderByToken; \
  decltype(cpu::EmbeddingBackward) EmbeddingBackward; \
  decltype(cpu::RopeTable) RopeTable; \
  decltype(cpu::RopeForward) RopeForward; \
  decltype(cpu::RopeBackward) RopeBackward; \
  decltype(cpu::SwiGluForward) SwiGluForward; \
  decltype(cpu::SwiGluBackward) SwiGluBackward; \
  decltype(cpu::LstmCellForward) LstmCellForward; \
  decltype(cpu::LstmCellBackward) LstmCellBackward; \
  decltype(cpu::GruCellForward) GruCellForward; \
  decltype(cpu::GruCellBackward) GruCellBackward; \
  decltype(cpu::AddForward) AddForward; \
  decltype(cpu::CopyBlocks) CopyBlocks; \
  decltype(cpu::Permute) Permute; \
  decltype(cpu::AttentionForward) AttentionForward; \
  decltype(cpu::AttentionBackward) AttentionBackward; \
  }
// clang-format on

namespace lockstep::kernels::cpu {
LOCKSTEP_VARIANTS(v1)
LOCKSTEP_VARIANTS(v3)
LOCKSTEP_VARIANTS(v4)

// kernels/cpu/{gemm,shard_outer}_amx.cc
namespace amx {
void Gemm(const GemmArguments& arguments, float* scratch);
void ShardOuterProduct(const ShardTree& tree, const OuterProduct& product, float* scratch);
}  // namespace amx

// kernels/cpu/gemm_bf16.cc
namespace bf16 {
void Gemm(const GemmArguments& arguments, float* scratch);
decltype(cpu::RoundToBf16) RoundToBf16;
void ShardOuterProduct(const ShardTree& tree, const OuterProduct& product, float* scratch);
}  // namespace bf16
}  // namespace lockstep::kernels::cpu
