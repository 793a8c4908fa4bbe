// A whole coordinator in one process, over a real store and real gRPC on a free port, for the server's tests.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/folder_for_test.h"
#include "common/metrics/metrics_server.h"
#include "common/net/limits.h"
#include "coordinator/daemon/dataset_store.h"
#include "coordinator/datasets/registry.h"
#include "coordinator/http/controller_metrics.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/server/server.h"
#include "coordinator/store/sqlite_store.h"
#include "lockstep/v1/job_spec.pb.h"

namespace lockstep {

// Polls: for conditions that no call reports. False after 10 seconds.
inline bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

// The system's time, and what a test adds to it.
class AdvancedClock : public Clock {
 public:
  absl::Time Now() override { return absl::Now() + absl::Nanoseconds(ahead_.load()); }
  void Advance(absl::Duration duration) { ahead_ += absl::ToInt64Nanoseconds(duration); }

 private:
  std::atomic<int64_t> ahead_{0};
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = FolderForTest("server");
    auto store = OpenSqliteStore(folder_ + "/state.db");
    ASSERT_TRUE(store.ok()) << store.status();
    store_ = *std::move(store);
    stored_datasets_ = std::make_unique<StoredDatasets>(store_.get());
    datasets_ = std::make_unique<DatasetRegistry>(stored_datasets_.get(), &clock_);
    ASSERT_TRUE(datasets_->Load().ok());
    auto controller = Controller::Start(
        {.artifact_root = folder_ + "/artifacts", .worker_timeout = kWorkerTimeout}, store_.get(), &clock_);
    ASSERT_TRUE(controller.ok()) << controller.status();
    controller_ = *std::move(controller);
    auto metrics = MetricsServer::Start({.listen = "127.0.0.1:0", .daemon = "coordinator"});
    ASSERT_TRUE(metrics.ok()) << metrics.status();
    metrics_ = *std::move(metrics);
    controller_metrics_ = MakeControllerMetrics([this] { return controller_->Snapshot(); });
    metrics_->Add(controller_metrics_);
    auto server = CoordinatorServer::Start(Options("127.0.0.1:0"));
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
    channel_ = grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments);
  }

  CoordinatorServer::Options Options(const std::string& listen) {
    return {.listen = listen,
            .artifact_root = folder_ + "/artifacts",
            .controller = controller_.get(),
            .datasets = datasets_.get(),
            .store = store_.get(),
            .metrics = &metrics_->registry()};
  }

  // 40 rows, two classes, one numeric column.
  std::string WriteCsv(const std::string& name = "toy.csv") {
    const std::string path = folder_ + "/" + name;
    std::ofstream file(path);
    file << "x,kind\n";
    for (int i = 0; i < 40; ++i) file << i << (i % 2 == 0 ? ",even\n" : ",odd\n");
    return path;
  }

  v1::JobSpec ToySpec() {
    v1::JobSpec spec;
    spec.set_name("toy");
    spec.mutable_dataset()->set_path(WriteCsv());
    spec.mutable_dataset()->set_label("kind");
    spec.mutable_model()->mutable_softmax();
    spec.mutable_train()->set_epochs(2);
    return spec;
  }

  static constexpr absl::Duration kWorkerTimeout = absl::Minutes(5);  // the tests' agents send no heartbeats
  AdvancedClock clock_;
  std::string folder_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<StoredDatasets> stored_datasets_;
  std::unique_ptr<DatasetRegistry> datasets_;
  std::unique_ptr<Controller> controller_;
  std::shared_ptr<prometheus::Collectable> controller_metrics_;
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<CoordinatorServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace lockstep
