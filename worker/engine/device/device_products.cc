#include "worker/engine/device/device_products.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/cuda/hash.h"
#include "worker/engine/device/device_profile.h"

namespace lockstep::engine {
namespace {

using kernels::LtAlgorithm;
using kernels::LtProduct;
using kernels::ToStatus;

constexpr int kCandidates = 8;

std::string KeyOf(const ShardProduct& product, bool reproducible) {
  return absl::StrCat(product.bf16() ? "bf16" : "fp32", "_m", product.m, "_n", product.n, "_k", product.k,
                      product.a_transposed ? "_aT" : "", product.b_transposed ? "_bT" : "",
                      product.add ? "_add" : "", reproducible ? "" : "_anyorder");
}

// A product that the library does not do is our own kernel's; that it failed is another matter.
bool CannotBeDone(const absl::Status& status) {
  return absl::IsFailedPrecondition(status) || absl::IsUnimplemented(status) ||
         absl::IsInvalidArgument(status);
}

}  // namespace

absl::Status FillWithTrialNumbers(int64_t count, float* to, const kernels::DeviceStream& stream) {
  std::vector<float> numbers(65521);  // a prime number
  uint32_t state = 1;
  for (float& number : numbers) {
    state = state * 1664525 + 1013904223;
    number = static_cast<float>(static_cast<int32_t>(state)) * 0x1p-31f;
  }
  const auto bytes = [](int64_t floats) { return static_cast<size_t>(floats) * sizeof(float); };
  int64_t filled = std::min(count, std::ssize(numbers));
  RETURN_IF_ERROR(stream.ToDevice(to, numbers.data(), bytes(filled)));
  for (; filled < count; filled += std::min(filled, count - filled)) {
    RETURN_IF_ERROR(stream.OnDevice(to + filled, to, bytes(std::min(filled, count - filled))));
  }
  return stream.Wait();  // `numbers` are read until then
}

absl::StatusOr<std::unique_ptr<DeviceProducts>> DeviceProducts::Make(const kernels::LtLibrary* library,
                                                                     int shards, bool reproducible,
                                                                     const kernels::DeviceStream& stream) {
  ASSIGN_OR_RETURN(const kernels::DeviceProperties device, kernels::PropertiesOf(stream.device()));
  ASSIGN_OR_RETURN(kernels::LtContext context, kernels::LtContext::Make(library));
  std::unique_ptr<DeviceProducts> products(
      new DeviceProducts(std::move(context), shards, reproducible, stream));
  products->device_ = absl::StrCat(device.name, ", ", device.multiprocessors, " multiprocessors of sm_",
                                   device.major, device.minor, ", cuBLASLt ", library->version(),
                                   ", arithmetic ", kDeviceArithmeticRevision);
  return products;
}

template <class Product, class... Buffers>
Product* DeviceProducts::Add(const OpContext& context, const ShardProduct& product, Buffers... buffers) {
  if (shards_ == 0 || !product.WorthIt(context_.library())) return nullptr;
  std::unique_ptr<LibraryProduct>& of = products_[KeyOf(product, reproducible_)];
  if (of == nullptr) {
    of = std::make_unique<Product>(context_, product, shards_, context.scratch, buffers...);
  }
  return static_cast<Product*>(of.get());  // a_transposed is in the key, and is the leaves' alone
}

RowProduct* DeviceProducts::AddRows(const OpContext& context, const ShardProduct& product, const float* a,
                                    int64_t weight, float* c) {
  return Add<RowProduct>(context, product, const_cast<float*>(a), weight, c);
}

LeafProduct* DeviceProducts::AddLeaves(const OpContext& context, const ShardProduct& product, const float* a,
                                       const float* b, int64_t weight) {
  return Add<LeafProduct>(context, product, const_cast<float*>(a), const_cast<float*>(b), weight);
}

absl::Status DeviceProducts::Prepare(LibraryProduct& product, const DevicePass& pass) const {
  if (!product.planned()) RETURN_IF_ERROR(product.Plan());
  return product.Fill(pass, stream_);
}

absl::StatusOr<uint64_t> DeviceProducts::HashOfATrial(const LibraryProduct& product,
                                                      const DevicePass& pass) const {
  const LibraryProduct::Result result = product.ResultOf(pass);
  RETURN_IF_ERROR(stream_.Zero(result.data, static_cast<size_t>(result.count) * sizeof(float)));
  RETURN_IF_ERROR(product.Try(pass));
  uint64_t* const hash = product.hash();
  RETURN_IF_ERROR(stream_.Zero(hash, sizeof(uint64_t)));
  RETURN_IF_ERROR(
      ToStatus(kernels::cuda::ChainHash(result.count, result.data, hash + 1, hash, stream_.get())));
  uint64_t value = 0;
  RETURN_IF_ERROR(stream_.ToHost(&value, hash, sizeof(value)));
  RETURN_IF_ERROR(stream_.Wait());
  return value;
}

absl::Status DeviceProducts::Take(LibraryProduct& product, const LtAlgorithm& algorithm,
                                  const DevicePass& pass) const {
  const bool may_be_at_once = product.all() != nullptr && product.all()->Check(algorithm, reproducible_).ok();
  product.Set(algorithm, may_be_at_once);
  if (!reproducible_ && may_be_at_once) return absl::OkStatus();
  RETURN_IF_ERROR(product.one().Check(algorithm, reproducible_));
  if (!reproducible_) return absl::OkStatus();
  product.Set(algorithm, false);
  ASSIGN_OR_RETURN(const uint64_t alone, HashOfATrial(product, pass));
  ASSIGN_OR_RETURN(const uint64_t again, HashOfATrial(product, pass));
  if (alone != again) {
    return absl::FailedPreconditionError("the same call gave other bits when it was repeated");
  }
  if (!may_be_at_once) return absl::OkStatus();
  product.Set(algorithm, true);
  ASSIGN_OR_RETURN(const uint64_t at_once, HashOfATrial(product, pass));
  product.Set(algorithm, at_once == alone);
  return absl::OkStatus();
}

template <class Work>
absl::StatusOr<double> DeviceProducts::Seconds(const Work& work) const {
  RETURN_IF_ERROR(work());
  RETURN_IF_ERROR(stream_.Wait());
  const kernels::LtLibrary& library = context_.library();
  std::vector<double> seconds(static_cast<size_t>(library.rounds));
  for (double& round : seconds) {
    const double begin = library.seconds();
    for (int i = 0; i < library.times; ++i) RETURN_IF_ERROR(work());
    RETURN_IF_ERROR(stream_.Wait());
    round = library.seconds() - begin;
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[seconds.size() / 2];
}

absl::StatusOr<std::vector<LtAlgorithm>> DeviceProducts::Candidates(const LibraryProduct& product) const {
  for (const LtProduct* const asked : {product.all(), &product.one()}) {
    if (asked == nullptr) continue;
    absl::StatusOr<std::vector<LtAlgorithm>> candidates = asked->Candidates(kCandidates, reproducible_);
    if (!candidates.ok() && !CannotBeDone(candidates.status())) return candidates.status();
    if (candidates.ok() && !candidates->empty()) return candidates;
  }
  return std::vector<LtAlgorithm>();
}

absl::Status DeviceProducts::Choose(const DevicePass& pass, ProductChoices* choices) {
  choices->device = device_;
  for (const auto& [shape, product] : products_) {
    if (choices->of.contains(shape)) continue;
    RETURN_IF_ERROR(Prepare(*product, pass));
    ASSIGN_OR_RETURN(double best, Seconds([&] { return product->TryOwn(pass); }));
    std::optional<LtAlgorithm> fastest;
    ASSIGN_OR_RETURN(const std::vector<LtAlgorithm> candidates, Candidates(*product));
    for (const LtAlgorithm& candidate : candidates) {
      const absl::Status taken = Take(*product, candidate, pass);
      if (CannotBeDone(taken)) continue;
      RETURN_IF_ERROR(taken);
      const absl::StatusOr<double> seconds = Seconds([&] { return product->Try(pass); });
      if (CannotBeDone(seconds.status())) continue;
      RETURN_IF_ERROR(seconds.status());
      if (*seconds >= best) continue;
      best = *seconds;
      fastest = candidate;
    }
    product->Set(std::nullopt, false);
    choices->of[shape] = fastest;
  }
  return absl::OkStatus();
}

absl::Status DeviceProducts::Use(const DevicePass& pass, const ProductChoices& choices) {
  for (const auto& [shape, product] : products_) product->Set(std::nullopt, false);
  if (!choices.any()) return absl::OkStatus();
  if (choices.device != device_) {
    return absl::FailedPreconditionError(
        absl::StrCat("the job's products were chosen on ", choices.device, "; this rank is ", device_,
                     ", whose products have other bits: run it on workers like the first one, or begin a new "
                     "job from its weights (from: { job: ... })"));
  }
  for (const auto& [shape, product] : products_) {
    const auto choice = choices.of.find(shape);
    if (choice == choices.of.end() || !choice->second.has_value()) continue;
    RETURN_IF_ERROR(Prepare(*product, pass));
    const absl::Status taken = Take(*product, *choice->second, pass);
    if (taken.ok()) continue;
    product->Set(std::nullopt, false);
    if (!CannotBeDone(taken)) return taken;
    return absl::FailedPreconditionError(absl::StrCat(
        "the algorithm that the job's record has for ", shape, " cannot be used here: ", taken.message(),
        ". The GPU's driver or its partition may have changed since; begin a new job from this one's weights "
        "(from: { job: ... }), which chooses anew"));
  }
  return absl::OkStatus();
}

}  // namespace lockstep::engine
