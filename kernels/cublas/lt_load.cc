// Which cuBLASLt this process uses. Tests link stand_in/in_place.cc before it.
#include <cstdlib>
#include <cstring>

#include "kernels/cublas/lt_api.h"

namespace lockstep::kernels {
namespace {

constexpr const char* kPlaces[] = {"libcublasLt.so.13", "libcublasLt.so.12",
                                   "/usr/local/cuda/lib64/libcublasLt.so.13",
                                   "/usr/local/cuda/lib64/libcublasLt.so.12"};

absl::StatusOr<LtLibrary> LoadAny() {
  if (const char* file = std::getenv("LOCKSTEP_CUBLASLT"); file != nullptr) {
    if (*file == '\0' || std::strcmp(file, "none") == 0) {
      return absl::NotFoundError("cuBLASLt is switched off by LOCKSTEP_CUBLASLT");
    }
    return LoadLtFrom(file);
  }
  absl::Status first;
  for (const char* place : kPlaces) {
    absl::StatusOr<LtLibrary> library = LoadLtFrom(place);
    if (library.ok()) return library;
    if (first.ok()) first = library.status();
  }
  return first;
}

}  // namespace

absl::StatusOr<const LtLibrary*> LoadLt() {
  static const absl::StatusOr<LtLibrary> library = LoadAny();
  RETURN_IF_ERROR(library.status());
  return &*library;
}

}  // namespace lockstep::kernels
