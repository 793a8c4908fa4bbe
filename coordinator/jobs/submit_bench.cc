// Submits acknowledged durably, by one caller that keeps `window` of them under way. Counts jobs whose
// callback came, after the fsync of their round, on a real SQLite store in the temporary folder.
#include <benchmark/benchmark.h>
#include <spdlog/spdlog.h>

#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "coordinator/jobs/controller.h"
#include "coordinator/store/sqlite_store.h"

namespace lockstep {
namespace {

void BM_PipelinedSubmits(benchmark::State& state) {
  spdlog::set_level(spdlog::level::err);
  std::string directory = (std::filesystem::temp_directory_path() / "submit-bench-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) return state.SkipWithError("no temporary folder");
  SystemClock clock;
  auto store = OpenSqliteStore(directory + "/lockstep.db");
  if (!store.ok()) return state.SkipWithError(store.status().ToString().c_str());
  Controller::Options options;
  options.artifact_root = directory + "/artifacts";
  auto controller = Controller::Start(options, store->get(), &clock);
  if (!controller.ok()) return state.SkipWithError(controller.status().ToString().c_str());

  v1::JobSpec spec;
  spec.set_name("digits");
  spec.mutable_workers()->set_min(1);
  spec.mutable_workers()->set_max(1);
  spec.mutable_train()->set_epochs(20);
  v1::Dataset dataset;
  dataset.set_name("digits");
  dataset.set_version(1);

  std::mutex mutex;
  std::condition_variable answered;
  int64_t under_way = 0, failed = 0, number = 0;
  const int64_t window = state.range(0);
  for (auto _ : state) {
    {
      std::unique_lock<std::mutex> lock(mutex);
      answered.wait(lock, [&] { return under_way < window; });
      ++under_way;
    }
    (*controller)->Submit(spec, absl::StrCat("request-", number++), dataset, [&](const auto& job) {
      std::lock_guard<std::mutex> lock(mutex);
      --under_way;
      if (!job.ok()) ++failed;
      answered.notify_one();
    });
  }
  {
    std::unique_lock<std::mutex> lock(mutex);
    answered.wait(lock, [&] { return under_way == 0; });
  }
  if (failed > 0) state.SkipWithError("submits failed");
  state.SetItemsProcessed(state.iterations());
  controller->reset();
  std::filesystem::remove_all(directory);
}
BENCHMARK(BM_PipelinedSubmits)->Arg(1)->Arg(16)->Arg(256)->Iterations(5'000)->UseRealTime();

}  // namespace
}  // namespace lockstep
