#include "coordinator/jobs/node_failures.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/jobs/cordons.h"

namespace lockstep {
namespace {

constexpr absl::Duration kWindow = absl::Hours(1);

}  // namespace

void CountNodeFailure(Ledger* ledger, const std::string& worker, const std::string& reason) {
  const int most = ledger->options().node_failures;
  if (most == 0 || ledger->FindWorker(worker) == nullptr) return;
  std::vector<absl::Time>& failures = ledger->EditWorker(worker)->failures;
  std::erase_if(failures, [&](absl::Time at) { return at <= ledger->now() - kWindow; });
  failures.push_back(ledger->now());
  if (static_cast<int>(failures.size()) < most) return;
  Quarantine(ledger, worker, "",
             absl::StrCat("failed ", failures.size(), " times within an hour, the last time: ", reason));
}

}  // namespace lockstep
