#include "bench/fleet/finished_jobs.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep {
namespace {

constexpr int kBatch = 5'000;

StoredJob FinishedJob(int number) {
  StoredJob stored;
  v1::Job& job = stored.job;
  job.set_id(absl::StrFormat("0%013d", number));  // before every id that a coordinator makes
  job.set_name("finished");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.set_reason("all epochs done");
  job.mutable_spec()->set_name("finished");
  job.mutable_spec()->mutable_model()->mutable_mlp()->add_hidden(64);
  job.mutable_spec()->mutable_train()->set_epochs(20);
  job.mutable_progress()->set_step(460);
  job.mutable_progress()->set_total_steps(460);
  for (const char* metric : {"test/accuracy", "test/f1", "test/loss", "test/precision", "test/recall"})
    (*job.mutable_metrics())[metric] = 0.5;
  for (int rank = 0; rank < 4; ++rank) {
    v1::JobMember& member = *job.add_members();
    member.set_rank(rank);
    member.set_worker(absl::StrCat("node-", rank));
    member.set_device("cpu:0");
  }
  return stored;
}

}  // namespace

absl::Status WriteFinishedJobs(const std::string& path, int count) {
  ASSIGN_OR_RETURN(const auto store, OpenSqliteStore(path));
  for (int first = 0; first < count; first += kBatch) {
    Batch batch;
    for (int number = first; number < std::min(count, first + kBatch); ++number)
      batch.jobs.push_back(FinishedJob(number));
    RETURN_IF_ERROR(store->Commit(batch));
  }
  return absl::OkStatus();
}

}  // namespace lockstep
