#include "kernels/cpu/pick.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu {

void BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  LOCKSTEP_PICK(BiasActivationForward)(f, rows, width, bias, x, y);
}
void BiasActivationSlopes(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  LOCKSTEP_PICK(BiasActivationSlopes)(f, rows, width, bias, x, y);
}
void SlopesBackward(int64_t count, const float* slopes, const float* dy, float* dx) {
  LOCKSTEP_PICK(SlopesBackward)(count, slopes, dy, dx);
}
void ActivationBackward(Activation f, int64_t count, const float* saved, const float* dy, float* dx) {
  LOCKSTEP_PICK(ActivationBackward)(f, count, saved, dy, dx);
}
void DropoutForward(const DropoutKey& key, double p, int64_t rows, int64_t width, const float* x, float* y,
                    uint8_t* mask) {
  LOCKSTEP_PICK(DropoutForward)(key, p, rows, width, x, y, mask);
}
void DropoutBackward(double p, int64_t count, const uint8_t* mask, const float* dy, float* dx) {
  LOCKSTEP_PICK(DropoutBackward)(p, count, mask, dy, dx);
}
void SoftmaxCrossEntropy(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* logits,
                         float* losses, float* correct, float smoothing) {
  LOCKSTEP_PICK(SoftmaxCrossEntropy)(rows, classes, scale, labels, logits, losses, correct, smoothing);
}
void SquaredError(int64_t rows, int64_t width, float scale, const float* targets, float* y, float* losses) {
  LOCKSTEP_PICK(SquaredError)(rows, width, scale, targets, y, losses);
}
double Regularize(int64_t count, float l1, float l2, const float* weights, float* gradient) {
  return LOCKSTEP_PICK(Regularize)(count, l1, l2, weights, gradient);
}
void SgdUpdate(const SgdStep& step, const Clip& clip, int64_t count, const float* gradient, float* momentum,
               float* weights) {
  LOCKSTEP_PICK(SgdUpdate)(step, clip, count, gradient, momentum, weights);
}
void AdamUpdate(const AdamStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                float* v, float* weights) {
  LOCKSTEP_PICK(AdamUpdate)(step, clip, count, gradient, m, v, weights);
}
void AdagradUpdate(const AdagradStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* sums, float* weights) {
  LOCKSTEP_PICK(AdagradUpdate)(step, clip, count, gradient, sums, weights);
}
void RmsPropUpdate(const RmsPropStep& step, const Clip& clip, int64_t count, const float* gradient,
                   float* squares, float* buffer, float* weights) {
  LOCKSTEP_PICK(RmsPropUpdate)(step, clip, count, gradient, squares, buffer, weights);
}
void LionUpdate(const LionStep& step, const Clip& clip, int64_t count, const float* gradient, float* m,
                float* weights) {
  LOCKSTEP_PICK(LionUpdate)(step, clip, count, gradient, m, weights);
}
void MuonMomentum(float momentum, const Clip& clip, int64_t count, float* gradient, float* buffer) {
  LOCKSTEP_PICK(MuonMomentum)(momentum, clip, count, gradient, buffer);
}
void Lerp(int64_t count, float share, const float* x, float* y) { LOCKSTEP_PICK(Lerp)(count, share, x, y); }
void Combine(int64_t count, float a, const float* x, float b, float* y) {
  LOCKSTEP_PICK(Combine)(count, a, x, b, y);
}
void Hinge(int64_t rows, int64_t classes, float scale, const int32_t* labels, float* scores, float* losses,
           float* correct) {
  LOCKSTEP_PICK(Hinge)(rows, classes, scale, labels, scores, losses, correct);
}
void TreeAddInto(int64_t count, const float* source, float* target) {
  LOCKSTEP_PICK(TreeAddInto)(count, source, target);
}
void Gemm(GemmType type, const GemmArguments& arguments, float* scratch) {
  if (type == GemmType::kBf16) return (HasAmx() ? amx::Gemm : bf16::Gemm)(arguments, scratch);
  LOCKSTEP_PICK(GemmFp32)(arguments, scratch);
}
void RoundToBf16(int64_t count, const float* in, uint16_t* out, bool past_caches) {
  bf16::RoundToBf16(count, in, out, past_caches);
}
bool ReadsRounded() { return HasAmx(); }
void RoundStochastically(const Rounding& rounding, int64_t first, int64_t count, const float* in,
                         uint16_t* out) {
  LOCKSTEP_PICK(RoundStochastically)(rounding, first, count, in, out);
}
void ShardOuterProduct(GemmType type, const ShardTree& tree, const OuterProduct& product, float* scratch) {
  if (type == GemmType::kBf16) {
    // A shard fills tiles of 32 rows, or it does not: the same for all ranks and batches.
    const bool fills = int64_t{tree.rows_per_shard} * tree.positions >= 32;
    return (fills && HasAmx() ? amx::ShardOuterProduct : bf16::ShardOuterProduct)(tree, product, scratch);
  }
  LOCKSTEP_PICK(ShardOuterProductFp32)(tree, product, scratch);
}
void ShardColumnSum(const ShardTree& tree, int64_t begin, int64_t end, const float* b, int64_t ldb,
                    float* out, int64_t node_stride) {
  LOCKSTEP_PICK(ShardColumnSum)(tree, begin, end, b, ldb, out, node_stride);
}
void Transpose(int64_t rows, int64_t columns, const float* in, float* out) {
  LOCKSTEP_PICK(Transpose)(rows, columns, in, out);
}
void LayerNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* beta,
                      const float* x, float* y, float* mean, float* rstd) {
  LOCKSTEP_PICK(LayerNormForward)(rows, width, epsilon, gamma, beta, x, y, mean, rstd);
}
void LayerNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* mean,
                       const float* rstd, const float* dy, bool add, float* dx) {
  LOCKSTEP_PICK(LayerNormBackward)(rows, width, gamma, x, mean, rstd, dy, add, dx);
}
void RmsNormForward(int64_t rows, int64_t width, float epsilon, const float* gamma, const float* x, float* y,
                    float* rstd) {
  LOCKSTEP_PICK(RmsNormForward)(rows, width, epsilon, gamma, x, y, rstd);
}
void RmsNormBackward(int64_t rows, int64_t width, const float* gamma, const float* x, const float* rstd,
                     const float* dy, bool add, float* dx) {
  LOCKSTEP_PICK(RmsNormBackward)(rows, width, gamma, x, rstd, dy, add, dx);
}
void NormParameterGradients(const ShardTree& tree, int64_t width, int64_t begin, int64_t end, const float* x,
                            const float* mean, const float* rstd, const float* dy, float* dgamma,
                            float* dbeta, int64_t node_stride) {
  LOCKSTEP_PICK(NormParameterGradients)
  (tree, width, begin, end, x, mean, rstd, dy, dgamma, dbeta, node_stride);
}
void EmbeddingForward(int64_t rows, int64_t steps, int64_t width, const int32_t* tokens, const float* table,
                      const float* positions, float* y) {
  LOCKSTEP_PICK(EmbeddingForward)(rows, steps, width, tokens, table, positions, y);
}
void BucketTokens(const ShardTree& tree, const int32_t* tokens, int32_t* scratch, TokenBuckets& buckets) {
  LOCKSTEP_PICK(BucketTokens)(tree, tokens, scratch, buckets);
}
void OrderByToken(const ShardTree& tree, int begin, int end, const int32_t* tokens, int32_t* scratch,
                  int32_t* order) {
  LOCKSTEP_PICK(OrderByToken)(tree, begin, end, tokens, scratch, order);
}
void EmbeddingBackward(const ShardTree& tree, const TokenBuckets& buckets, int64_t begin, int64_t end,
                       int64_t width, const float* dy, float* dtable, int64_t node_stride) {
  LOCKSTEP_PICK(EmbeddingBackward)(tree, buckets, begin, end, width, dy, dtable, node_stride);
}
void RopeTable(int64_t steps, int64_t head_width, double theta, float* cosine, float* sine) {
  LOCKSTEP_PICK(RopeTable)(steps, head_width, theta, cosine, sine);
}
void RopeForward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* x) {
  LOCKSTEP_PICK(RopeForward)(shape, rows, cosine, sine, x);
}
void RopeBackward(const RopeShape& shape, int64_t rows, const float* cosine, const float* sine, float* dx) {
  LOCKSTEP_PICK(RopeBackward)(shape, rows, cosine, sine, dx);
}
void SwiGluForward(int64_t count, const float* gate, const float* up, float* y) {
  LOCKSTEP_PICK(SwiGluForward)(count, gate, up, y);
}
void SwiGluBackward(int64_t count, const float* gate, const float* up, const float* dy, bool add,
                    float* dgate, float* dup) {
  LOCKSTEP_PICK(SwiGluBackward)(count, gate, up, dy, add, dgate, dup);
}
void LstmCellForward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* bias_input,
                     const float* bias_hidden, const float* recurrent, const float* c_before, float* gates,
                     float* c, float* h) {
  LOCKSTEP_PICK(LstmCellForward)
  (cell, begin, end, bias_input, bias_hidden, recurrent, c_before, gates, c, h);
}
void LstmCellBackward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* c_before,
                      const float* c, const float* dy, const float* from_next, float* dc, float* gates) {
  LOCKSTEP_PICK(LstmCellBackward)(cell, begin, end, c_before, c, dy, from_next, dc, gates);
}
void GruCellForward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* bias_input,
                    const float* bias_hidden, const float* h_before, float* gates, float* recurrent,
                    float* h) {
  LOCKSTEP_PICK(GruCellForward)
  (cell, begin, end, bias_input, bias_hidden, h_before, gates, recurrent, h);
}
void GruCellBackward(const RecurrentCell& cell, int64_t begin, int64_t end, const float* h_before,
                     const float* dy, const float* from_next, float* carry, float* gates, float* recurrent) {
  LOCKSTEP_PICK(GruCellBackward)(cell, begin, end, h_before, dy, from_next, carry, gates, recurrent);
}
void AddForward(int64_t count, const float* a, const float* b, float* y) {
  LOCKSTEP_PICK(AddForward)(count, a, b, y);
}
void CopyBlocks(int64_t count, int64_t width, const float* in, int64_t in_stride, bool add, float* out,
                int64_t out_stride) {
  LOCKSTEP_PICK(CopyBlocks)(count, width, in, in_stride, add, out, out_stride);
}
void Permute(const Permutation& permutation, int64_t rows, const float* in, bool add, float* out) {
  LOCKSTEP_PICK(Permute)(permutation, rows, in, add, out);
}
void AttentionForward(const AttentionShape& shape, int64_t begin, int64_t end, const float* q, const float* k,
                      const float* v, float* y, float* log_sums, float* scratch) {
  LOCKSTEP_PICK(AttentionForward)(shape, begin, end, q, k, v, y, log_sums, scratch);
}
void AttentionBackward(const AttentionShape& shape, int64_t begin, int64_t end, const float* q,
                       const float* k, const float* v, const float* y, const float* log_sums, const float* dy,
                       float* dq, float* dk, float* dv, float* scratch) {
  LOCKSTEP_PICK(AttentionBackward)
  (shape, begin, end, q, k, v, y, log_sums, dy, dq, dk, dv, scratch);
}

}  // namespace lockstep::kernels::cpu

namespace lockstep::kernels {

// Panels of 96 rows and at most 512 columns, fewer where the rows are many.
int64_t OuterProductScratch(int64_t rows) {
  const int64_t columns = 131072 > 32 * rows ? 131072 : 32 * rows;
  return 96 * (rows + 16) + columns + 32 * 16;
}

}  // namespace lockstep::kernels
