// What this processor and its libraries are, and how a compute thread is prepared.
#include <dnnl.h>
#include <gnu/libc-version.h>
#include <pmmintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xmmintrin.h>

#include "absl/strings/str_cat.h"
#include "kernels/gemm.h"

// OpenMP's runtime comes with libdnnl, so it is asked for by name rather than linked: a libdnnl that is built
// without it has no threads to limit.
extern "C" void omp_set_num_threads(int count) __attribute__((weak));

namespace lockstep::kernels::cpu {

void PrepareThread() {
  thread_local bool prepared = false;
  _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
  _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON);
  if (prepared) return;
  if (omp_set_num_threads != nullptr) omp_set_num_threads(1);
  dnnl_get_effective_cpu_isa();  // its first call allocates; that is not for the step path
  prepared = true;
}

std::string MathLibrary() {
  const dnnl_version_t* version = dnnl_version();
  return absl::StrCat("oneDNN ", version->major, ".", version->minor, ".", version->patch, ", glibc ",
                      gnu_get_libc_version());
}

bool HasBf16() {
  return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) == dnnl_cpu_isa_avx512_core_bf16;
}

bool HasAmx() {
  static const bool granted = [] {
    constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_amx) == dnnl_cpu_isa_avx512_core_amx &&
           ::syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }();
  return granted;
}

std::string InstructionSet() {
  switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41:
      return "sse41";
    case dnnl_cpu_isa_avx:
      return "avx";
    case dnnl_cpu_isa_avx2:
      return "avx2";
    case dnnl_cpu_isa_avx2_vnni:
      return "avx2_vnni";
    case dnnl_cpu_isa_avx512_core:
      return "avx512_core";
    case dnnl_cpu_isa_avx512_core_vnni:
      return "avx512_core_vnni";
    case dnnl_cpu_isa_avx512_core_bf16:
      return "avx512_core_bf16";
    case dnnl_cpu_isa_avx512_core_amx:
      return HasAmx() ? "avx512_core_amx" : "avx512_core_bf16";
    default:
      return absl::StrCat("isa_", static_cast<int>(dnnl_get_effective_cpu_isa()));
  }
}

}  // namespace lockstep::kernels::cpu
