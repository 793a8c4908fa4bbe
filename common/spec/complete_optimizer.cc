// Defaults and ranges of the optimizers.
#include <string>

#include "absl/strings/str_cat.h"
#include "common/spec/checks.h"

namespace lockstep::spec {
namespace {

template <typename Adam>
absl::Status CompleteAdam(const std::string& field, double default_decay, Adam* adam) {
  if (!adam->has_learning_rate()) adam->set_learning_rate(1e-3);
  if (!adam->has_beta1()) adam->set_beta1(0.9);
  if (!adam->has_beta2()) adam->set_beta2(0.999);
  if (!adam->has_epsilon()) adam->set_epsilon(1e-8);
  if (!adam->has_weight_decay()) adam->set_weight_decay(default_decay);
  RETURN_IF_ERROR(Positive(field + ".learning_rate", adam->learning_rate()));
  RETURN_IF_ERROR(Fraction(field + ".beta1", adam->beta1()));
  RETURN_IF_ERROR(Fraction(field + ".beta2", adam->beta2()));
  RETURN_IF_ERROR(Positive(field + ".epsilon", adam->epsilon()));
  return NotNegative(field + ".weight_decay", adam->weight_decay());
}

absl::Status CompleteSgd(v1::SgdSpec* sgd) {
  if (!sgd->has_learning_rate()) sgd->set_learning_rate(0.01);
  if (!sgd->has_momentum()) sgd->set_momentum(0);
  if (!sgd->has_nesterov()) sgd->set_nesterov(false);
  if (!sgd->has_weight_decay()) sgd->set_weight_decay(0);
  RETURN_IF_ERROR(Positive("train.optimizer.sgd.learning_rate", sgd->learning_rate()));
  RETURN_IF_ERROR(Fraction("train.optimizer.sgd.momentum", sgd->momentum()));
  if (sgd->nesterov() && sgd->momentum() == 0) {
    return Invalid("train.optimizer.sgd.nesterov", "needs a momentum above 0, for example momentum: 0.9");
  }
  return NotNegative("train.optimizer.sgd.weight_decay", sgd->weight_decay());
}

absl::Status CompleteAdagrad(v1::AdagradSpec* adagrad) {
  if (!adagrad->has_learning_rate()) adagrad->set_learning_rate(0.01);
  if (!adagrad->has_epsilon()) adagrad->set_epsilon(1e-10);
  if (!adagrad->has_weight_decay()) adagrad->set_weight_decay(0);
  RETURN_IF_ERROR(Positive("train.optimizer.adagrad.learning_rate", adagrad->learning_rate()));
  RETURN_IF_ERROR(Positive("train.optimizer.adagrad.epsilon", adagrad->epsilon()));
  return NotNegative("train.optimizer.adagrad.weight_decay", adagrad->weight_decay());
}

absl::Status CompleteRmsProp(v1::RmsPropSpec* rmsprop) {
  if (!rmsprop->has_learning_rate()) rmsprop->set_learning_rate(0.01);
  if (!rmsprop->has_alpha()) rmsprop->set_alpha(0.99);
  if (!rmsprop->has_epsilon()) rmsprop->set_epsilon(1e-8);
  if (!rmsprop->has_momentum()) rmsprop->set_momentum(0);
  if (!rmsprop->has_weight_decay()) rmsprop->set_weight_decay(0);
  RETURN_IF_ERROR(Positive("train.optimizer.rmsprop.learning_rate", rmsprop->learning_rate()));
  RETURN_IF_ERROR(Fraction("train.optimizer.rmsprop.alpha", rmsprop->alpha()));
  RETURN_IF_ERROR(Positive("train.optimizer.rmsprop.epsilon", rmsprop->epsilon()));
  RETURN_IF_ERROR(Fraction("train.optimizer.rmsprop.momentum", rmsprop->momentum()));
  return NotNegative("train.optimizer.rmsprop.weight_decay", rmsprop->weight_decay());
}

absl::Status CompleteLion(v1::LionSpec* lion) {
  if (!lion->has_learning_rate()) lion->set_learning_rate(1e-4);
  if (!lion->has_beta1()) lion->set_beta1(0.9);
  if (!lion->has_beta2()) lion->set_beta2(0.99);
  if (!lion->has_weight_decay()) lion->set_weight_decay(0);
  RETURN_IF_ERROR(Positive("train.optimizer.lion.learning_rate", lion->learning_rate()));
  RETURN_IF_ERROR(Fraction("train.optimizer.lion.beta1", lion->beta1()));
  RETURN_IF_ERROR(Fraction("train.optimizer.lion.beta2", lion->beta2()));
  return NotNegative("train.optimizer.lion.weight_decay", lion->weight_decay());
}

absl::Status CompleteMuon(v1::MuonSpec* muon) {
  if (!muon->has_learning_rate()) muon->set_learning_rate(0.02);
  if (!muon->has_momentum()) muon->set_momentum(0.95);
  if (!muon->has_weight_decay()) muon->set_weight_decay(0.1);
  RETURN_IF_ERROR(Positive("train.optimizer.muon.learning_rate", muon->learning_rate()));
  RETURN_IF_ERROR(Fraction("train.optimizer.muon.momentum", muon->momentum()));
  RETURN_IF_ERROR(NotNegative("train.optimizer.muon.weight_decay", muon->weight_decay()));
  return CompleteAdam("train.optimizer.muon.adamw", 0.01, muon->mutable_adamw());
}

}  // namespace

absl::Status CompleteOptimizer(v1::OptimizerSpec* optimizer) {
  switch (optimizer->kind_case()) {
    case v1::OptimizerSpec::kSgd:
      return CompleteSgd(optimizer->mutable_sgd());
    case v1::OptimizerSpec::kAdam:
      return CompleteAdam("train.optimizer.adam", 0, optimizer->mutable_adam());
    case v1::OptimizerSpec::kAdagrad:
      return CompleteAdagrad(optimizer->mutable_adagrad());
    case v1::OptimizerSpec::kRmsprop:
      return CompleteRmsProp(optimizer->mutable_rmsprop());
    case v1::OptimizerSpec::kLion:
      return CompleteLion(optimizer->mutable_lion());
    case v1::OptimizerSpec::kMuon:
      return CompleteMuon(optimizer->mutable_muon());
    case v1::OptimizerSpec::kAdamw:
    case v1::OptimizerSpec::KIND_NOT_SET:
      break;
  }
  return CompleteAdam("train.optimizer.adamw", 0.01, optimizer->mutable_adamw());
}

}  // namespace lockstep::spec
