// Loads and stores of kernels/emulation/execution.h: bounds, what was never written, and races, by vector
// clocks (as FastTrack, Flanagan & Freund 2009, with the barriers' count in place of clocks between warps).
#include "kernels/emulation/execution.h"

namespace lockstep::kernels::emulation {
namespace {

const char* Verb(Access access) {
  return access == Access::kRead ? "reads" : access == Access::kWrite ? "writes" : "changes atomically";
}

}  // namespace

uint32_t Execution::Now() {
  Thread& self = threads_[current_];
  if (self.moment == 0) {
    const int lane = current_ % kWarp;
    moments_.push_back(
        {block_, static_cast<uint32_t>(current_), interval_, clocks_[current_ / kWarp].step[lane][lane]});
    self.moment = first_moment_ + static_cast<uint32_t>(moments_.size()) - 1;
  }
  return self.moment;
}

bool Execution::Ordered(uint32_t moment) const {
  if (moment < first_moment_) return true;
  const Moment& then = moments_[moment - first_moment_];
  if (then.block != block_) return false;
  const int thread = static_cast<int>(then.thread);
  if (thread == current_ || then.interval < interval_) return true;
  if (thread / kWarp != current_ / kWarp) return false;
  return clocks_[current_ / kWarp].step[current_ % kWarp][thread % kWarp] >= then.step;
}

std::string Execution::Who(uint32_t moment) const {
  const Moment& then = moments_[moment - first_moment_];
  return "thread " + std::to_string(then.thread) +
         (then.block == block_ ? "" : " of block " + std::to_string(then.block));
}

void Execution::Touch(uintptr_t address, size_t size, Access access, bool aligned) {
  if (!watching_ || size == 0 || fibers_.OnStack(address)) return;
  Region* nearest = nullptr;
  Region* const region = DeviceMemory().Find(address, &nearest);
  const auto what = [&] { return std::string(Verb(access)) + " " + std::to_string(size) + " bytes "; };
  if (nearest == nullptr) Fail(what() + "of memory that is not the device's");
  const auto start = reinterpret_cast<uintptr_t>(nearest->data);
  const int64_t offset = static_cast<int64_t>(address) - static_cast<int64_t>(start);
  if (region == nullptr || static_cast<size_t>(offset) + size > region->size) {
    Fail(what() + "at byte " + std::to_string(offset) + " of " + nearest->name + " of " +
         std::to_string(nearest->size) + " bytes");
  }
  if (aligned && address % size != 0) {
    Fail(what() + "at byte " + std::to_string(offset) + " of " + region->name +
         ", which is not a multiple of " + std::to_string(size));
  }
  const uint32_t now = Now();
  const auto begin = static_cast<size_t>(offset), end = begin + size;
  if ((begin | size) % region->cell != 0) region->SplitCells();
  for (size_t at = begin; at < end; at += region->cell) TouchCell(*region, at, access, now);
}

void Execution::TouchCell(Region& region, size_t offset, Access access, uint32_t now) {
  Cell& cell = region.cells[offset / region.cell];
  const bool atomic = access == Access::kAtomic;
  const auto place = [&] {
    return std::string(Verb(access)) + " byte " + std::to_string(offset) + " of " + region.name;
  };
  const auto races = [&](uint32_t other) {
    return other >> 1 != now && !(atomic && (other & 1) != 0) && !Ordered(other >> 1);
  };
  if (cell.writer == kNever && access != Access::kWrite) Fail(place() + ", which nobody has written");
  if (races(cell.writer))
    Fail(place() + ", which " + Who(cell.writer >> 1) + " writes with no barrier between");
  if (access != Access::kRead) {
    for (uint32_t& reader : cell.readers) {
      if (races(reader)) Fail(place() + ", which " + Who(reader >> 1) + " reads with no barrier between");
      reader = kNever;
    }
    cell.writer = now << 1 | (atomic ? 1 : 0);
    return;
  }
  // The reader that this one is ordered after is forgotten; else the later of the two.
  const bool first = cell.readers[0] >> 1 == now || Ordered(cell.readers[0] >> 1);
  cell.readers[first ? 0 : 1] = now << 1;
}

}  // namespace lockstep::kernels::emulation
