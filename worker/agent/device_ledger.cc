#include "worker/agent/device_ledger.h"

#include <algorithm>

#include "common/base/proto_time.h"

namespace lockstep {

double DeviceLedger::Waiting(absl::Duration now) {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - mark_));
  mark_ = std::max(mark_, now);
  return seconds;
}

void DeviceLedger::Begin(const v1::Assignment& order, absl::Time since, absl::Duration now) {
  done_.set_idle(done_.idle() + Waiting(now));
  again_ = order.generation() > 1;
  own_.emplace();
  first_reading_.reset();
  own_->set_job_id(order.job_id());
  own_->set_device(order.device());
  *own_->mutable_since() = ToProto(since);
}

void DeviceLedger::Fetched(absl::Duration now) { own_->set_input(own_->input() + Waiting(now)); }

void DeviceLedger::Given(absl::Duration now) {
  const double waited = Waiting(now);
  if (again_) {
    own_->set_recovery(own_->recovery() + waited);
  } else {
    own_->set_idle(own_->idle() + waited);
  }
  trainer_.emplace();
}

void DeviceLedger::Report(const v1::DeviceTime& trainer) {
  if (trainer_.has_value() && SumOfKinds(trainer) >= SumOfKinds(*trainer_)) trainer_ = trainer;
}

void DeviceLedger::Meter(double joules) {
  if (!own_.has_value()) return;
  if (!first_reading_.has_value()) first_reading_ = joules;
  own_->set_joules(
      std::max(own_->joules(), joules - *first_reading_));  // a driver that was reloaded counts anew
}

void DeviceLedger::Close(bool lost, absl::Duration now) {
  double rest = Waiting(now);
  if (trainer_.has_value()) {
    rest = std::max(0.0, rest - SumOfKinds(*trainer_));
    AddTime(*trainer_, &*own_);
    trainer_.reset();
  }
  if (lost) {
    own_->set_recovery(own_->recovery() + rest);
  } else {
    own_->set_idle(own_->idle() + rest);
  }
}

void DeviceLedger::TakenBack(absl::Duration now) { Close(true, now); }

void DeviceLedger::End(bool lost, absl::Duration now) {
  if (!own_.has_value()) return;
  Close(lost, now);
  AddTime(*own_, &done_);
  ended_ = std::exchange(own_, std::nullopt);
}

std::optional<v1::DeviceTime> DeviceLedger::Spell() const {
  if (!own_.has_value()) return std::nullopt;
  v1::DeviceTime spell = *own_;
  if (trainer_.has_value()) AddTime(*trainer_, &spell);
  return spell;
}

v1::DeviceTime DeviceLedger::Totals(absl::Duration now) const {
  v1::DeviceTime totals = done_;
  if (const auto spell = Spell(); spell.has_value()) {
    AddTime(*spell, &totals);
  } else {
    totals.set_idle(totals.idle() + std::max(0.0, absl::ToDoubleSeconds(now - mark_)));
  }
  return totals;
}

}  // namespace lockstep
