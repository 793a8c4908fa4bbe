// The registry's view of the coordinator's store.
#pragma once

#include <vector>

#include "coordinator/datasets/registry.h"
#include "coordinator/store/store.h"

namespace lockstep {

class StoredDatasets : public DatasetStore {
 public:
  // `store` must outlive this.
  explicit StoredDatasets(Store* store) : store_(store) {}
  absl::StatusOr<std::vector<v1::Dataset>> LoadDatasets() override { return store_->LoadDatasets(); }
  absl::Status SaveDataset(const v1::Dataset& dataset) override { return store_->SaveDataset(dataset); }

 private:
  Store* const store_;
};

}  // namespace lockstep
