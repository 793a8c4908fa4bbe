// A dataset's shard as a stream of chunks. No gRPC in here.
#pragma once

#include <memory>
#include <utility>

#include "coordinator/datasets/registry.h"
#include "coordinator/server/requests.h"
#include "coordinator/server/stream_source.h"
#include "lockstep/v1/datasets.pb.h"

namespace lockstep {

// Opens the file with the first Next, which checks it against its registration. `datasets` must outlive this.
class ShardSource : public StreamSource<v1::ReadShardResponse> {
 public:
  ShardSource(DatasetRegistry* datasets, v1::ReadShardRequest request)
      : datasets_(datasets), request_(std::move(request)) {}

  absl::StatusOr<Pull> Next(v1::ReadShardResponse* message) override {
    if (reader_ == nullptr) {
      RETURN_IF_ERROR(CheckReference("dataset", request_.dataset()));
      ASSIGN_OR_RETURN(reader_, datasets_->OpenShard(request_.dataset(), request_.file(), request_.shard(),
                                                     request_.shards()));
    }
    int64_t offset = 0;
    ASSIGN_OR_RETURN(const bool more, reader_->Next(message->mutable_data(), &offset));
    message->set_offset(offset);
    return more ? Pull::kMessage : Pull::kEnd;
  }

 private:
  DatasetRegistry* const datasets_;
  const v1::ReadShardRequest request_;
  std::unique_ptr<ShardReader> reader_;
};

}  // namespace lockstep
