#include "worker/engine/accumulation.h"

#include <algorithm>
#include <utility>

#include "kernels/tree_add.h"
#include "worker/engine/team.h"

namespace lockstep::engine {
namespace {

int ShardsPerPass(const ExecutorOptions& options) {
  return std::max(1, options.logical_shards / options.passes);
}

// One pass: its shards, and where its nodes' sums go: a row of the result, or a buffer that is free then.
struct PassPlan {
  ShardRange shards;
  struct Place {
    bool result = false;
    int index = 0;
  };
  std::vector<Place> places;  // one for each node
  struct Add {
    Place target, source;
  };
  std::vector<Add> adds;  // what can be added once it is done
};

class Planner {
 public:
  explicit Planner(const ExecutorOptions& options) : shards_(options.logical_shards) {
    const int step = ShardsPerPass(options);
    for (int begin = options.shards.begin; begin < options.shards.end;) {
      const int end = std::min(options.shards.end, (begin / step + 1) * step);
      PassPlan& pass = passes.emplace_back();
      pass.shards = {begin, end};
      for (const TreeNode& node : MaximalNodes(shards_, pass.shards)) {
        leaves_.push_back(node);
        pass_of_.push_back(static_cast<int>(passes.size()) - 1);
      }
      begin = end;
    }
    Schedule(options.shards);
    Place();
  }

  // Sums of the widest pass, where one does not go to its place at once.
  int64_t fresh() const {
    size_t nodes = 1;
    for (const PassPlan& pass : passes) nodes = std::max(nodes, pass.places.size());
    return nodes > 1 ? static_cast<int64_t>(nodes) : 0;
  }

  std::vector<PassPlan> passes;
  int buffers = 0;

 private:
  struct Step {
    int target, source, pass;
  };

  // All additions in order, each with the pass after which it can be done.
  void Schedule(ShardRange range) {
    const std::vector<TreeNode> results = MaximalNodes(shards_, range);
    row_.assign(leaves_.size(), -1);
    size_t first = 0;
    for (size_t r = 0; r < results.size(); ++r) {
      const ShardRange covered = Covered(results[r], shards_);
      size_t last = first;
      while (last < leaves_.size() && Covered(leaves_[last], shards_).begin < covered.end) ++last;
      const std::vector<TreeNode> inside(leaves_.begin() + static_cast<std::ptrdiff_t>(first),
                                         leaves_.begin() + static_cast<std::ptrdiff_t>(last));
      const TreeSchedule schedule = ScheduleFor(results[r], shards_, inside);
      row_[first + static_cast<size_t>(schedule.result)] = static_cast<int>(r);
      int ready = 0;
      for (const TreeAdd& add : schedule.adds) {
        const int target = static_cast<int>(first) + add.target,
                  source = static_cast<int>(first) + add.source;
        ready = std::max({ready, pass_of_[target], pass_of_[source]});
        steps_.push_back({target, source, ready});
      }
      first = last;
    }
  }

  void Place() {
    std::vector<int> free, buffer(leaves_.size(), -1);
    const auto place = [&](int leaf) {
      return row_[leaf] >= 0 ? PassPlan::Place{true, row_[leaf]} : PassPlan::Place{false, buffer[leaf]};
    };
    size_t leaf = 0, step = 0;
    for (size_t p = 0; p < passes.size(); ++p) {
      for (; leaf < leaves_.size() && pass_of_[leaf] == static_cast<int>(p); ++leaf) {
        if (row_[leaf] < 0) {
          if (free.empty()) free.push_back(buffers++);
          buffer[leaf] = free.back();
          free.pop_back();
        }
        passes[p].places.push_back(place(static_cast<int>(leaf)));
      }
      for (; step < steps_.size() && steps_[step].pass <= static_cast<int>(p); ++step) {
        passes[p].adds.push_back({place(steps_[step].target), place(steps_[step].source)});
        if (row_[steps_[step].source] < 0) free.push_back(buffer[steps_[step].source]);
      }
    }
  }

  const int shards_;
  std::vector<TreeNode> leaves_;
  std::vector<int> pass_of_;
  std::vector<int> row_;  // of the result that a leaf collects; -1: it is added to another
  std::vector<Step> steps_;
};

int64_t TargetWidth(const Model& model) {
  return model.loss() == v1::LOSS_MEAN_SQUARED_ERROR ? model.outputs() : 0;
}

// Elements of the rank's rows.
struct BatchSize {
  BatchSize(const Model& model, const ExecutorOptions& options) {
    const int64_t rows = int64_t{options.shards.size()} * options.rows_per_shard;
    features = rows * model.features();
    classes = rows * model.positions();
    targets = rows * TargetWidth(model);
  }
  int64_t features, classes, targets;
};

class AccumulatingExecutor final : public Executor {
 public:
  AccumulatingExecutor(std::shared_ptr<const Model> model, std::unique_ptr<MovableExecutor> inner,
                       const ExecutorOptions& options)
      : model_(std::move(model)),
        inner_(std::move(inner)),
        alone_(1),
        team_(options.team == nullptr ? &alone_ : options.team),
        begin_(options.shards.begin),
        rows_per_shard_(options.rows_per_shard),
        size_(model_->gradient_size()),
        rows_(static_cast<size_t>(options.shards.size()), options.rows_per_shard) {
    Planner planner(options);
    passes_ = std::move(planner.passes);
    buffers_.resize(static_cast<size_t>(planner.buffers * size_));
    fresh_.resize(static_cast<size_t>(planner.fresh() * size_));
    const BatchSize batch(*model_, options);
    features_.resize(static_cast<size_t>(batch.features));
    classes_.resize(static_cast<size_t>(batch.classes));
    target_width_ = TargetWidth(*model_);
    targets_.resize(static_cast<size_t>(batch.targets));
  }

  float* features() override { return features_.data(); }
  int32_t* tokens() override { return reinterpret_cast<int32_t*>(features_.data()); }
  int32_t* classes() override { return classes_.data(); }
  float* targets() override { return targets_.data(); }
  void SetRows(int local_shard, int rows) override { rows_[static_cast<size_t>(local_shard)] = rows; }
  int64_t capacity() const override { return static_cast<int64_t>(rows_.size()) * rows_per_shard_; }
  int64_t bytes() const override {
    return inner_->bytes() +
           static_cast<int64_t>(sizeof(float) * (buffers_.size() + fresh_.size() + features_.size() +
                                                 classes_.size() + targets_.size()));
  }

  void Gradient(const float* weights, int64_t step, int batch_rows, float* node_sums) override {
    const auto at = [&](const PassPlan::Place& place) {
      return (place.result ? node_sums : buffers_.data()) + place.index * size_;
    };
    for (const PassPlan& pass : passes_) {
      Load(pass.shards);
      const bool one = pass.places.size() == 1;
      float* out = one ? at(pass.places[0]) : fresh_.data();
      inner_->Gradient(weights, step, batch_rows, out);
      team_->Run([&](const Member& member) {
        const Range share = member.Share(size_, 16);
        const int64_t count = share.end - share.begin;
        for (size_t n = 0; !one && n < pass.places.size(); ++n) {
          std::copy_n(fresh_.data() + static_cast<int64_t>(n) * size_ + share.begin, count,
                      at(pass.places[n]) + share.begin);
        }
        for (const PassPlan::Add& add : pass.adds) {
          kernels::cpu::TreeAddInto(count, at(add.source) + share.begin, at(add.target) + share.begin);
        }
      });
    }
  }

  void Predict(const float* weights, const float* x, int rows, float* out) override {
    inner_->Predict(weights, x, rows, out);
  }
  void PredictTokens(const float* weights, const int32_t* x, int rows, float* out) override {
    inner_->PredictTokens(weights, x, rows, out);
  }
  void TokenLosses(const float* weights, const int32_t* x, const int32_t* classes, int rows, float* losses,
                   float* correct) override {
    inner_->TokenLosses(weights, x, classes, rows, losses, correct);
  }

 private:
  void Load(ShardRange shards) {
    inner_->Move(shards);
    const int64_t first = int64_t{shards.begin - begin_} * rows_per_shard_;
    const int64_t count = int64_t{shards.size()} * rows_per_shard_;
    const int64_t features = model_->features(), positions = model_->positions();
    std::copy_n(features_.data() + first * features, count * features, inner_->features());
    std::copy_n(classes_.data() + first * positions, count * positions, inner_->classes());
    if (target_width_ > 0) {
      std::copy_n(targets_.data() + first * target_width_, count * target_width_, inner_->targets());
    }
    for (int s = 0; s < shards.size(); ++s) {
      inner_->SetRows(s, rows_[static_cast<size_t>(shards.begin - begin_ + s)]);
    }
  }

  const std::shared_ptr<const Model> model_;
  const std::unique_ptr<MovableExecutor> inner_;
  Team alone_;
  Team* const team_;
  const int begin_, rows_per_shard_;
  const int64_t size_;
  int64_t target_width_ = 0;
  std::vector<int> rows_;
  std::vector<PassPlan> passes_;
  std::vector<float> buffers_, fresh_, features_, targets_;
  std::vector<int32_t> classes_;
};

}  // namespace

ShardRange ShardsOfPass(const ExecutorOptions& options) {
  if (options.passes <= 1) return options.shards;
  const int count = std::min(options.shards.size(), ShardsPerPass(options));
  return {options.shards.begin, options.shards.begin + count};
}

int64_t AccumulationBytes(const Model& model, const ExecutorOptions& options) {
  if (options.passes <= 1) return 0;
  const Planner planner(options);
  const BatchSize batch(model, options);
  return static_cast<int64_t>(sizeof(float)) * ((planner.buffers + planner.fresh()) * model.gradient_size() +
                                                batch.features + batch.classes + batch.targets);
}

std::unique_ptr<Executor> MakeAccumulatingExecutor(std::shared_ptr<const Model> model,
                                                   std::unique_ptr<MovableExecutor> inner,
                                                   const ExecutorOptions& options) {
  return std::make_unique<AccumulatingExecutor>(std::move(model), std::move(inner), options);
}

}  // namespace lockstep::engine
