#include <cstdlib>

#include "worker/collective/stand_in/add.h"

namespace lockstep::stand_in {

void* AllocateForAdd(size_t bytes) { return std::aligned_alloc(64, (bytes + 64) / 64 * 64); }
void FreeForAdd(void* memory) { std::free(memory); }
bool AcceptsForAdd(const void*) { return false; }
void Add(size_t count, const float* source, float* target) {
  for (size_t i = 0; i < count; ++i) target[i] += source[i];
}

}  // namespace lockstep::stand_in
