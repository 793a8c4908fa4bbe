// A checkpoint that several processes write, each at its own pace, on storage that they share: every one the
// optimizer tensors that are its own, and the lead all else.
//
//   .tmp-step-N-ATTEMPT/optimizer-00001-of-00003.safetensors         by its process; made durable; then
//   .tmp-step-N-ATTEMPT/.optimizer-00001-of-00003.safetensors.done   its size and checksum, or what went
//   wrong
//
// The lead waits for the notes, takes them into the manifest, and gives the folder its name. It does not read
// the parts: like every file, they are believed once their checksum was verified, by whoever opens the
// checkpoint.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/checkpoint/checkpoint.h"
#include "common/checkpoint/manifest.h"

namespace lockstep {

struct CheckpointPlace {
  std::string directory;
  int64_t step = 0;
  std::string attempt;  // the same for all processes, and never used before for this step
};

// Part `index` of `count`. What goes wrong is also noted for the lead, where it still can be.
absl::Status WriteCheckpointPart(const CheckpointPlace& place, int index, int count,
                                 const std::vector<TensorView>& tensors);

class LeadCheckpoint {
 public:
  // Writes all of `content`; its optimizer tensors, if there are any, are part 0 of `parts`, else the first
  // part is another's as well. On an error nothing stays.
  static absl::StatusOr<LeadCheckpoint> Write(const CheckpointPlace& place, const CheckpointContent& content,
                                              int parts);

  // How many parts are still awaited. An error: one could not be written, which it says.
  absl::StatusOr<int> Missing();
  // REQUIRES: Missing() was 0.
  absl::StatusOr<CheckpointInfo> Commit();
  void Abandon();

 private:
  explicit LeadCheckpoint(const CheckpointPlace& place);

  std::string path_, temporary_;
  StoredManifest stored_;
  int parts_ = 1;
  std::set<int> awaited_;
};

}  // namespace lockstep
