// The arithmetic of one step without the service around it: forward, backward, optimizer of a spec's model on
// one thread, in a plain loop over batches that lie in memory. The denominator of the service's step
// overhead.
//
//   bare_loop SPEC.yaml SECONDS
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/data/dataset.h"
#include "common/spec/spec.h"
#include "worker/engine/engine.h"

namespace lockstep {
namespace {

absl::StatusOr<double> StepsPerSecond(const std::string& path, double seconds) {
  engine::PrepareComputeThread();
  absl::StatusOr<v1::JobSpec> read = ReadSpec(path, {});
  if (!read.ok()) return read.status();
  v1::JobSpec spec = *read;
  if (absl::Status status = CompleteSpec(&spec); !status.ok()) return status;
  absl::StatusOr<v1::Dataset> dataset = InspectDataset(spec.dataset());
  if (!dataset.ok()) return dataset.status();
  spec.mutable_dataset()->set_task(dataset->task());
  if (spec.train().loss() == v1::LOSS_UNSPECIFIED) {
    spec.mutable_train()->set_loss(dataset->task() == v1::TASK_REGRESSION ? v1::LOSS_MEAN_SQUARED_ERROR
                                                                          : v1::LOSS_CROSS_ENTROPY);
  }
  absl::StatusOr<std::unique_ptr<PreparedDataset>> data = PreparedDataset::Prepare(*dataset, spec);
  if (!data.ok()) return data.status();
  const int features = (*data)->features();
  auto model = engine::BuildModel(spec, features, (*data)->outputs(), (*data)->task());
  if (!model.ok()) return model.status();

  const int batch = spec.train().batch_size();
  engine::ExecutorOptions options;
  options.logical_shards = spec.train().logical_shards();
  options.shards = {0, options.logical_shards};
  options.rows_per_shard = batch / options.logical_shards;
  options.seed = spec.seed();
  if (options.rows_per_shard * options.logical_shards != batch) {
    return absl::InvalidArgumentError("the batch does not divide into its logical shards");
  }
  auto executor = engine::MakeExecutor(*model, spec, options);
  if (!executor.ok()) return executor.status();
  auto optimizer = engine::MakeOptimizer(spec.train(), **model);
  if (!optimizer.ok()) return optimizer.status();

  const int64_t batches = (*data)->size(Part::kTrain) / batch;
  std::vector<float> x(batches * batch * features);
  std::vector<int32_t> classes(batches * batch);
  std::vector<float> targets(batches * batch);
  const bool classify = (*data)->task() == v1::TASK_CLASSIFICATION;
  (*data)->Fetch(Part::kTrain, 0, 0, batches * batch, x.data(), classify ? classes.data() : nullptr,
                 classify ? nullptr : targets.data());

  std::vector<float> weights((*model)->flat_size());
  std::vector<float> gradient((*model)->gradient_size());
  (*model)->Initialize(spec.seed(), weights.data());
  for (int shard = 0; shard < options.logical_shards; ++shard)
    (*executor)->SetRows(shard, options.rows_per_shard);
  int64_t step = 0;
  auto one_step = [&] {
    const int64_t first = (step % batches) * batch;
    std::memcpy((*executor)->features(), &x[first * features], sizeof(float) * batch * features);
    if (classify) {
      std::memcpy((*executor)->classes(), &classes[first], sizeof(int32_t) * batch);
    } else {
      std::memcpy((*executor)->targets(), &targets[first], sizeof(float) * batch);
    }
    ++step;
    (*executor)->Gradient(weights.data(), step, batch, gradient.data());
    (*optimizer)->Apply(gradient.data(), weights.data(), step, 1e-3);
  };
  for (int i = 0; i < 100; ++i) one_step();
  const int64_t warm = step;
  const absl::Time started = absl::Now();
  while (absl::Now() - started < absl::Seconds(seconds)) {
    for (int i = 0; i < 50; ++i) one_step();
  }
  return static_cast<double>(step - warm) / absl::ToDoubleSeconds(absl::Now() - started);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bare_loop SPEC.yaml SECONDS\n");
    return 2;
  }
  absl::StatusOr<double> rate = lockstep::StepsPerSecond(argv[1], std::atof(argv[2]));
  if (!rate.ok()) {
    std::fprintf(stderr, "bare_loop: %s\n", std::string(rate.status().message()).c_str());
    return 1;
  }
  std::printf("{\"steps_per_second\": %.1f}\n", *rate);
  return 0;
}
