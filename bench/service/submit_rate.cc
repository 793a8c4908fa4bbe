// One client that keeps a fixed number of SubmitJob calls outstanding, and prints how many a second were
// acknowledged (each acknowledgement means: on disk).
//
//   submit_rate HOST:PORT DATASET.csv LABEL COUNT OUTSTANDING [WORKERS [NAMESPACES DEVICES]]
//
// With NAMESPACES the jobs are those of so many in turn, each with a quota of DEVICES in use at once and of
// as many jobs as it gets.
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lockstep/v1/datasets.grpc.pb.h"
#include "lockstep/v1/jobs.grpc.pb.h"
#include "lockstep/v1/namespaces.grpc.pb.h"

namespace lockstep {
namespace {

// Starts calls from the callbacks of finished ones until `count` are done.
class Pipeline {
 public:
  Pipeline(v1::Jobs::Stub* stub, v1::SubmitJobRequest request, int count, int namespaces)
      : stub_(stub), request_(std::move(request)), count_(count), namespaces_(namespaces) {}

  void Run(int outstanding) {
    for (int i = 0; i < std::min(outstanding, count_); ++i) Next();
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &Pipeline::Finished));
  }
  std::vector<double> latencies() {
    absl::MutexLock lock(&mutex_);
    return latencies_;
  }
  int failures() {
    absl::MutexLock lock(&mutex_);
    return failures_;
  }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::SubmitJobRequest request;
    v1::SubmitJobResponse response;
    absl::Time started = absl::Now();
  };

  bool Finished() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return finished_ == count_; }

  void Next() {
    auto call = std::make_shared<Call>();
    {
      absl::MutexLock lock(&mutex_);
      if (started_ == count_) return;
      call->request = request_;
      if (namespaces_ > 0) call->request.set_namespace_("team-" + std::to_string(started_ % namespaces_));
      call->request.set_request_id("bench-" + std::to_string(started_++));
    }
    stub_->async()->SubmitJob(&call->context, &call->request, &call->response,
                              [this, call](grpc::Status status) {
                                if (!status.ok())
                                  std::fprintf(stderr, "%s\n", status.error_message().c_str());
                                Next();
                                absl::MutexLock lock(&mutex_);
                                failures_ += status.ok() ? 0 : 1;
                                latencies_.push_back(absl::ToDoubleSeconds(absl::Now() - call->started));
                                ++finished_;
                              });
  }

  v1::Jobs::Stub* const stub_;
  const v1::SubmitJobRequest request_;
  const int count_;
  const int namespaces_;
  absl::Mutex mutex_;
  int started_ ABSL_GUARDED_BY(mutex_) = 0;
  int finished_ ABSL_GUARDED_BY(mutex_) = 0;
  int failures_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<double> latencies_ ABSL_GUARDED_BY(mutex_);
};

bool MakeNamespaces(const std::shared_ptr<grpc::Channel>& channel, int namespaces, int devices, int jobs) {
  auto stub = v1::Namespaces::NewStub(channel);
  for (int i = 0; i < namespaces; ++i) {
    v1::CreateNamespaceRequest request;
    request.set_name("team-" + std::to_string(i));
    request.mutable_quota()->set_devices(devices);
    request.mutable_quota()->set_jobs(jobs);
    v1::CreateNamespaceResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub->CreateNamespace(&context, request, &response);
    if (status.ok()) continue;
    std::fprintf(stderr, "CreateNamespace: %s\n", status.error_message().c_str());
    return false;
  }
  return true;
}

int Main(const std::string& target, const std::string& path, const std::string& label, int count,
         int outstanding, int workers, int namespaces, int devices) {
  auto channel = grpc::CreateChannel(target, grpc::InsecureChannelCredentials());
  auto datasets = v1::Datasets::NewStub(channel);
  v1::RegisterDatasetRequest registration;
  registration.set_name("bench");
  registration.mutable_spec()->set_path(path);
  registration.mutable_spec()->set_label(label);
  v1::RegisterDatasetResponse registered;
  grpc::ClientContext context;
  grpc::Status status = datasets->RegisterDataset(&context, registration, &registered);
  if (!status.ok()) {
    std::fprintf(stderr, "RegisterDataset: %s\n", status.error_message().c_str());
    return 1;
  }

  if (!MakeNamespaces(channel, namespaces, devices, count / std::max(1, namespaces) + 1)) return 1;

  v1::SubmitJobRequest request;
  request.mutable_spec()->set_name("bench");
  request.mutable_spec()->mutable_dataset()->set_name("default/bench");
  request.mutable_spec()->mutable_model()->mutable_softmax();
  request.mutable_spec()->mutable_train()->set_epochs(1);
  request.mutable_spec()->mutable_workers()->set_min(workers);
  request.mutable_spec()->mutable_workers()->set_max(workers);
  auto jobs = v1::Jobs::NewStub(channel);
  Pipeline pipeline(jobs.get(), request, count, namespaces);
  const absl::Time started = absl::Now();
  pipeline.Run(outstanding);
  const double elapsed = absl::ToDoubleSeconds(absl::Now() - started);
  std::vector<double> latencies = pipeline.latencies();
  std::sort(latencies.begin(), latencies.end());
  std::printf(
      "{\"acknowledged\": %d, \"failed\": %d, \"per_second\": %.1f, \"p50_ms\": %.2f, \"p99_ms\": %.2f}\n",
      count - pipeline.failures(), pipeline.failures(), count / elapsed,
      1e3 * latencies[latencies.size() / 2], 1e3 * latencies[latencies.size() * 99 / 100]);
  return pipeline.failures() == 0 ? 0 : 1;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  if (argc != 6 && argc != 7 && argc != 9) {
    std::fprintf(stderr, "usage: see the top of bench/service/submit_rate.cc\n");
    return 2;
  }
  const auto number = [&](int i, int otherwise) {
    return argc > i ? std::max(1, std::atoi(argv[i])) : otherwise;
  };
  return lockstep::Main(argv[1], argv[2], argv[3], number(4, 1), number(5, 1), number(6, 1), number(7, 0),
                        number(8, 0));
}
