// The large matrix products of training's passes, by cuBLASLt where that is faster than our own kernels.
//
//   Make -> AddRows, AddLeaves (by each operation, when it is bound) -> Choose, on one rank -> Use the record
//
// A job's bits must not depend on the number of its ranks. So the library is asked for the product of one
// logical shard's rows, whose shape is the same whoever computes it, and what one call gives for one shard
// alone is the result: a batch of all shards at once is used where it was seen to have the same bits on this
// rank, else a call for each shard. Passes that do not come in whole shards keep to our own kernels.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "kernels/cublas/lt_product.h"
#include "kernels/cuda/runtime.h"
#include "worker/engine/device/leaf_product.h"
#include "worker/engine/device/product_choices.h"
#include "worker/engine/device/row_product.h"
#include "worker/engine/op.h"

namespace lockstep::engine {

class DeviceProducts {
 public:
  // INTERNAL: the library cannot use the stream's device. `stream` outlives the object.
  static absl::StatusOr<std::unique_ptr<DeviceProducts>> Make(const kernels::LtLibrary* library, int shards,
                                                              bool reproducible,
                                                              const kernels::DeviceStream& stream);

  // For an operation with this context: see RowProduct and LeafProduct. Null: too small to be worth a choice.
  // The product is this object's, and of all operations with its shape.
  RowProduct* AddRows(const OpContext& context, const ShardProduct& product, const float* a, int64_t weight,
                      float* c);
  LeafProduct* AddLeaves(const OpContext& context, const ShardProduct& product, const float* a,
                         const float* b, int64_t weight);

  // What a record has to have been made on.
  const std::string& device() const { return device_; }
  // Times candidates for the shapes that `choices` lacks, and adds the fastest. `pass` is one of training, of
  // whole shards; what the operations' buffers and pass.node_sums hold is lost.
  absl::Status Choose(const DevicePass& pass, ProductChoices* choices);
  // FAILED_PRECONDITION: this device, or this cuBLASLt, cannot do what the record says. A shape that it lacks
  // is computed by our own kernel.
  absl::Status Use(const DevicePass& pass, const ProductChoices& choices);

 private:
  DeviceProducts(kernels::LtContext context, int shards, bool reproducible,
                 const kernels::DeviceStream& stream)
      : context_(std::move(context)), shards_(shards), reproducible_(reproducible), stream_(stream) {}
  template <class Product, class... Buffers>
  Product* Add(const OpContext& context, const ShardProduct& product, Buffers... buffers);
  absl::StatusOr<uint64_t> HashOfATrial(const LibraryProduct& product, const DevicePass& pass) const;
  absl::Status Prepare(LibraryProduct& product, const DevicePass& pass) const;
  absl::Status Take(LibraryProduct& product, const kernels::LtAlgorithm& algorithm,
                    const DevicePass& pass) const;
  absl::StatusOr<std::vector<kernels::LtAlgorithm>> Candidates(const LibraryProduct& product) const;
  template <class Work>
  absl::StatusOr<double> Seconds(const Work& work) const;

  const kernels::LtContext context_;
  const int shards_;
  const bool reproducible_;
  const kernels::DeviceStream& stream_;
  std::string device_;
  std::map<std::string, std::unique_ptr<LibraryProduct>> products_;  // by shape
};

}  // namespace lockstep::engine
