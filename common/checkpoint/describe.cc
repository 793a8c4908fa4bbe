#include "common/checkpoint/describe.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "absl/strings/numbers.h"
#include "common/base/proto_time.h"
#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/manifest.h"

namespace lockstep {
namespace {

v1::Checkpoint Describe(const CheckpointInfo& info) {
  v1::Checkpoint checkpoint;
  checkpoint.set_job_id(info.manifest.job_id);
  checkpoint.set_step(info.manifest.step);
  checkpoint.set_epoch(info.manifest.epoch);
  checkpoint.set_path(info.path);
  *checkpoint.mutable_written_at() = ToProto(absl::FromUnixNanos(info.written_at_unix_nanos));
  checkpoint.set_bytes(info.bytes);
  checkpoint.set_best(info.manifest.best);
  for (const auto& [name, value] : info.manifest.metrics) (*checkpoint.mutable_metrics())[name] = value;
  const absl::Status whole = VerifyCheckpoint(info.path);
  checkpoint.set_whole(whole.ok());
  checkpoint.set_problem(std::string(whole.message()));
  return checkpoint;
}

v1::Checkpoint Broken(const std::string& path, const std::string& problem) {
  v1::Checkpoint checkpoint;
  checkpoint.set_path(path);
  checkpoint.set_problem(problem);
  int64_t step = 0;  // the folder's name is all that is left to go by
  if (absl::SimpleAtoi(path.substr(path.rfind('-') + 1), &step)) checkpoint.set_step(step);
  return checkpoint;
}

}  // namespace

v1::Checkpoint DescribeCheckpoint(const std::string& path) {
  const absl::StatusOr<StoredManifest> manifest = ReadManifest(path);
  if (!manifest.ok()) return Broken(path, std::string(manifest.status().message()));
  return Describe(MakeInfo(path, *manifest));
}

absl::StatusOr<std::vector<v1::Checkpoint>> DescribeCheckpoints(const std::string& directory) {
  std::vector<std::pair<std::string, std::string>> broken;
  ASSIGN_OR_RETURN(const auto infos, ListCheckpoints(directory, &broken));
  std::vector<v1::Checkpoint> out;
  for (const CheckpointInfo& info : infos) out.push_back(Describe(info));
  for (const auto& [path, problem] : broken) out.push_back(Broken(path, problem));
  // Retention may have taken one away meanwhile, whole (it renames the folder first): that is no damage.
  std::erase_if(out, [](const v1::Checkpoint& checkpoint) {
    std::error_code error;
    return !checkpoint.whole() && !std::filesystem::exists(checkpoint.path(), error);
  });
  std::stable_sort(out.begin(), out.end(),
                   [](const v1::Checkpoint& a, const v1::Checkpoint& b) { return a.step() > b.step(); });
  return out;
}

}  // namespace lockstep
