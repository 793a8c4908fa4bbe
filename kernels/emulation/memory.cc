#include "kernels/emulation/memory.h"

#include <cstring>
#include <utility>

namespace lockstep::kernels::emulation {
namespace {

constexpr size_t kAlignment = 256;  // cudaMalloc's

}  // namespace

void Region::SplitCells() {
  std::vector<Cell> bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = cells[i / cell];
  cells = std::move(bytes);
  cell = 1;
}

char* Memory::Add(const std::string& name, size_t size, const void* initial) {
  const std::lock_guard lock(DeviceLock());
  Block block;
  const size_t whole = size + 2 * kGuard + kAlignment;
  block.storage.reset(new char[whole]);
  std::memset(block.storage.get(), kPoison, whole);
  const auto start = reinterpret_cast<uintptr_t>(block.storage.get()) + kGuard;
  char* const data = block.storage.get() + kGuard + (kAlignment - start % kAlignment) % kAlignment;
  Cell cell;
  if (initial != nullptr) {
    if (size > 0) std::memcpy(data, initial, size);
    cell.writer = kByHost << 1;
  }
  block.region = {name, data, size};
  block.region.cells.assign((size + block.region.cell - 1) / block.region.cell, cell);
  blocks_[reinterpret_cast<uintptr_t>(data) - kGuard] = std::move(block);
  return data;
}

void Memory::Remove(const void* data) {
  const std::lock_guard lock(DeviceLock());
  last_ = nullptr;
  blocks_.erase(reinterpret_cast<uintptr_t>(data) - kGuard);
}

bool Memory::GuardsAreWhole(const void* data) const {
  const auto found = blocks_.find(reinterpret_cast<uintptr_t>(data) - kGuard);
  if (found == blocks_.end()) return false;
  const Region& region = found->second.region;
  const auto* before = reinterpret_cast<const unsigned char*>(region.data) - kGuard;
  const auto* after = reinterpret_cast<const unsigned char*>(region.data) + region.size;
  for (size_t i = 0; i < kGuard; ++i) {
    if (before[i] != kPoison || after[i] != kPoison) return false;
  }
  return true;
}

Region* Memory::Find(uintptr_t address, Region** nearest) {
  *nearest = nullptr;
  const auto within = [address](const Region& region, size_t guard) {
    const auto start = reinterpret_cast<uintptr_t>(region.data);
    return address >= start - guard && address < start + region.size + guard;
  };
  if (last_ == nullptr || !within(last_->region, 0)) {
    auto found = blocks_.upper_bound(address);
    if (found == blocks_.begin()) return nullptr;
    --found;
    if (!within(found->second.region, kGuard)) return nullptr;
    last_ = &found->second;
  }
  *nearest = &last_->region;
  return within(last_->region, 0) ? &last_->region : nullptr;
}

std::recursive_mutex& DeviceLock() {
  static std::recursive_mutex lock;
  return lock;
}

Memory& DeviceMemory() {
  static Memory memory;
  return memory;
}

}  // namespace lockstep::kernels::emulation
