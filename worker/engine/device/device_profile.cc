#include "worker/engine/device/device_profile.h"

#include "absl/strings/str_cat.h"
#include "kernels/cublas/lt_api.h"
#include "kernels/cuda/runtime.h"

namespace lockstep::engine {

absl::StatusOr<v1::NumericProfile> DeviceProfile(int device) {
  ASSIGN_OR_RETURN(const kernels::DeviceProperties properties, kernels::PropertiesOf(device));
  v1::NumericProfile profile;
  profile.set_device_kind(kGpuKind);
  profile.set_device_model(properties.name);
  profile.set_instruction_set(absl::StrCat("sm_", properties.major, properties.minor));
  const absl::StatusOr<const kernels::LtLibrary*> products = kernels::LoadLt();
  profile.set_math_library(absl::StrCat("own kernels, ", properties.toolkit,
                                        products.ok() ? ", cuBLASLt " + (*products)->version() : ""));
  profile.set_arithmetic_revision(kDeviceArithmeticRevision);
  profile.set_threads(1);
  return profile;
}

}  // namespace lockstep::engine
