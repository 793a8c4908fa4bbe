// Simulated agents against one real coordinator. bench/fleet/run starts both and says what is counted.
//
//   fleet agents HOST:PORT ROOT AGENTS DEVICES PER_CHANNEL SECONDS
//     a heartbeat a second each; says "connected", waits for a line, prints their round trips
//   fleet drain HOST:PORT ROOT AGENTS DEVICES PER_CHANNEL RANKS
//     until so many ranks of queued jobs have succeeded
//   fleet hold HOST:PORT ROOT AGENTS DEVICES PER_CHANNEL SECONDS
//     jobs that are queued run on and report their times
//   fleet list HOST:PORT CALLS
//     times the first page of the finished jobs
//   fleet finished STORE COUNT
//     puts finished jobs into a store
//
// ROOT is the coordinator's artifact root. PER_CHANNEL agents share a connection. Agents take TLS files and
// token from LOCKSTEP_TLS_CA, ..., LOCKSTEP_TOKEN, as a worker does.
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "bench/fleet/finished_jobs.h"
#include "bench/fleet/simulated_agent.h"
#include "common/auth/client_access.h"
#include "common/net/tls_credentials.h"
#include "lockstep/v1/jobs.grpc.pb.h"

namespace lockstep {
namespace {

double ProcessorSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double Quantile(const std::vector<double>& sorted, double q) {
  return sorted.empty() ? 0
                        : sorted[std::min(sorted.size() - 1,
                                          static_cast<size_t>(q * static_cast<double>(sorted.size())))];
}

class Fleet {
 public:
  Fleet(const std::string& target, const std::string& root, int agents, int devices, int per_channel,
        const ClientAccess& access) {
    const auto credentials = MakeChannelCredentials(access.tls);
    std::string root_id;
    std::getline(std::ifstream(absl::StrCat(root, "/.lockstep-root")) >> std::ws, root_id);
    for (int i = 0; i < agents; ++i) {
      if (i % per_channel == 0) {
        grpc::ChannelArguments arguments;
        arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // else equal channels share one connection
        stubs_.push_back(v1::Workers::NewStub(grpc::CreateCustomChannel(target, credentials, arguments)));
      }
      agents_.push_back(std::make_unique<SimulatedAgent>(stubs_.back().get(),
                                                         absl::StrCat("simulated-", getpid(), "-", i),
                                                         devices, root_id, access.token, &counts_));
    }
  }
  ~Fleet() {
    for (const auto& agent : agents_) agent->Stop();
    for (const auto& agent : agents_) agent->AwaitEnd();
  }

  FleetCounts& counts() { return counts_; }

  // All of them registered, at most 100 under way at a time; those that are keep their heartbeats up.
  bool Connect() {
    int started = 0;
    const absl::Time end = absl::Now() + absl::Minutes(5);
    while (counts_.ready < static_cast<int>(agents_.size())) {
      while (started < static_cast<int>(agents_.size()) && started < counts_.ready + 100)
        agents_[started++]->Start();
      Beat(absl::Milliseconds(2), static_cast<size_t>(started));
      if (absl::Now() > end || counts_.broken > 0) {
        std::fprintf(stderr, "%d of %zu agents are registered, %d streams broke\n", counts_.ready.load(),
                     agents_.size(), counts_.broken.load());
        return false;
      }
    }
    return true;
  }

  // Heartbeats of all, spread evenly over each second, for so long.
  void Beat(absl::Duration length) { Beat(length, agents_.size()); }

 private:
  void Beat(absl::Duration length, size_t among) {
    const absl::Time end = absl::Now() + length;
    while (absl::Now() < end) {
      const double passed = absl::ToDoubleSeconds(absl::Now() - start_);
      const auto due = static_cast<int64_t>(passed * static_cast<double>(agents_.size()));
      for (; beats_ < due; ++beats_) {
        const size_t index = static_cast<size_t>(beats_) % agents_.size();
        if (index < among) agents_[index]->Heartbeat();
      }
      absl::SleepFor(absl::Milliseconds(1));
    }
  }

  FleetCounts counts_;
  std::vector<std::unique_ptr<v1::Workers::Stub>> stubs_;
  std::vector<std::unique_ptr<SimulatedAgent>> agents_;
  const absl::Time start_ = absl::Now();
  int64_t beats_ = 0;
};

int Agents(Fleet* fleet, double seconds) {
  absl::Mutex mutex;
  std::vector<double> trips;
  bool measuring = false;
  fleet->counts().heard = [&](double trip) {
    absl::MutexLock lock(&mutex);
    if (measuring) trips.push_back(trip);
  };
  if (!fleet->Connect()) return 1;
  std::printf("connected\n");
  std::fflush(stdout);
  pollfd go{STDIN_FILENO, POLLIN, 0};
  while (::poll(&go, 1, 0) == 0) fleet->Beat(absl::Milliseconds(100));
  {
    absl::MutexLock lock(&mutex);
    measuring = true;
  }
  const double cpu = ProcessorSeconds();
  const absl::Time start = absl::Now();
  fleet->Beat(absl::Seconds(seconds));
  const double share = (ProcessorSeconds() - cpu) / absl::ToDoubleSeconds(absl::Now() - start);
  absl::MutexLock lock(&mutex);
  measuring = false;
  std::printf("{\"heartbeats_per_second\": %.0f, \"broken\": %d, \"simulator_cores\": %.3f, \"trips_ms\": [",
              FleetCounts::kAskEvery * static_cast<double>(trips.size()) / seconds,
              fleet->counts().broken.load(), share);
  for (size_t i = 0; i < trips.size(); ++i) std::printf("%s%.3f", i == 0 ? "" : ",", 1e3 * trips[i]);
  std::printf("]}\n");
  std::fflush(stdout);
  return fleet->counts().broken == 0 ? 0 : 1;
}

int Drain(Fleet* fleet, int64_t ranks) {
  if (!fleet->Connect()) return 1;
  const double cpu = ProcessorSeconds();
  const absl::Time start = absl::Now();
  int64_t last = 0;
  absl::Time moved = start;
  while (fleet->counts().succeeded < ranks) {
    fleet->Beat(absl::Milliseconds(20));
    if (fleet->counts().succeeded != last) {
      last = fleet->counts().succeeded;
      moved = absl::Now();
    } else if (absl::Now() - moved > absl::Seconds(30)) {
      std::fprintf(stderr, "stuck after %lld of %lld ranks\n", static_cast<long long>(last),
                   static_cast<long long>(ranks));
      return 1;
    }
  }
  const double elapsed = absl::ToDoubleSeconds(absl::Now() - start);
  std::printf("{\"ranks_per_second\": %.1f, \"seconds\": %.2f, \"simulator_cores\": %.2f}\n",
              static_cast<double>(ranks) / elapsed, elapsed, (ProcessorSeconds() - cpu) / elapsed);
  std::fflush(stdout);
  return 0;
}

int List(const std::string& target, int calls) {
  auto jobs = v1::Jobs::NewStub(grpc::CreateChannel(target, grpc::InsecureChannelCredentials()));
  std::vector<double> took;
  for (int i = 0; i < calls; ++i) {
    v1::ListJobsRequest request;
    request.add_states(v1::JOB_STATE_SUCCEEDED);
    v1::ListJobsResponse response;
    grpc::ClientContext context;
    const absl::Time start = absl::Now();
    const grpc::Status status = jobs->ListJobs(&context, request, &response);
    took.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (!status.ok() || response.jobs_size() != 100) {
      std::fprintf(stderr, "ListJobs: %s, %d jobs\n", status.error_message().c_str(), response.jobs_size());
      return 1;
    }
  }
  const double first = took.front();
  std::sort(took.begin(), took.end());
  std::printf("{\"first_ms\": %.2f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n", first, Quantile(took, 0.5),
              Quantile(took, 0.99));
  return 0;
}

int Main(const std::vector<std::string>& words) {
  const auto number = [&](size_t i) { return std::max(1, std::atoi(words[i].c_str())); };
  const std::string what = words.empty() ? "" : words[0];
  if (what == "list" && words.size() == 3) return List(words[1], number(2));
  if (what == "finished" && words.size() == 3) {
    const absl::Status status = WriteFinishedJobs(words[1], number(2));
    if (!status.ok()) std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return status.ok() ? 0 : 1;
  }
  if ((what != "agents" && what != "drain" && what != "hold") || words.size() != 7) {
    std::fprintf(stderr, "usage: see the top of bench/fleet/fleet.cc\n");
    return 2;
  }
  ClientAccess access;
  const absl::Status status = access.Complete([](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  });
  if (!status.ok()) {
    std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
    return 1;
  }
  Fleet fleet(words[1], words[2], number(3), number(4), number(5), access);
  if (what == "agents") return Agents(&fleet, number(6));
  if (what == "drain") return Drain(&fleet, number(6));
  fleet.counts().hold = true;
  if (!fleet.Connect()) return 1;
  fleet.Beat(absl::Seconds(number(6)));
  std::printf("{}\n");
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  const int code = lockstep::Main({argv + 1, argv + argc});
  return code;
}
