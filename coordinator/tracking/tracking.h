// Tracking, put together: a follower for each sink that was asked for. A sink that is down costs nothing but
// metrics; Start fails only for what can never work. Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/store/store.h"
#include "coordinator/tracking/follower.h"
#include "coordinator/tracking/options.h"

namespace lockstep {

class Tracking {
 public:
  // `store_path` is the file of `store`, which must outlive this. Called without sinks as well: the store
  // then keeps nothing for those of an earlier start.
  static absl::StatusOr<std::unique_ptr<Tracking>> Start(const TrackingOptions& options,
                                                         const std::string& store_path, Store* store);

  std::vector<const Follower*> followers() const;

 private:
  std::unique_ptr<PointLog> log_;
  std::vector<std::unique_ptr<Follower>> followers_;  // last: they use the log
};

}  // namespace lockstep
