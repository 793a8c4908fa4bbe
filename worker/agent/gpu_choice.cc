#include "worker/agent/gpu_choice.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace lockstep {
namespace {

// All GPUs of a driver that this build can use.
absl::StatusOr<GpuChoice> AllGpus(int cuda_major) {
  if (cuda_major == 0) {
    return absl::FailedPreconditionError(
        "this build has no CUDA (nvcc was not found, or LOCKSTEP_CUDA was off, when it was configured)");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Nvml> nvml, Nvml::Load());
  if (nvml->cuda_major() < cuda_major) {
    return absl::FailedPreconditionError(absl::StrCat("the driver ", nvml->driver(), " serves CUDA ",
                                                      nvml->cuda_major(), ", this build needs CUDA ",
                                                      cuda_major, ": update the driver"));
  }
  GpuChoice all;
  ASSIGN_OR_RETURN(all.gpus, nvml->Gpus());
  all.nvml = std::move(nvml);
  all.note = absl::StrCat("driver ", all.nvml->driver());
  return all;
}

std::string Uuids(const std::vector<Gpu>& gpus) {
  if (gpus.empty()) return "none";
  return absl::StrJoin(gpus, ", ", [](std::string* out, const Gpu& gpu) {
    absl::StrAppend(out, gpu.uuid, " (", gpu.name, ")");
  });
}

}  // namespace

int CudaMajorOfThisBuild() { return LOCKSTEP_CUDA_MAJOR; }

absl::StatusOr<GpuChoice> ChooseGpus(const std::string& wanted, int cuda_major) {
  const std::string head = absl::StrCat("--gpus ", wanted);
  int count = 0;
  const bool number = absl::SimpleAtoi(wanted, &count);
  const std::vector<std::string> uuids = absl::StrSplit(wanted, ',');
  const bool named = std::all_of(uuids.begin(), uuids.end(),
                                 [](const std::string& u) { return absl::StartsWith(u, "GPU-"); });
  if (wanted == "none" || (number && count == 0)) return GpuChoice{};
  if (wanted != "auto" && !named && !(number && count > 0)) {
    return absl::InvalidArgumentError(
        absl::StrCat(head,
                     ": expected auto, none, a number of GPUs, or their UUIDs (GPU-...) as nvidia-smi -L "
                     "lists them, separated by commas"));
  }
  absl::StatusOr<GpuChoice> all = AllGpus(cuda_major);
  if (wanted == "auto") {
    if (!all.ok()) return GpuChoice{{}, std::string(all.status().message()), nullptr};
    if (all->gpus.empty()) return GpuChoice{{}, "the driver sees no GPU", nullptr};
    return all;
  }
  if (!all.ok()) return absl::FailedPreconditionError(absl::StrCat(head, ": ", all.status().message()));
  if (number) {
    if (count > static_cast<int>(all->gpus.size())) {
      return absl::FailedPreconditionError(
          absl::StrCat(head, ": this machine has ", all->gpus.size(), " (", Uuids(all->gpus),
                       "); ask for fewer, or see CUDA's and the container's view with nvidia-smi -L"));
    }
    all->gpus.resize(static_cast<size_t>(count));
    return all;
  }
  GpuChoice chosen{{}, all->note, all->nvml};
  for (const std::string& uuid : uuids) {
    const auto is_it = [&](const Gpu& gpu) { return gpu.uuid == uuid; };
    const auto found = std::find_if(all->gpus.begin(), all->gpus.end(), is_it);
    if (found == all->gpus.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(head, ": this machine has no GPU ", uuid, "; it has ", Uuids(all->gpus)));
    }
    if (std::any_of(chosen.gpus.begin(), chosen.gpus.end(), is_it)) {
      return absl::InvalidArgumentError(absl::StrCat(head, ": ", uuid, " is named twice"));
    }
    chosen.gpus.push_back(*found);
  }
  return chosen;
}

}  // namespace lockstep
