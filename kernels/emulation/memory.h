// The device's memory as the emulation sees it: regions, and for each of their bytes who touched it last.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace lockstep::kernels::emulation {

enum class Access : int { kRead, kWrite, kAtomic };

// When something happened: a thread of a block between two of its synchronisations.
struct Moment {
  uint32_t block = 0;
  uint32_t thread = 0;
  uint32_t interval = 0;  // __syncthreads of the block before it
  uint32_t step = 0;      // of the thread's clock within its warp
};

inline constexpr uint32_t kNever = 0;   // nobody wrote it
inline constexpr uint32_t kByHost = 1;  // or an earlier launch

// Moments by number, `atomic` in the lowest bit. Two readers, since one that the writer is ordered after may
// hide another; a third is forgotten.
struct Cell {
  uint32_t writer = kNever;
  uint32_t readers[2] = {kNever, kNever};
};

struct Region {
  std::string name;  // "a device buffer", "shared array tile"
  char* data = nullptr;
  size_t size = 0;
  size_t cell = 4;  // bytes of a cell: 4 until something smaller is touched
  std::vector<Cell> cells;

  void SplitCells();  // one for each byte
};

// Owns the device's buffers and the block's shared arrays. Every region lies between guards that belong to
// nobody, filled with kPoison as is what nobody wrote.
class Memory {
 public:
  static constexpr size_t kGuard = 512;
  static constexpr unsigned char kPoison = 0xff;  // makes a NaN

  // `initial` may be null: nobody wrote it.
  char* Add(const std::string& name, size_t size, const void* initial);
  void Remove(const void* data);
  // Are the guards untouched? For what writes past the hooks: the emulation itself.
  bool GuardsAreWhole(const void* data) const;
  // The region that holds the address, or null. `nearest`: the one whose guard does.
  Region* Find(uintptr_t address, Region** nearest);

 private:
  struct Block {
    Region region;
    std::unique_ptr<char[]> storage;
  };
  std::map<uintptr_t, Block> blocks_;  // by the start of their first guard
  Block* last_ = nullptr;
};

Memory& DeviceMemory();

// The one device is one thread's at a time: for a launch, which may be another stream's than the engine's,
// for a copy, and for as long as what Find returned is used. Recursive, since a launch adds shared arrays.
std::recursive_mutex& DeviceLock();

}  // namespace lockstep::kernels::emulation
