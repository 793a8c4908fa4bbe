// How GradientDescent's large products are done on GPUs: one record for all ranks, which is part of the
// state.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/durable_file.h"
#include "spdlog/spdlog.h"
#include "worker/trainer/gradient_descent.h"
#include "worker/trainer/product_store.h"

namespace lockstep {
namespace {

constexpr char kOwnKernels[] = "our own kernels alone";  // a record's device without a library

absl::Status BroadcastText(Collective* collective, std::string* text) {
  auto bytes = static_cast<int64_t>(text->size());
  RETURN_IF_ERROR(collective->Broadcast(&bytes, sizeof(bytes), 0));
  text->resize(static_cast<size_t>(bytes));
  return collective->Broadcast(text->data(), text->size(), 0);
}

}  // namespace

void GradientDescent::KeepToOwnKernels() {
  products_ = engine::ProductChoices();
  products_->device = kOwnKernels;
}

absl::Status GradientDescent::ChooseProducts() {
  KeepToOwnKernels();
  const std::string device = engine_->products();
  if (device.empty()) return absl::OkStatus();
  // Beside jobs/<id>.
  const ProductStore store(
      absl::StrCat(ParentDirectory(ParentDirectory(assignment_.job_directory())), "/products"));
  const engine::ProductChoices known = store.Load(device);
  engine::ProductChoices choices = known;
  RETURN_IF_ERROR(engine_->ChooseProducts(&choices));
  const size_t timed = choices.of.size() - known.of.size();
  if (const absl::Status entered = store.Enter(&choices); !entered.ok()) {
    spdlog::warn("{}; the next job times its products anew, and may choose others", entered.ToString());
  }
  const auto own =
      std::ranges::count_if(choices.of, [](const auto& each) { return !each.second.has_value(); });
  spdlog::info("large products on {}: {} shapes known, {} timed now; {} of all by our own kernels", device,
               known.of.size(), timed, own);
  products_ = std::move(choices);
  return absl::OkStatus();
}

absl::Status GradientDescent::AgreeOnProducts() {
  if (engine_->memory() != CollectiveOptions::Memory::kDevice) return absl::OkStatus();
  std::string record;
  if (collective_->rank() == 0) {
    if (!products_.has_value()) RETURN_IF_ERROR(ChooseProducts());
    record = products_->ToText();
  }
  RETURN_IF_ERROR(BroadcastText(collective_, &record));
  ASSIGN_OR_RETURN(products_, engine::ProductChoices::Parse(record));
  const absl::Status used = engine_->UseProducts(*products_);
  if (!absl::IsFailedPrecondition(used) || assignment_.spec().reproducible()) return used;
  spdlog::warn("{}; the job is not to be reproducible, and this rank goes on with our own kernels",
               std::string(used.message()));
  return engine_->UseProducts({});
}

}  // namespace lockstep
