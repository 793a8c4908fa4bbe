// The training engine as the trainer sees it: a model with flat parameters, an executor that turns a batch
// into the gradient sums of this rank's reduction-tree nodes, an optimizer. No network, no files, no jobs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/numerics/reduction_tree.h"
#include "kernels/rounding.h"
#include "lockstep/v1/job_spec.pb.h"
#include "lockstep/v1/jobs.pb.h"

namespace lockstep::kernels {
struct LtLibrary;
}

namespace lockstep::engine {

class Team;

struct Parameter {
  std::string name;            // "layers.0.weight"
  std::vector<int64_t> shape;  // weight: (outputs, inputs), as PyTorch has it
  int64_t offset = 0;          // in the flat buffer, in floats
  int64_t size = 0;
  bool decays = false;  // weights yes, biases and norms no
  // A weight is trained. A statistic (batch norm's running mean) is not: its place in the gradient carries
  // the batch's value, the shards' values weighted by rows / batch rows, and the optimizer sets w = (1 -
  // momentum) w + momentum * value.
  enum Kind { kWeight, kStatistic } kind = kWeight;
  double momentum = 0;
  bool hidden_matrix = false;  // a weight of two dimensions, neither an embedding's nor the output layer's
};

// One line of the model's table.
struct LayerSummary {
  std::string name, kind;
  std::vector<int64_t> output_shape;  // of one sample
  int64_t parameters = 0;
  double flops = 0;  // of the forward pass of one sample
};

enum class Precision { kFp32, kBf16 };

// FAILED_PRECONDITION: bf16 on a processor without it. AUTO is bf16 where the processor has it.
absl::StatusOr<Precision> PrecisionOf(v1::Precision wanted);

// Rows that follow the parameters in each gradient row: sums over the shard's real rows, reduced with the
// gradient for free.
enum GradientStat {
  kLossSum = 0,
  kCorrect = 1,
  kRowStats = 16,  // numbers that a row has: those above, and room
  kSamples = 2,    // how many, and
  kSampleDigest =
      3,  // which: sample_digest.h, a byte each in 8 numbers, so that sums over 65,536 ranks are exact
  kLoopFlags = 11,  // the trainer's loop's own
  kStats = 32
};

// Immutable. Parameters are laid out in backward order (the last layer first), each at a multiple of 16
// floats; gaps are zero.
class Model {
 public:
  virtual ~Model() = default;
  virtual const std::vector<Parameter>& parameters() const = 0;
  virtual int64_t flat_size() const = 0;        // floats in the flat buffer
  virtual int64_t parameter_count() const = 0;  // real ones
  virtual int features() const = 0;             // floats, or tokens, of one sample
  virtual int outputs() const = 0;              // logits or values of one prediction
  virtual int positions() const = 0;  // predictions for one sample: the steps of a language model, else 1
  virtual bool reads_tokens() const = 0;
  virtual v1::Loss loss() const = 0;
  virtual std::vector<LayerSummary> Layers() const = 0;
  // Fresh weights, a pure function of the seed, into flat_size() floats.
  virtual void Initialize(uint64_t seed, float* weights) const = 0;
  int64_t gradient_size() const { return flat_size() + kStats; }
};

// Builds spec.model for a dataset of this shape. INVALID_ARGUMENT: the model does not fit the task (softmax
// on a regression, ...).
absl::StatusOr<std::shared_ptr<const Model>> BuildModel(const v1::JobSpec& spec, int features, int outputs,
                                                        v1::Task task);

// Of the weights that products in bf16 read (train.weight_rounding).
kernels::Rounding RoundingOf(const v1::JobSpec& spec);

// Told while a gradient is computed that the floats [begin, begin + count) of each row of node_sums are
// complete in the order of the device's queue, and not touched by what is queued later. An error ends the
// gradient.
using PartReady = std::function<absl::Status(size_t begin, size_t count)>;

// 25 MiB, as PyTorch's DistributedDataParallel has it; not measured here. Below it a part is not worth two
// messages of its own.
inline constexpr int64_t kPartFloats = (int64_t{25} << 20) / 4;

struct ExecutorOptions {
  int logical_shards = 8;
  ShardRange shards;       // this rank's
  int rows_per_shard = 8;  // at most
  uint64_t seed = 1;
  bool reproducible = true;
  int passes = 1;  // that a batch is computed in, each over logical_shards / passes shards at most
  Precision precision = Precision::kFp32;
  // The weights that Gradient is given, rounded (RoundedWeights); null: products round them.
  const uint16_t* rounded_weights = nullptr;
  // On a device: what may do large products of training's passes beside our own kernels; null: nothing.
  const kernels::LtLibrary* products = nullptr;
  double label_smoothing = 0;         // of the cross-entropy in training; MakeExecutor takes it from the spec
  int64_t part_floats = kPartFloats;  // of a gradient on a GPU, at least, before PartReady is told of it
  bool graphs = true;                 // of a GPU's launches, captured and replayed
  Team* team = nullptr;  // the threads to run on; outlives the executor; null: the calling thread alone
};

// One rank's workspace: planned once, nothing is allocated afterwards. Not thread-safe.
class Executor {
 public:
  virtual ~Executor() = default;

  // Input buffers, to be filled before Gradient. Local shard i's rows start at row i * rows_per_shard.
  virtual float* features() = 0;   // (local shards * rows_per_shard, features)
  virtual int32_t* tokens() = 0;   // the same, of a model that reads tokens
  virtual int32_t* classes() = 0;  // (local shards * rows_per_shard, positions); classification, next tokens
  virtual float* targets() = 0;    // (local shards * rows_per_shard, outputs); regression
  virtual void SetRows(int local_shard, int rows) = 0;  // real rows; the rest is ignored
  virtual int64_t capacity() const = 0;                 // local shards * rows_per_shard
  virtual int64_t bytes() const = 0;                    // what the executor holds

  // Forward and backward over this rank's shards. Writes, for each of MaximalNodes(logical_shards, shards),
  // the sum of its shards' gradients of (loss / batch_rows), in the tree's order, then kStats stats:
  // node_sums is (nodes, gradient_size()). Dropout is keyed by (seed, step, row of the global batch). L1/L2
  // are not included (see Optimizer). Bits do not depend on which shards share a rank.
  virtual void Gradient(const float* weights, int64_t step, int batch_rows, float* node_sums) = 0;

  // Forward without dropout of `rows` rows: x (rows, features) -> out (rows, outputs), logits or values. A
  // row's bits do not depend on the others.
  virtual void Predict(const float* weights, const float* x, int rows, float* out) = 0;
  // The same for tokens: x (rows, features) -> out (rows, positions, outputs).
  virtual void PredictTokens(const float* weights, const int32_t* x, int rows, float* out) = 0;
  // Forward without dropout, and the loss: of each prediction (rows, positions), and whether the largest
  // logit was the class's (1) or not (0). Nothing of the size of the logits is copied.
  virtual void TokenLosses(const float* weights, const int32_t* x, const int32_t* classes, int rows,
                           float* losses, float* correct) = 0;
};

// Bytes that an executor of these options will hold, without making one.
absl::StatusOr<int64_t> ExecutorBytes(const Model& model, const ExecutorOptions& options);

absl::StatusOr<std::unique_ptr<Executor>> MakeExecutor(std::shared_ptr<const Model> model,
                                                       const v1::JobSpec& spec,
                                                       const ExecutorOptions& options);

// Regularisation, clipping and the update: identical code on identical inputs on each rank, with bits that do
// not depend on the number of threads. Frozen parameters keep their values; statistics follow the batch's.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  // `gradient` (flat_size; scratch afterwards) and `weights` (flat_size). `step` counts from 1. Returns the
  // gradient's L2 norm before clipping, or a non-finite value, in which case nothing was changed.
  virtual float Apply(float* gradient, float* weights, int64_t step, double learning_rate) = 0;
  // From now on Apply(step) leaves what it changes of the weights here, too, rounded for the gradient of that
  // number (kernels/rounding.h); (flat_size), outlives this or the next call; null: no longer. Frozen
  // parameters are rounded to the nearest.
  virtual void KeepRounded(uint16_t* rounded, const kernels::Rounding& rounding) = 0;
  // All weights at once, for the gradient number `step`.
  virtual void Round(const float* weights, int64_t step) = 0;
  // The state, e.g. {"momentum"} or {"exp_avg", "exp_avg_sq"}: flat buffers (flat_size), and the numbers of
  // the parameters that have this state; elsewhere it is zero and stays so.
  struct State {
    std::string name;
    float* data = nullptr;
    std::vector<int> parameters;
  };
  virtual std::vector<State> state() = 0;
};

// `team`: the threads to run on; outlives the optimizer; null: the calling thread alone. INVALID_ARGUMENT: a
// pattern of train.groups or train.freeze matches no parameter, or the optimizer does not suit the model.
absl::StatusOr<std::unique_ptr<Optimizer>> MakeOptimizer(const v1::TrainSpec& spec, const Model& model,
                                                         Team* team = nullptr);

// average = decay * average + (1 - decay) * weights, on `team` (may be null).
void AverageWeights(double decay, int64_t count, const float* weights, float* average, Team* team);

// The optimizer's own rate, before any schedule; Muon's is that of its matrices.
double BaseLearningRate(const v1::OptimizerSpec& spec);

// The learning rate of `step` (from 1) of `total_steps`. A plateau's reductions are the caller's to multiply.
double LearningRate(const v1::TrainSpec& spec, int64_t step, int64_t steps_per_epoch, int64_t total_steps);

// What this process computes with; see NumericProfile. Runs the GEMM self-check once.
v1::NumericProfile CurrentProfile();
// Once per compute thread: flush denormals to zero (FTZ, DAZ).
void PrepareComputeThread();

}  // namespace lockstep::engine
