// Barriers, warp operations and atomics as a kernel's source has them. `line` is the caller's: what meets at
// one barrier must stand on one line of the source.
#pragma once

#include <cstdint>
#include <cstring>

namespace lockstep::kernels::emulation {

enum class Vote : int { kNone, kCount, kAnd, kOr };

// Returns the vote's result.
int Barrier(Vote vote, int predicate, int line);

enum class WarpOperation : int { kSync, kBallot, kShuffle };

// Waits for the lanes of `mask`, then gives the caller the value of lane `source` of its warp (kShuffle), or
// the lanes whose value is not 0 (kBallot).
uint64_t WarpMeet(WarpOperation operation, unsigned mask, uint64_t value, int source, int line);
int Lane();

// Tells the emulation of an atomic access; `bytes` at `address` are then the caller's for one read and write.
void BeginAtomic(void* address, size_t bytes);

template <class T, class Source>
T Shuffle(unsigned mask, T value, int width, int line, Source source) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "CUDA shuffles 4 or 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  const int lane = Lane(), first = lane / width * width, from = source(lane - first);
  bits = WarpMeet(WarpOperation::kShuffle, mask, bits, from < 0 || from >= width ? lane : first + from, line);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}

// Not instrumented: what is written here is announced above.
template <class T, class Change>
__attribute__((no_sanitize("thread"))) T Atomic(T* address, Change change) {
  BeginAtomic(address, sizeof(T));
  const T before = *address;
  *address = change(before);
  return before;
}

}  // namespace lockstep::kernels::emulation

inline void __syncthreads(int line = __builtin_LINE()) {
  lockstep::kernels::emulation::Barrier(lockstep::kernels::emulation::Vote::kNone, 0, line);
}
inline int __syncthreads_count(int predicate, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Barrier(lockstep::kernels::emulation::Vote::kCount, predicate, line);
}
inline int __syncthreads_and(int predicate, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Barrier(lockstep::kernels::emulation::Vote::kAnd, predicate, line);
}
inline int __syncthreads_or(int predicate, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Barrier(lockstep::kernels::emulation::Vote::kOr, predicate, line);
}

inline void __syncwarp(unsigned mask = 0xffffffffu, int line = __builtin_LINE()) {
  lockstep::kernels::emulation::WarpMeet(lockstep::kernels::emulation::WarpOperation::kSync, mask, 0, 0,
                                         line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return static_cast<unsigned>(lockstep::kernels::emulation::WarpMeet(
      lockstep::kernels::emulation::WarpOperation::kBallot, mask, predicate != 0, 0, line));
}
inline int __any_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, int line = __builtin_LINE()) {
  return __ballot_sync(mask, predicate, line) == mask;
}

template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Shuffle(mask, value, width, line, [=](int) { return lane % width; });
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Shuffle(mask, value, width, line,
                                               [=](int own) { return own ^ lanes; });
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Shuffle(mask, value, width, line,
                                               [=](int own) { return own + static_cast<int>(by); });
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, int line = __builtin_LINE()) {
  return lockstep::kernels::emulation::Shuffle(mask, value, width, line,
                                               [=](int own) { return own - static_cast<int>(by); });
}

template <class T>
T atomicAdd(T* address, T value) {
  return lockstep::kernels::emulation::Atomic(address, [=](T old) { return old + value; });
}
template <class T>
T atomicMax(T* address, T value) {
  return lockstep::kernels::emulation::Atomic(address, [=](T old) { return old < value ? value : old; });
}
template <class T>
T atomicMin(T* address, T value) {
  return lockstep::kernels::emulation::Atomic(address, [=](T old) { return value < old ? value : old; });
}
template <class T>
T atomicExch(T* address, T value) {
  return lockstep::kernels::emulation::Atomic(address, [=](T) { return value; });
}
template <class T>
T atomicCAS(T* address, T expected, T value) {
  return lockstep::kernels::emulation::Atomic(address, [=](T old) { return old == expected ? value : old; });
}
