// A cluster's memory of how products are done (worker/engine/device/product_choices.h), so that a job that is
// submitted again makes the same choices, and so the same model: <artifact root>/products/<device>/<shape>,
// a file for each shape. Who writes it first wins, by link(2): two jobs that time at once agree without a
// lock. Not thread-safe; distinct objects may be used by distinct processes.
#pragma once

#include <string>

#include "common/base/status.h"
#include "worker/engine/device/product_choices.h"

namespace lockstep {

class ProductStore {
 public:
  explicit ProductStore(const std::string& folder) : folder_(folder) {}

  // What it has for this device. A file that is damaged, or of another version, is left out with a warning.
  engine::ProductChoices Load(const std::string& device) const;
  // Enters what it lacks. Where another was first, `choices` gets that one's. An error: the disk's.
  absl::Status Enter(engine::ProductChoices* choices) const;

 private:
  std::string FolderOf(const std::string& device) const;
  const std::string folder_;
};

}  // namespace lockstep
