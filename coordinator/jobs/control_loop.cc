#include "coordinator/jobs/control_loop.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace lockstep {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr auto kRetry = std::chrono::milliseconds(200);

}  // namespace

ControlLoop::ControlLoop(const Options& options, Hooks hooks) : options_(options), hooks_(std::move(hooks)) {}

ControlLoop::~ControlLoop() {
  Stop();
  const absl::Status status = absl::UnavailableError("the coordinator is shutting down; try again");
  for (const ControlEvent& event : queue_) {
    if (event.fail) event.fail(status);
  }
}

void ControlLoop::Start() {
  next_tick_ = SteadyClock::now() + absl::ToChronoNanoseconds(options_.tick);
  thread_ = std::thread([this] { Run(); });
}

void ControlLoop::Stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ControlLoop::Post(ControlEvent event) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!stopping_) {
      if (queue_.empty()) oldest_ = SteadyClock::now();
      const bool wake = queue_.empty() || (event.urgent && !urgent_);
      urgent_ |= event.urgent;
      queue_.push_back(std::move(event));
      if (wake) wake_.notify_one();
      return;
    }
  }
  if (event.fail) event.fail(absl::UnavailableError("the coordinator is shutting down; try again"));
}

bool ControlLoop::Take(bool busy, std::vector<ControlEvent>* events) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopping_) {
    const auto now = SteadyClock::now();
    auto until = next_tick_;
    if (urgent_ || busy) {
      until = now;
    } else if (!queue_.empty()) {
      until = std::min(until, oldest_ + absl::ToChronoNanoseconds(options_.company));
    }
    until = std::max(until, not_before_);
    if (now >= until) break;
    wake_.wait_until(lock, until);
  }
  if (stopping_) return false;
  while (!queue_.empty() && events->size() < options_.max_round) {
    events->push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  urgent_ = !queue_.empty();
  oldest_ = SteadyClock::now();
  return true;
}

void ControlLoop::Keep(std::vector<ControlEvent> events) {
  std::lock_guard<std::mutex> lock(mutex_);
  not_before_ = SteadyClock::now() + kRetry;
  urgent_ = true;
  for (auto event = events.rbegin(); event != events.rend(); ++event) {
    if (event->fail) continue;
    if (event->droppable && queue_.size() >= options_.max_kept) continue;
    queue_.push_front(std::move(*event));
  }
}

void ControlLoop::Run() {
  bool busy = false;
  while (true) {
    std::vector<ControlEvent> events;
    if (!Take(busy, &events)) return;
    for (const ControlEvent& event : events) event.apply();
    const auto now = SteadyClock::now();
    if (now >= next_tick_) {
      // Late is late: ticks that were missed are not made up for.
      next_tick_ = now + absl::ToChronoNanoseconds(options_.tick);
      hooks_.tick();
    }
    if (absl::Status status = hooks_.commit(); !status.ok()) {
      spdlog::error("{}", std::string(status.message()));
      for (const ControlEvent& event : events) {
        if (event.fail) event.fail(status);
      }
      Keep(std::move(events));
      continue;
    }
    busy = hooks_.pump();
  }
}

}  // namespace lockstep
