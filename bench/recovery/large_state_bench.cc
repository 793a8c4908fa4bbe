// What a checkpoint and a newcomer cost the steps of a job with a large state.
//
//   large_state_bench [HIDDEN [STEPS [BATCH [join|join-warm]]]]   default 7000 44 64: an MLP of 50 million
//                                                                 parameters, AdamW
//
// join: only the second of the two jobs. join-warm: the same, with 2 GB touched and given back just before
// the newcomer is ordered: a virtual machine whose kernel returns free pages to its host (page reporting)
// takes them back at a fraction of memory's speed, and that time is the machine's.
//
// One rank trains STEPS steps with a checkpoint at each twentieth; then, in a second job, another rank joins
// in the middle. Times are between the reports of two steps, on ranks that are threads of this process.
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/data/dataset.h"
#include "common/spec/spec.h"
#include "spdlog/spdlog.h"
#include "worker/engine/zeroed_floats.h"
#include "worker/trainer/in_process_job.h"

namespace lockstep {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kEvery = 20;  // steps: a checkpoint of 600 MB is on disk before the next one is due

double Milliseconds(Clock::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

InProcessJob::Options Job(const std::string& directory, int hidden, int steps, int batch, int every) {
  InProcessJob::Options options;
  auto spec = ReadSpec(
      std::string(LOCKSTEP_SOURCE_DIR) + "/examples/digits.yaml",
      {absl::StrCat("model.mlp.hidden=[", hidden, ",", hidden, "]"), absl::StrCat("train.max_steps=", steps),
       absl::StrCat("train.batch_size=", batch), "train.epochs=1000", "train.evaluate_every_steps=100000",
       absl::StrCat("checkpoint.every_steps=", every)});
  if (!spec.ok()) spdlog::critical("{}", std::string(spec.status().message())), exit(1);
  options.spec = *spec;
  options.spec.mutable_train()->clear_early_stopping();
  if (const auto status = CompleteSpec(&options.spec); !status.ok())
    spdlog::critical("{}", std::string(status.message())), exit(1);
  options.dataset = *InspectDataset(options.spec.dataset());
  options.directory = directory;
  std::filesystem::create_directories(directory);
  return options;
}

struct Report {
  int64_t step;
  Clock::time_point at;
  double waited;  // seconds that steps waited for checkpoints, so far
};

void Checkpoints(const std::string& directory, int hidden, int steps, int batch) {
  InProcessJob job(Job(directory, hidden, steps, batch, kEvery));
  std::vector<Report> reports;
  job.on_message = [&](int, const v1::FromTrainer& message) {
    if (message.has_times())
      reports.push_back({message.times().steps(), Clock::now(), message.times().checkpoint()});
  };
  job.StartGeneration(1);
  for (const auto& end : job.Wait()) {
    if (end.state() != v1::ASSIGNMENT_STATE_SUCCEEDED) printf("failed: %s\n", end.message().c_str());
  }
  std::vector<double> plain, after, waits;
  for (size_t i = 2; i < reports.size(); ++i) {
    if (reports[i].step != reports[i - 1].step + 1 || reports[i].step <= 2 || reports[i].step == steps)
      continue;
    const double took = Milliseconds(reports[i].at - reports[i - 1].at);
    const int64_t since = reports[i].step % kEvery;
    if (since == 1 && reports[i].step > kEvery) {
      after.push_back(took);
      waits.push_back((reports[i].waited - reports[i - 2].waited) * 1000);
    } else if (since > kEvery - 6) {  // nothing is being written any more
      plain.push_back(took);
    }
  }
  printf("%-64s %9.1f ms\n", "step, median", Median(plain));
  printf("%-64s %9.1f ms (longest %.1f)\n", "step during which the state is copied, median", Median(after),
         after.empty() ? 0 : *std::max_element(after.begin(), after.end()));
  printf("%-64s %9.2f ms\n", "of it, waiting for the copy (median)", Median(waits));
}

// The kernel keeps what a process gives back for a second or two before it reports it to the host.
void WarmPages() {
  engine::ZeroedFloats pages(int64_t{512} << 20);
  const auto begin = Clock::now();
  engine::TakeMemory(pages.span());
  printf("%-64s %9.2f GB/s\n", "fresh pages, 2 GB", 2.147e3 / Milliseconds(Clock::now() - begin));
}

void Join(const std::string& directory, int hidden, int steps, int batch, bool warm) {
  InProcessJob job(Job(directory, hidden, steps, batch, 1000000));
  std::vector<Report> reports;
  std::thread grower;
  Clock::time_point ordered, joined;
  double regrouped = 0;  // seconds from the end of the first generation to the next one's first step
  job.on_message = [&](int trainer, const v1::FromTrainer& message) {
    if (trainer == 0 && message.has_times()) {
      reports.push_back({message.times().steps(), Clock::now(), 0});
      if (message.times().steps() >= steps / 3 && !grower.joinable()) {
        grower = std::thread([&] {
          if (warm) WarmPages();
          ordered = Clock::now();
          job.StartGeneration(2);
        });
      }
    }
    if (trainer == 0 && message.has_pulse()) regrouped = message.pulse().time().recovery();
    if (trainer == 1 && message.status().state() == v1::ASSIGNMENT_STATE_RUNNING) joined = Clock::now();
  };
  job.StartGeneration(1);
  job.Wait();
  if (grower.joinable()) grower.join();
  job.Wait();
  double longest = 0;
  std::vector<double> before;
  for (size_t i = 1; i < reports.size(); ++i) {
    const double took = Milliseconds(reports[i].at - reports[i - 1].at);
    if (reports[i].at < ordered) before.push_back(took);
    if (reports[i].at >= ordered && reports[i - 1].at <= joined) longest = std::max(longest, took);
  }
  printf("%-64s %9.1f ms\n", "order to the newcomer's first step done", Milliseconds(joined - ordered));
  printf("%-64s %9.1f ms (a step before: %.1f)\n", "longest pause between two steps of the other rank",
         longest, Median(before));
  printf("%-64s %9.1f ms\n", "of it, without a step: forming, handing over the state", regrouped * 1000);
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  const int hidden = argc > 1 ? std::atoi(argv[1]) : 7000, steps = argc > 2 ? std::atoi(argv[2]) : 44;
  const int batch = argc > 3 ? std::atoi(argv[3]) : 64;
  const std::string what = argc > 4 ? argv[4] : "";
  const bool only_join = what == "join" || what == "join-warm";
  if (!only_join) spdlog::set_level(spdlog::level::warn);
  char name[] = "/tmp/large-state-XXXXXX";
  const std::string directory = mkdtemp(name);
  if (!only_join) lockstep::Checkpoints(directory + "/checkpoints", hidden, steps, batch);
  lockstep::Join(directory + "/join", hidden, steps, batch, what == "join-warm");
  std::filesystem::remove_all(directory);
}
