#include "coordinator/jobs/chaos.h"

#include <signal.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/proto_time.h"

namespace lockstep {
namespace {

constexpr absl::Duration kLongest = absl::Minutes(10);

absl::Status CheckKind(const v1::Fault& fault) {
  if (!v1::FaultKind_IsValid(fault.kind()) || fault.kind() == v1::FAULT_KIND_UNSPECIFIED ||
      fault.kind() == v1::FAULT_KIND_ADD) {
    return absl::InvalidArgumentError(
        absl::StrCat("fault.kind is ", fault.kind(), ": expected one that a daemon can do to itself"));
  }
  const bool lasts = fault.kind() == v1::FAULT_KIND_STOP || fault.kind() == v1::FAULT_KIND_CUT;
  const absl::Duration duration = FromProto(fault.duration());
  if (lasts && (duration <= absl::ZeroDuration() || duration > kLongest)) {
    return absl::InvalidArgumentError(absl::StrCat("fault.duration is ", absl::FormatDuration(duration),
                                                   ": expected more than 0 and at most 10m"));
  }
  return absl::OkStatus();
}

absl::Status CheckWorker(const WorkerRecord* worker, const v1::Fault& fault) {
  if (worker == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no worker is called '", fault.worker(), "'; `lockstep workers` lists them"));
  }
  const bool has = std::any_of(worker->devices.begin(), worker->devices.end(),
                               [&](const v1::Device& device) { return device.id() == fault.device(); });
  if (!fault.device().empty() && !has) {
    return absl::NotFoundError(absl::StrCat("worker ", fault.worker(), " has no device '", fault.device(),
                                            "'; `lockstep workers` lists them"));
  }
  if (!worker->allows_chaos) {
    return absl::FailedPreconditionError(
        absl::StrCat("worker ", fault.worker(), " was started without --allow-chaos: it does no faults"));
  }
  if (worker->session == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("worker ", fault.worker(), " is not connected: nobody can tell it to fail"));
  }
  return absl::OkStatus();
}

absl::Status Check(Ledger* ledger, const v1::Fault& fault) {
  if (!ledger->options().allow_chaos) {
    return absl::FailedPreconditionError(
        "this coordinator was started without --allow-chaos: it orders no faults");
  }
  RETURN_IF_ERROR(CheckKind(fault));
  if (fault.kind() == v1::FAULT_KIND_KILL_COORDINATOR) return absl::OkStatus();
  return CheckWorker(ledger->FindWorker(fault.worker()), fault);
}

}  // namespace

void InjectFault(Ledger* ledger, const v1::Fault& fault, const std::function<void(absl::Status)>& done) {
  if (absl::Status status = Check(ledger, fault); !status.ok()) {
    return ledger->AfterCommit([done, status] { done(status); });
  }
  spdlog::warn("chaos: {} {} {}, as ordered", v1::FaultKind_Name(fault.kind()), fault.worker(),
               fault.device());
  if (fault.kind() == v1::FAULT_KIND_KILL_COORDINATOR) {
    return ledger->AfterCommit([] { ::kill(::getpid(), SIGKILL); });
  }
  v1::ConnectResponse order;
  *order.mutable_fault() = fault;
  ledger->Send(fault.worker(), std::move(order));
  ledger->AfterCommit([done] { done(absl::OkStatus()); });
}

}  // namespace lockstep
