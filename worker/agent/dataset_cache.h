// Makes a job's dataset a local file: the registered path where this node sees it, else a copy fetched from
// the coordinator, shard by shard, into <directory>/<fingerprint>/. A fetch that was cut off goes on after
// its last whole shard. Agents that share the directory, and slots of one agent, fetch a dataset once: a file
// lock is held meanwhile. The content's checksum is checked by the trainer, which reads all of it anyway.
//
// Thread-safe; Localize blocks for as long as the fetch takes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>

#include "common/base/status.h"
#include "lockstep/v1/datasets.pb.h"

namespace lockstep {

// Streams one shard: calls `chunk` for each piece in order, and stops with its error if it returns one.
using ShardReader =
    std::function<absl::Status(const v1::ReadShardRequest& request,
                               const std::function<absl::Status(const v1::ReadShardResponse& chunk)>& chunk)>;

class DatasetCache {
 public:
  struct Options {
    std::string directory;
    int64_t shard_bytes = 16 << 20;                // about; what a cut-off fetch loses at most
    absl::Duration retry_for = absl::Seconds(30);  // without any progress, while the coordinator is away
    std::function<void(int64_t bytes)> on_bytes = [](int64_t) {};  // for metrics; from any thread
  };
  DatasetCache(Options options, ShardReader reader);

  // `dataset` with its files as they are on this node. UNAVAILABLE: the coordinator is away for
  // too long. DATA_LOSS: the copy is not as large as it should be. CANCELLED: `cancelled` became true.
  absl::StatusOr<v1::Dataset> Localize(v1::Dataset dataset, const std::atomic<bool>& cancelled);

 private:
  absl::Status Fetch(const v1::Dataset& dataset, int file, const std::string& target,
                     const std::atomic<bool>& cancelled);

  const Options options_;
  const ShardReader reader_;
};

}  // namespace lockstep
