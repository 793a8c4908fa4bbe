// Runs a kernel on the host as CUDA's execution model has it, and finds what that model forbids.
//
// Each thread of a block is a fiber. It runs until it reaches a barrier or a warp's operation; which one runs
// next is drawn from a seed, and so is the order of the blocks. A launch ends at the first error, which names
// kernel, block and thread:
//
//   - an access outside the device's buffers, the block's shared memory and the thread's own stack; one that
//   is
//     not aligned; a read of what nobody wrote
//   - a race: two accesses to one byte by two threads, one of them a write, that no __syncthreads orders, nor
//     __syncwarp within its warp. Shuffles and votes order nothing, as CUDA's manual says; neither do
//     atomics, which race with plain accesses alone. Two blocks of a launch are never ordered.
//   - a barrier or a warp's operation that a thread which belongs to it never reaches, or reaches elsewhere
//   in
//     the source; a shuffle that reads from a lane that takes no part
//
// A launch returns when its kernel has ended; those of several threads of the host come one after another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace lockstep::kernels::emulation {

struct Extent {
  unsigned x = 1, y = 1, z = 1;
  constexpr Extent(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  int64_t count() const { return int64_t{x} * y * z; }
};

struct LaunchPlan {
  const char* launcher;
  const char* kernel;  // within GCC's __PRETTY_FUNCTION__ of Launch
  Extent grid, block;
  size_t dynamic_shared;
};

inline constexpr int kLaunchFailed = 719;  // cudaErrorLaunchFailure

// 0, or kLaunchFailed: Error() says why. `thread` is called once for each thread, with `arguments`, which are
// so many bytes. In a capture the launch is recorded with its arguments as they are.
int Run(const LaunchPlan& plan, void (*thread)(const void*), const void* arguments, size_t bytes);

// What was wrong with the last launch that failed.
const std::string& Error();

// Launches from here on run their threads and blocks in the order that `seed` draws.
void SetOrder(uint64_t seed);

// From here on, until it is found again, whatever asks or waits for the device fails, as after an Xid.
// (runtime.cc)
void LoseDevice(bool lost);

// For a kernel's source, through toolkit.h.
void BeginKernel();
Extent ThreadIndex();
Extent BlockIndex();
Extent BlockExtent();
Extent GridExtent();
void* DynamicShared();
void* StaticShared(const char* name, const void* place, size_t bytes);

template <class T>
T& SharedArray(const char* name, const void* place) {
  return *static_cast<T*>(StaticShared(name, place, sizeof(T)));
}

}  // namespace lockstep::kernels::emulation
