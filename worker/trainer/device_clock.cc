#include "worker/trainer/device_clock.h"

#include <algorithm>

namespace lockstep {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

int64_t Now() { return std::chrono::nanoseconds(DeviceClock::Clock::now().time_since_epoch()).count(); }

// By the one thread that writes it.
void Increase(std::atomic<int64_t>* value, int64_t by) { value->store(value->load(kRelaxed) + by, kRelaxed); }

}  // namespace

void DurationCounts::Add(std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const auto bucket = std::lower_bound(kStepBuckets.begin(), kStepBuckets.end(), seconds);
  Increase(&counts_[static_cast<size_t>(bucket - kStepBuckets.begin())], 1);
  Increase(&sum_, took.count());
}

void DurationCounts::Read(v1::Durations* out) const {
  out->clear_counts();
  for (const auto& count : counts_) out->add_counts(count.load(kRelaxed));
  out->set_sum(static_cast<double>(sum_.load(kRelaxed)) / 1e9);
}

DeviceClock::DeviceClock(TimeKind first) : since_(Now()), kind_(static_cast<int>(first)) {}

std::chrono::nanoseconds DeviceClock::Switch(TimeKind kind) {
  const uint64_t sequence = sequence_.load(kRelaxed);
  sequence_.exchange(sequence + 1);
  const int64_t now = std::max(Now(), told_.load());
  const int64_t took = now - since_.load(kRelaxed);
  std::atomic<int64_t>& total = totals_[static_cast<size_t>(kind_.load(kRelaxed))];
  total.store(total.load(kRelaxed) + took, std::memory_order_release);
  since_.store(now, std::memory_order_release);
  kind_.store(static_cast<int>(kind), std::memory_order_release);
  sequence_.store(sequence + 2, std::memory_order_release);
  return std::chrono::nanoseconds(took);
}

void DeviceClock::CountBatch(int64_t samples, int64_t tokens) {
  Increase(&samples_, samples);
  Increase(&tokens_, tokens);
}

void DeviceClock::CountStep(std::chrono::nanoseconds step, std::chrono::nanoseconds reduce) {
  Increase(&step_count_, 1);
  steps_.Add(step);
  reductions_.Add(reduce);
}

void DeviceClock::Read(v1::DeviceTime* out) const {
  constexpr auto kAcquire = std::memory_order_acquire;
  std::array<int64_t, kTimeKinds> totals;
  while (true) {
    const int64_t now = Now();
    int64_t told = told_.load();
    while (told < now && !told_.compare_exchange_weak(told, now)) {
    }
    const uint64_t before = sequence_.load();
    for (size_t i = 0; i < totals.size(); ++i) totals[i] = totals_[i].load(kAcquire);
    const int64_t since = since_.load(kAcquire);
    const int kind = kind_.load(kAcquire);
    if (before % 2 != 0 || sequence_.load(kAcquire) != before) continue;
    totals[static_cast<size_t>(kind)] += std::max<int64_t>(0, now - since);
    break;
  }
  const auto seconds = [&](TimeKind kind) {
    return static_cast<double>(totals[static_cast<size_t>(kind)]) / 1e9;
  };
  out->set_compute(seconds(TimeKind::kCompute));
  out->set_communication(seconds(TimeKind::kCommunication));
  out->set_input(seconds(TimeKind::kInput));
  out->set_checkpoint(seconds(TimeKind::kCheckpoint));
  out->set_recovery(seconds(TimeKind::kRecovery));
  out->set_idle(seconds(TimeKind::kIdle));
  out->set_steps(step_count_.load(kRelaxed));
  out->set_samples(samples_.load(kRelaxed));
  out->set_tokens(tokens_.load(kRelaxed));
}

}  // namespace lockstep
