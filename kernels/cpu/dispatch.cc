#include "kernels/cpu/pick.h"
#include "kernels/cpu/variants.h"

namespace lockstep::kernels::cpu {

void BiasActivationForward(Activation f, int64_t rows, int64_t width, const float* bias, float* x, float* y) {
  LOCKSTEP_PICK(BiasActivationForward)(f, rows, width, bias, x, y);
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
                         float* losses, float* correct) {
  LOCKSTEP_PICK(SoftmaxCrossEntropy)(rows, classes, scale, labels, logits, losses, correct);
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
void MuonMomentum(float momentum, const Clip& clip, int64_t count, const float* gradient, float* buffer,
                  float* direction) {
  LOCKSTEP_PICK(MuonMomentum)(momentum, clip, count, gradient, buffer, direction);
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
void ShardOuterProduct(const ShardTree& tree, int64_t m, int64_t n, const float* a, int64_t lda,
                       const float* b, int64_t ldb, float* out, int64_t node_stride) {
  LOCKSTEP_PICK(ShardOuterProduct)(tree, m, n, a, lda, b, ldb, out, node_stride);
}
void ShardColumnSum(const ShardTree& tree, int64_t n, const float* b, int64_t ldb, float* out,
                    int64_t node_stride) {
  LOCKSTEP_PICK(ShardColumnSum)(tree, n, b, ldb, out, node_stride);
}
void Transpose(int64_t rows, int64_t columns, const float* in, float* out) {
  LOCKSTEP_PICK(Transpose)(rows, columns, in, out);
}

}  // namespace lockstep::kernels::cpu
