// Barriers and warp operations of kernels/emulation/execution.h.
#include <algorithm>

#include "kernels/emulation/execution.h"

namespace lockstep::kernels::emulation {
namespace {

std::string Hex(unsigned mask) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "0x";
  for (int shift = 28; shift >= 0; shift -= 4) out += kDigits[mask >> shift & 15];
  return out;
}

}  // namespace

int Execution::Meet(Vote vote, int predicate, int line) {
  const int count = static_cast<int>(threads_.size());
  for (int other = 0; other < count && at_barrier_ > 0; ++other) {
    if (threads_[other].state != State::kAtBarrier || threads_[other].line == line) continue;
    Fail("is at the barrier in line " + std::to_string(line) + " while thread " + std::to_string(other) +
         " waits at that in line " + std::to_string(threads_[other].line));
  }
  Thread& self = threads_[current_];
  self.state = State::kAtBarrier;
  self.line = line;
  self.vote = predicate != 0;
  if (++at_barrier_ == count) {
    int votes = 0;
    for (const Thread& thread : threads_) votes += thread.vote;
    for (int i = 0; i < count; ++i) {
      Thread& thread = threads_[i];
      thread.state = State::kReady;
      thread.moment = 0;
      thread.result = vote == Vote::kCount ? votes : vote == Vote::kAnd ? votes == count : votes > 0;
      ready_.push_back(i);
    }
    at_barrier_ = 0;
    ++interval_;
  }
  fibers_.Suspend();
  return static_cast<int>(threads_[current_].result);
}

uint64_t Execution::MeetWarp(WarpOperation operation, unsigned mask, uint64_t value, int source, int line) {
  const int first = current_ / kWarp * kWarp, lane = current_ - first;
  const int lanes = std::min(kWarp, static_cast<int>(threads_.size()) - first);
  const auto in = [](unsigned set, int which) { return (set >> which & 1) != 0; };
  if (!in(mask, lane))
    Fail("is not in the mask " + Hex(mask) + " that it gives in line " + std::to_string(line));
  if (operation == WarpOperation::kShuffle && !in(mask, source)) {
    Fail("shuffles in line " + std::to_string(line) + " from lane " + std::to_string(source) +
         ", which takes no part: the mask is " + Hex(mask));
  }
  bool all = true;
  for (int other = 0; other < kWarp; ++other) {
    if (!in(mask, other) || other == lane) continue;
    if (other >= lanes) {
      Fail("waits in line " + std::to_string(line) + " for lane " + std::to_string(other) +
           ", which its block does not have");
    }
    const Thread& there = threads_[first + other];
    all = all && there.state == State::kAtWarp;
    if (there.state != State::kAtWarp) continue;
    if (there.mask != mask || there.operation != operation || there.line != line) {
      Fail("is in line " + std::to_string(line) + " with the mask " + Hex(mask) + " while thread " +
           std::to_string(first + other) + " of its warp waits in line " + std::to_string(there.line) +
           " with " + Hex(there.mask));
    }
  }
  Thread& self = threads_[current_];
  self.state = State::kAtWarp;
  self.line = line;
  self.operation = operation;
  self.mask = mask;
  self.source = source;
  self.value = value;
  if (all) CompleteWarp(mask, first);
  fibers_.Suspend();
  return threads_[current_].result;
}

void Execution::CompleteWarp(unsigned mask, int first) {
  Clocks& clocks = clocks_[first / kWarp];
  uint64_t ballot = 0;
  uint32_t latest[kWarp] = {};
  const auto each = [mask](auto visit) {
    for (int lane = 0; lane < kWarp; ++lane) {
      if ((mask >> lane & 1) != 0) visit(lane);
    }
  };
  each([&](int lane) {
    if (threads_[first + lane].value != 0) ballot |= uint64_t{1} << lane;
    for (int i = 0; i < kWarp; ++i) latest[i] = std::max(latest[i], clocks.step[lane][i]);
  });
  each([&](int lane) {
    Thread& thread = threads_[first + lane];
    thread.state = State::kReady;
    ready_.push_back(first + lane);
    if (thread.operation == WarpOperation::kBallot) thread.result = ballot;
    if (thread.operation == WarpOperation::kShuffle) thread.result = threads_[first + thread.source].value;
    if (thread.operation != WarpOperation::kSync) return;
    std::copy_n(latest, kWarp, clocks.step[lane]);
    ++clocks.step[lane][lane];
    thread.moment = 0;
  });
}

}  // namespace lockstep::kernels::emulation
