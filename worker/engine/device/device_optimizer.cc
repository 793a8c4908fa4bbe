#include "worker/engine/device/device_optimizer.h"

#include <algorithm>
#include <utility>

#include "kernels/cuda/flat_update.h"
#include "kernels/cuda/launched.h"
#include "worker/engine/device/device_newton_schulz.h"
#include "worker/engine/device/device_op.h"
#include "worker/engine/optimizers/adam_rule.h"
#include "worker/engine/optimizers/flat_optimizer.h"
#include "worker/engine/optimizers/muon_rule.h"
#include "worker/engine/optimizers/rated_rules.h"

namespace lockstep::engine {
namespace {

using kernels::Launched;
using kernels::ToStatus;
using kernels::cuda::FlatPiece;
using kernels::cuda::FlatPieces;
using kernels::cuda::FlatRounded;
using kernels::cuda::FlatSteps;
using kernels::cuda::FlatVerdict;

// An optimizer's own part: its state, and the kernel.
class DeviceRule {
 public:
  virtual ~DeviceRule() = default;
  virtual std::vector<std::string> states() const = 0;
  // Have the matrices (Treatment::kMatrix) this state, instead of the trained parameters?
  virtual bool OfMatrices(size_t /*state*/) const { return false; }
  // Bytes of memory of its own, and where they are.
  virtual int64_t Scratch() const { return 0; }
  virtual void UseScratch(char*) {}
  virtual void Prepare(int64_t step, double learning_rate) = 0;
  virtual Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                          const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                          float* weights, const FlatRounded& rounded, kernels::Stream stream) = 0;
};

class DeviceSgd final : public DeviceRule {
 public:
  explicit DeviceSgd(const v1::SgdSpec& spec)
      : momentum_(static_cast<float>(spec.momentum())), nesterov_(spec.nesterov()) {}
  std::vector<std::string> states() const override {
    return momentum_ != 0 ? std::vector<std::string>{"momentum"} : std::vector<std::string>{};
  }
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }
  Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                  const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                  float* weights, const FlatRounded& rounded, kernels::Stream stream) override {
    FlatSteps<kernels::SgdStep> steps;
    for (size_t t = 0; t < treatments.size(); ++t) {
      steps.at[t] = {static_cast<float>(rate_ * treatments[t].rate_factor), momentum_, nesterov_,
                     static_cast<float>(treatments[t].weight_decay)};
    }
    return kernels::cuda::FlatSgd(pieces, steps, verdict, gradient, state.empty() ? nullptr : state[0],
                                  weights, rounded, stream);
  }

 private:
  const float momentum_;
  const bool nesterov_;
  double rate_ = 0;
};

class DeviceAdam final : public DeviceRule {
 public:
  explicit DeviceAdam(const AdamRule& rule) : rule_(rule) {}
  std::vector<std::string> states() const override { return {"exp_avg", "exp_avg_sq"}; }
  void Prepare(int64_t step, double learning_rate) override { rule_.Prepare(step, learning_rate); }
  Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                  const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                  float* weights, const FlatRounded& rounded, kernels::Stream stream) override {
    FlatSteps<kernels::AdamStep> steps;
    for (size_t t = 0; t < treatments.size(); ++t) steps.at[t] = rule_.StepOf(treatments[t]);
    return kernels::cuda::FlatAdam(pieces, steps, verdict, gradient, state[0], state[1], weights, rounded,
                                   stream);
  }

 private:
  AdamRule rule_;
};

// What Lion, Adagrad and RMSprop have in common: the rate is the caller's.
template <class Step>
class DeviceRated : public DeviceRule {
 public:
  void Prepare(int64_t, double learning_rate) override { rate_ = learning_rate; }

 protected:
  virtual Step StepOf(double rate, const Treatment& treatment) const = 0;
  FlatSteps<Step> StepsOf(const std::vector<Treatment>& treatments) const {
    FlatSteps<Step> steps;
    for (size_t t = 0; t < treatments.size(); ++t) {
      steps.at[t] = StepOf(rate_ * treatments[t].rate_factor, treatments[t]);
    }
    return steps;
  }

 private:
  double rate_ = 0;
};

class DeviceLion final : public DeviceRated<kernels::LionStep> {
 public:
  explicit DeviceLion(const v1::LionSpec& spec) : rule_(spec) {}
  std::vector<std::string> states() const override { return {"exp_avg"}; }
  Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                  const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                  float* weights, const FlatRounded& rounded, kernels::Stream stream) override {
    return kernels::cuda::FlatLion(pieces, StepsOf(treatments), verdict, gradient, state[0], weights, rounded,
                                   stream);
  }

 private:
  kernels::LionStep StepOf(double rate, const Treatment& treatment) const override {
    return rule_.StepOf(rate, treatment);
  }
  const LionRule rule_;
};

class DeviceAdagrad final : public DeviceRated<kernels::AdagradStep> {
 public:
  explicit DeviceAdagrad(const v1::AdagradSpec& spec) : rule_(spec) {}
  std::vector<std::string> states() const override { return {"sum"}; }
  Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                  const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                  float* weights, const FlatRounded& rounded, kernels::Stream stream) override {
    return kernels::cuda::FlatAdagrad(pieces, StepsOf(treatments), verdict, gradient, state[0], weights,
                                      rounded, stream);
  }

 private:
  kernels::AdagradStep StepOf(double rate, const Treatment& treatment) const override {
    return rule_.StepOf(rate, treatment);
  }
  const AdagradRule rule_;
};

class DeviceRmsProp final : public DeviceRated<kernels::RmsPropStep> {
 public:
  explicit DeviceRmsProp(const v1::RmsPropSpec& spec) : rule_(spec) {}
  std::vector<std::string> states() const override {
    if (!rule_.has_momentum()) return {"square_avg"};
    return {"square_avg", "momentum"};
  }
  Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                  const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                  float* weights, const FlatRounded& rounded, kernels::Stream stream) override {
    return kernels::cuda::FlatRmsProp(pieces, StepsOf(treatments), verdict, gradient, state[0],
                                      state.size() < 2 ? nullptr : state[1], weights, rounded, stream);
  }

 private:
  kernels::RmsPropStep StepOf(double rate, const Treatment& treatment) const override {
    return rule_.StepOf(rate, treatment);
  }
  const RmsPropRule rule_;
};

// Two launches for all parameters, then some for each matrix.
class DeviceMuon final : public DeviceRule {
 public:
  DeviceMuon(const MuonRule& rule, const Model& model, const Layout& layout) : rule_(rule) {
    for (const int p : layout.matrices) {
      const Parameter& of = model.parameters()[p];
      matrices_.push_back({of.offset, of.shape[0], of.shape[1], layout.treatments[p]});
      scratch_bytes_ = std::max(scratch_bytes_, DeviceNewtonSchulzScratch(of.shape[0], of.shape[1]));
    }
  }
  std::vector<std::string> states() const override { return {"momentum", "exp_avg", "exp_avg_sq"}; }
  bool OfMatrices(size_t state) const override { return state == 0; }
  int64_t Scratch() const override { return scratch_bytes_; }
  void UseScratch(char* scratch) override { scratch_ = scratch; }
  void Prepare(int64_t step, double learning_rate) override { rule_.Prepare(step, learning_rate); }

  Launched Update(const FlatPieces& pieces, const std::vector<Treatment>& treatments,
                  const FlatVerdict* verdict, float* gradient, const std::vector<float*>& state,
                  float* weights, const FlatRounded& rounded, kernels::Stream stream) override {
    FlatSteps<kernels::AdamStep> steps;
    for (size_t t = 0; t < treatments.size(); ++t) steps.at[t] = rule_.adamw().StepOf(treatments[t]);
    RETURN_IF_NOT_LAUNCHED(kernels::cuda::FlatAdam(pieces, steps, verdict, gradient, state[1], state[2],
                                                   weights, rounded, stream));
    RETURN_IF_NOT_LAUNCHED(
        kernels::cuda::FlatMuon(pieces, rule_.momentum(), verdict, gradient, state[0], stream));
    for (const Matrix& of : matrices_) {
      const float* direction = nullptr;
      RETURN_IF_NOT_LAUNCHED(
          DeviceNewtonSchulz(of.rows, of.columns, gradient + of.offset, scratch_, &direction, stream));
      const MuonRule::Move move = rule_.MoveOf(of.rows, of.columns, of.treatment);
      RETURN_IF_NOT_LAUNCHED(kernels::cuda::FlatMove(of.offset, of.rows * of.columns, move.step, direction,
                                                     move.keep, verdict, weights + of.offset, rounded,
                                                     stream));
    }
    return {};
  }

 private:
  struct Matrix {
    int64_t offset, rows, columns;
    Treatment treatment;
  };
  MuonRule rule_;
  std::vector<Matrix> matrices_;
  int64_t scratch_bytes_ = 0;
  char* scratch_ = nullptr;
};

struct Chosen {
  std::unique_ptr<DeviceRule> rule;
  Layout layout;
};

absl::StatusOr<Chosen> Choose(const v1::OptimizerSpec& spec, const Model& model,
                              const std::vector<ParameterSettings>& settings) {
  const auto chosen = [&](std::unique_ptr<DeviceRule> rule, double weight_decay) {
    return Chosen{std::move(rule), LayoutOf(model, settings, weight_decay)};
  };
  switch (spec.kind_case()) {
    case v1::OptimizerSpec::kSgd:
      if (spec.sgd().nesterov() && spec.sgd().momentum() <= 0) {
        return absl::InvalidArgumentError("train.optimizer.sgd: nesterov needs a momentum above 0");
      }
      return chosen(std::make_unique<DeviceSgd>(spec.sgd()), spec.sgd().weight_decay());
    case v1::OptimizerSpec::kAdam:
      return chosen(std::make_unique<DeviceAdam>(AdamRule(spec.adam(), false)), spec.adam().weight_decay());
    case v1::OptimizerSpec::kAdamw:
      return chosen(std::make_unique<DeviceAdam>(AdamRule(spec.adamw(), true)), AdamWDecay(spec.adamw()));
    case v1::OptimizerSpec::kLion:
      return chosen(std::make_unique<DeviceLion>(spec.lion()), spec.lion().weight_decay());
    case v1::OptimizerSpec::kAdagrad:
      return chosen(std::make_unique<DeviceAdagrad>(spec.adagrad()), spec.adagrad().weight_decay());
    case v1::OptimizerSpec::kRmsprop:
      return chosen(std::make_unique<DeviceRmsProp>(spec.rmsprop()), spec.rmsprop().weight_decay());
    case v1::OptimizerSpec::kMuon: {
      const MuonRule rule(spec.muon());
      Layout layout = rule.LayoutFor(model, settings);
      if (layout.matrices.empty()) return NoMatrixForMuon();
      auto muon = std::make_unique<DeviceMuon>(rule, model, layout);
      return Chosen{std::move(muon), std::move(layout)};
    }
    case v1::OptimizerSpec::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("train.optimizer: none is given");
}

// The optimizer's pieces, as the device wants them.
struct DevicePieces {
  std::vector<FlatPiece> pieces;
  std::vector<Treatment> treatments;  // of trained pieces: FlatPiece::step counts them
};

absl::StatusOr<DevicePieces> Cut(const Layout& layout) {
  DevicePieces out;
  for (const Piece& piece : layout.pieces) {
    FlatPiece of;
    of.regularized = piece.treatment.regularized ? 1 : 0;
    of.share = static_cast<float>(piece.treatment.momentum);
    of.kind = FlatPiece::kFrozen;
    if (piece.treatment.kind == Treatment::kStatistic) of.kind = FlatPiece::kStatistic;
    if (piece.treatment.kind == Treatment::kMatrix) of.kind = FlatPiece::kMatrix;
    if (piece.treatment.kind == Treatment::kTrained) {
      of.kind = FlatPiece::kTrained;
      const auto known = std::find(out.treatments.begin(), out.treatments.end(), piece.treatment);
      of.step = static_cast<int>(known - out.treatments.begin());
      if (known == out.treatments.end()) out.treatments.push_back(piece.treatment);
    }
    for (int64_t at = 0; at < piece.size; at += kernels::cuda::kFlatPiece) {
      of.offset = piece.offset + at;
      of.size = static_cast<int>(std::min(piece.size - at, kernels::cuda::kFlatPiece));
      out.pieces.push_back(of);
    }
  }
  if (out.treatments.size() > kernels::cuda::kFlatTreatments) {
    return absl::UnimplementedError(absl::StrCat("train.groups: ", out.treatments.size(),
                                                 " ways to treat a parameter; a GPU's step has room for ",
                                                 kernels::cuda::kFlatTreatments));
  }
  return out;
}

class FlatDeviceOptimizer final : public DeviceOptimizer {
 public:
  FlatDeviceOptimizer(const v1::TrainSpec& spec, const Model& model, Chosen chosen, DevicePieces pieces,
                      const kernels::DeviceStream& stream)
      : rule_(std::move(chosen.rule)),
        trained_(std::move(chosen.layout.trained)),
        matrices_(std::move(chosen.layout.matrices)),
        pieces_(std::move(pieces)),
        stream_(stream),
        size_(model.flat_size()),
        l1_(static_cast<float>(spec.l1())),
        l2_(static_cast<float>(spec.l2())),
        limits_{spec.gradient_clip().norm(), static_cast<float>(spec.gradient_clip().value())} {
    const auto count = static_cast<int64_t>(pieces_.pieces.size());
    at_.pieces = layout_.Add(count * int64_t{sizeof(FlatPiece)});
    at_.squares = layout_.Add(count * int64_t{sizeof(double)});
    at_.verdict = layout_.Add(sizeof(FlatVerdict));
    at_.scratch = layout_.Add(rule_->Scratch());
    at_.state = layout_.total();
    for (size_t s = 0; s < rule_->states().size(); ++s) layout_.Add(size_ * int64_t{sizeof(float)});
  }

  int64_t bytes() const { return layout_.total(); }

  absl::Status Bind(DeviceArena& arena) {
    ASSIGN_OR_RETURN(memory_, arena.Take(bytes()));
    rule_->UseScratch(memory_ + at_.scratch);
    ASSIGN_OR_RETURN(result_, kernels::PinnedBlock::Allocate(stream_.device(), sizeof(FlatVerdict)));
    const size_t of_pieces = pieces_.pieces.size() * sizeof(FlatPiece);
    RETURN_IF_ERROR(stream_.ToDevice(memory_ + at_.pieces, pieces_.pieces.data(), of_pieces));
    RETURN_IF_ERROR(stream_.Zero(memory_ + at_.state, static_cast<size_t>(bytes() - at_.state)));
    RETURN_IF_ERROR(stream_.Wait());
    const int64_t stride = DeviceAligned(size_ * int64_t{sizeof(float)});
    for (size_t s = 0; s < rule_->states().size(); ++s) {
      state_.push_back(reinterpret_cast<float*>(memory_ + at_.state + static_cast<int64_t>(s) * stride));
    }
    return absl::OkStatus();
  }

  absl::Status Apply(float* gradient, float* weights, int64_t step, double learning_rate) override {
    rule_->Prepare(step, learning_rate);
    const FlatPieces pieces = Pieces();
    auto* const squares = reinterpret_cast<double*>(memory_ + at_.squares);
    auto* const verdict = reinterpret_cast<FlatVerdict*>(memory_ + at_.verdict);
    const kernels::Stream on = stream_.get();
    RETURN_IF_ERROR(
        ToStatus(kernels::cuda::FlatRegularize(pieces, l1_, l2_, weights, gradient, squares, on)));
    RETURN_IF_ERROR(ToStatus(kernels::cuda::FlatClip(pieces, squares, limits_, verdict, on)));
    RETURN_IF_ERROR(ToStatus(
        rule_->Update(pieces, pieces_.treatments, verdict, gradient, state_, weights, RoundedFor(step), on)));
    return stream_.ToHost(result_.data(), verdict, sizeof(FlatVerdict));
  }

  void KeepRounded(uint16_t* rounded, const kernels::Rounding& rounding) override {
    rounded_ = {rounded, rounding};
  }
  absl::Status Round(const float* weights, int64_t step) override {
    return ToStatus(kernels::cuda::FlatRound(Pieces(), weights, RoundedFor(step), stream_.get()));
  }

  float norm() const override { return static_cast<const FlatVerdict*>(result_.data())->norm; }

  std::vector<Optimizer::State> state() override {
    std::vector<Optimizer::State> out;
    const std::vector<std::string> names = rule_->states();
    for (size_t s = 0; s < names.size(); ++s) {
      out.push_back(
          {names[s], state_.empty() ? nullptr : state_[s], rule_->OfMatrices(s) ? matrices_ : trained_});
    }
    return out;
  }

 private:
  FlatPieces Pieces() const {
    return {reinterpret_cast<const FlatPiece*>(memory_ + at_.pieces),
            static_cast<int>(pieces_.pieces.size())};
  }
  FlatRounded RoundedFor(int64_t step) const {
    FlatRounded rounded = rounded_;
    rounded.rounding.step = step;
    return rounded;
  }

  const std::unique_ptr<DeviceRule> rule_;
  const std::vector<int> trained_, matrices_;  // numbers of parameters
  const DevicePieces pieces_;
  const kernels::DeviceStream& stream_;
  const int64_t size_;
  const float l1_, l2_;
  const kernels::cuda::FlatLimits limits_;
  DeviceLayout layout_;
  struct {
    int64_t pieces, squares, verdict, scratch, state;
  } at_;
  char* memory_ = nullptr;
  FlatRounded rounded_;  // its step is each call's
  kernels::PinnedBlock result_;
  std::vector<float*> state_;
};

absl::StatusOr<std::unique_ptr<FlatDeviceOptimizer>> MakeUnbound(const v1::TrainSpec& spec,
                                                                 const Model& model,
                                                                 const kernels::DeviceStream& stream) {
  ASSIGN_OR_RETURN(const std::vector<ParameterSettings> settings, SettingsOf(spec, model));
  ASSIGN_OR_RETURN(Chosen chosen, Choose(spec.optimizer(), model, settings));
  ASSIGN_OR_RETURN(DevicePieces pieces, Cut(chosen.layout));
  return std::make_unique<FlatDeviceOptimizer>(spec, model, std::move(chosen), std::move(pieces), stream);
}

}  // namespace

absl::StatusOr<int64_t> DeviceOptimizer::BytesOf(const v1::TrainSpec& spec, const Model& model) {
  const kernels::DeviceStream none;
  ASSIGN_OR_RETURN(const auto optimizer, MakeUnbound(spec, model, none));
  return optimizer->bytes();
}

absl::StatusOr<std::vector<Optimizer::State>> DeviceOptimizer::StatesOf(const v1::TrainSpec& spec,
                                                                        const Model& model) {
  const kernels::DeviceStream none;
  ASSIGN_OR_RETURN(const auto optimizer, MakeUnbound(spec, model, none));
  return optimizer->state();
}

absl::StatusOr<std::unique_ptr<DeviceOptimizer>> DeviceOptimizer::Make(const v1::TrainSpec& spec,
                                                                       const Model& model, DeviceArena& arena,
                                                                       const kernels::DeviceStream& stream) {
  ASSIGN_OR_RETURN(auto optimizer, MakeUnbound(spec, model, stream));
  RETURN_IF_ERROR(optimizer->Bind(arena));
  return optimizer;
}

}  // namespace lockstep::engine
