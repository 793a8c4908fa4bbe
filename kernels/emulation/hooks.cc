// What GCC and Clang call at each load and store of a source compiled with -fsanitize=thread.
// ThreadSanitizer's library is not linked: these take its place, so that kernels stay plain CUDA and a
// release build finds their errors.
#include "kernels/emulation/execution.h"

namespace {

using lockstep::kernels::emulation::Access;

void Touch(const void* address, size_t size, Access access, bool aligned) {
  lockstep::kernels::emulation::TheExecution().Touch(reinterpret_cast<uintptr_t>(address), size, access,
                                                     aligned);
}

}  // namespace

#define LOCKSTEP_HOOKS(size)                                                                            \
  void __tsan_read##size(const void* address) { Touch(address, size, Access::kRead, true); }            \
  void __tsan_write##size(const void* address) { Touch(address, size, Access::kWrite, true); }          \
  void __tsan_unaligned_read##size(const void* address) { Touch(address, size, Access::kRead, false); } \
  void __tsan_unaligned_write##size(const void* address) { Touch(address, size, Access::kWrite, false); }

extern "C" {
LOCKSTEP_HOOKS(1)
LOCKSTEP_HOOKS(2)
LOCKSTEP_HOOKS(4)
LOCKSTEP_HOOKS(8)
LOCKSTEP_HOOKS(16)
void __tsan_read_range(const void* address, size_t size) { Touch(address, size, Access::kRead, false); }
void __tsan_write_range(const void* address, size_t size) { Touch(address, size, Access::kWrite, false); }
void __tsan_init() {}
void __tsan_func_entry(const void*) {}
void __tsan_func_exit() {}
}
