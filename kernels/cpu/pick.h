// Chooses among a kernel's three compilations (cpu/isa.h); for the dispatch files alone.
#pragma once

#include <dnnl.h>

namespace lockstep::kernels::cpu {

enum class Isa { kBase, kAvx2, kAvx512 };

// oneDNN's own choice (ONEDNN_MAX_CPU_ISA included), so that one name in the numeric profile pins both.
inline Isa Chosen() {
  static const Isa isa = [] {
    const unsigned dispatched = dnnl_get_effective_cpu_isa();
    const auto has = [dispatched](unsigned wanted) { return (dispatched & wanted) == wanted; };
    return has(dnnl_cpu_isa_avx512_core) ? Isa::kAvx512 : has(dnnl_cpu_isa_avx2) ? Isa::kAvx2 : Isa::kBase;
  }();
  return isa;
}

template <typename F>
F* Pick(F* base, F* avx2, F* avx512) {
  return Chosen() == Isa::kAvx512 ? avx512 : Chosen() == Isa::kAvx2 ? avx2 : base;
}

}  // namespace lockstep::kernels::cpu

#define LOCKSTEP_PICK(name) Pick(v1::name, v3::name, v4::name)
