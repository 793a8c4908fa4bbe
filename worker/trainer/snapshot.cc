#include "worker/trainer/snapshot.h"

#include <algorithm>

namespace lockstep {

void Snapshot::Clear() {
  content = CheckpointContent();
  part = -1;
  parts = 0;
  used_ = 0;
}

const float* Snapshot::Add(const std::vector<std::span<const float>>& sources) {
  size_t size = 0;
  for (const std::span<const float> source : sources) size += source.size();
  if (used_ < pieces_.size() && pieces_[used_].size != size) pieces_.resize(used_);
  if (used_ == pieces_.size()) {
    // Not zeroed: its pages are first touched by Touch or Copy. (Huge pages were tried: the step waited 0.3 s
    // instead of 1 ms for 150 MB, on a machine that had to find them first.)
    pieces_.push_back({{}, std::unique_ptr<float[]>(new float[size]), size});
  }
  Piece& piece = pieces_[used_++];
  piece.sources = sources;
  return piece.room.get();
}

void Snapshot::Touch() {
  constexpr size_t kPage = 4096 / sizeof(float);
  for (const Piece& piece : pieces_) {
    for (size_t i = 0; i < piece.size; i += kPage) piece.room[i] = 0;
  }
}

void Snapshot::Copy() {
  pieces_.resize(used_);
  for (const Piece& piece : pieces_) {
    float* to = piece.room.get();
    for (const std::span<const float> source : piece.sources)
      to = std::copy(source.begin(), source.end(), to);
  }
}

}  // namespace lockstep
