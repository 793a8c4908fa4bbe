#include "coordinator/jobs/cordons.h"

#include <spdlog/spdlog.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/proto_time.h"

namespace lockstep {
namespace {

constexpr size_t kLongestReason = 500;

v1::Cordon Make(Ledger* ledger, const std::string& worker, const std::string& device,
                const std::string& reason, bool automatic) {
  v1::Cordon cordon;
  cordon.set_worker(worker);
  cordon.set_device(device);
  cordon.set_reason(reason);
  *cordon.mutable_since() = ToProto(ledger->now());
  cordon.set_automatic(automatic);
  return cordon;
}

std::string Name(const std::string& worker, const std::string& device) {
  return device.empty() ? absl::StrCat("worker ", worker)
                        : absl::StrCat("device ", device, " of worker ", worker);
}

}  // namespace

absl::Status Cordons::CheckKnown(const std::string& worker, const std::string& device) const {
  const WorkerRecord* record = ledger_->FindWorker(worker);
  if (record == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no worker is called '", worker, "'; `lockstep workers` lists them"));
  }
  const bool has = std::any_of(record->devices.begin(), record->devices.end(),
                               [&](const v1::Device& known) { return known.id() == device; });
  if (device.empty() || has) return absl::OkStatus();
  return absl::NotFoundError(
      absl::StrCat("worker ", worker, " has no device '", device, "'; `lockstep workers` lists them"));
}

void Cordons::Set(const v1::CordonWorkerRequest& request, const SetCallback& done) {
  absl::Status status = CheckKnown(request.worker(), request.device());
  if (request.reason().size() > kLongestReason) {
    status = absl::InvalidArgumentError(absl::StrCat("the reason has ", request.reason().size(),
                                                     " bytes, expected at most ", kLongestReason));
  }
  if (!status.ok()) return ledger_->AfterCommit([done, status] { done(status); });
  const auto there = ledger_->cordons().find({request.worker(), request.device()});
  v1::Cordon cordon;
  if (there != ledger_->cordons().end() && there->second.reason() == request.reason()) {
    cordon = there->second;
  } else {
    cordon = Make(ledger_, request.worker(), request.device(), request.reason(), false);
    ledger_->SetCordon(cordon);
    spdlog::info("{} is cordoned: {}", Name(request.worker(), request.device()), request.reason());
    sessions_->Vacate(request.worker(), request.device(), "is cordoned");
  }
  ledger_->AfterCommit([done, cordon] { done(cordon); });
}

void Cordons::Remove(const v1::UncordonWorkerRequest& request, const RemoveCallback& done) {
  std::vector<v1::Cordon> removed;
  for (const auto& [slot, cordon] : ledger_->cordons()) {
    if (slot.worker == request.worker() && (request.device().empty() || slot.device == request.device())) {
      removed.push_back(cordon);
    }
  }
  if (removed.empty()) {
    const absl::Status status = absl::NotFoundError(absl::StrCat(
        Name(request.worker(), request.device()), " is not cordoned; `lockstep workers` shows what is"));
    return ledger_->AfterCommit([done, status] { done(status); });
  }
  if (ledger_->FindWorker(request.worker()) != nullptr)
    ledger_->EditWorker(request.worker())->failures.clear();
  for (const v1::Cordon& cordon : removed) {
    ledger_->RemoveCordon({cordon.worker(), cordon.device()});
    spdlog::info("{} is back in service", Name(cordon.worker(), cordon.device()));
  }
  ledger_->AfterCommit([done, removed] { done(removed); });
}

void Quarantine(Ledger* ledger, const std::string& worker, const std::string& device,
                const std::string& reason) {
  if (ledger->FindCordon(worker, device) != nullptr) return;
  spdlog::error("{} is quarantined until `lockstep uncordon {}{}{}`: {}", Name(worker, device), worker,
                device.empty() ? "" : " --device ", device, reason);
  ledger->SetCordon(Make(ledger, worker, device, reason, true));
}

}  // namespace lockstep
