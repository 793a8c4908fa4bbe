#include "coordinator/server/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>

#include <set>

#include "common/metrics/scrape_for_test.h"
#include "coordinator/server/server_fixture_for_test.h"
#include "lockstep/v1/datasets.grpc.pb.h"
#include "lockstep/v1/jobs.grpc.pb.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// One request, one response of a service whose proto is not at hand, as raw bytes.
std::string CallRaw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& request) {
  grpc::GenericStub stub(channel);
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  auto call = stub.PrepareCall(&context, method, &queue);
  const auto wait = [&] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  grpc::Slice slice(request);
  grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  std::string bytes;
  call->StartCall(nullptr);
  if (wait()) {
    call->WriteLast(in, {}, nullptr);
    if (wait()) {
      call->Read(&out, nullptr);
      std::vector<grpc::Slice> slices;
      if (wait() && out.Dump(&slices).ok()) {
        for (const auto& part : slices)
          bytes.append(reinterpret_cast<const char*>(part.begin()), part.size());
      }
    }
  }
  context.TryCancel();
  grpc::Status status;
  call->Finish(&status, nullptr);
  wait();
  queue.Shutdown();
  return bytes;
}

class JobsTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    if (channel_ != nullptr) jobs_ = v1::Jobs::NewStub(channel_);
  }

  grpc::Status Submit(const v1::JobSpec& spec, v1::Job* job, const std::string& request_id = "") {
    grpc::ClientContext context;
    v1::SubmitJobRequest request;
    *request.mutable_spec() = spec;
    request.set_request_id(request_id);
    v1::SubmitJobResponse response;
    const grpc::Status status = jobs_->SubmitJob(&context, request, &response);
    if (job != nullptr) *job = response.job();
    return status;
  }

  std::unique_ptr<v1::Jobs::Stub> jobs_;
};

TEST_F(JobsTest, HealthSaysServing) {
  for (const std::string& request : {std::string(), std::string("\x0a\x10lockstep.v1.Jobs")}) {
    EXPECT_EQ(CallRaw(channel_, "/grpc.health.v1.Health/Check", request), "\x08\x01");
  }
}

TEST_F(JobsTest, ReflectionListsAllServices) {
  const std::string services = CallRaw(
      channel_, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", std::string("\x3a\x00", 2));
  for (const char* name :
       {"lockstep.v1.Jobs", "lockstep.v1.Datasets", "lockstep.v1.Models", "lockstep.v1.Workers"}) {
    EXPECT_THAT(services, HasSubstr(name));
  }
}

TEST_F(JobsTest, SubmittedJobIsCompleteQueuedAndFound) {
  v1::Job job;
  const grpc::Status status = Submit(ToySpec(), &job, "once");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(job.state(), v1::JOB_STATE_QUEUED);
  EXPECT_EQ(job.dataset_version(), "toy@1");
  EXPECT_EQ(job.spec().train().loss(), v1::LOSS_CROSS_ENTROPY);
  EXPECT_EQ(job.spec().train().batch_size(), 64);
  v1::Job again;
  ASSERT_TRUE(Submit(ToySpec(), &again, "once").ok());
  EXPECT_EQ(again.id(), job.id());
  {
    grpc::ClientContext context;
    v1::GetJobRequest request;
    request.set_job("toy");
    v1::GetJobResponse response;
    ASSERT_TRUE(jobs_->GetJob(&context, request, &response).ok());
    EXPECT_EQ(response.job().id(), job.id());
  }
  grpc::ClientContext context;
  v1::ListJobsResponse list;
  ASSERT_TRUE(jobs_->ListJobs(&context, {}, &list).ok());
  ASSERT_EQ(list.jobs_size(), 1);
  EXPECT_EQ(list.jobs(0).id(), job.id());
}

TEST_F(JobsTest, WatchShowsEachStateAndEndsWithTheJob) {
  v1::Job job;
  ASSERT_TRUE(Submit(ToySpec(), &job).ok());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_job(job.id());
  auto watch = jobs_->WatchJob(&context, request);
  v1::WatchJobResponse update;
  ASSERT_TRUE(watch->Read(&update));
  EXPECT_EQ(update.job().state(), v1::JOB_STATE_QUEUED);
  grpc::ClientContext cancel_context;
  v1::CancelJobRequest cancel;
  cancel.set_job(job.id());
  v1::CancelJobResponse cancelled;
  ASSERT_TRUE(jobs_->CancelJob(&cancel_context, cancel, &cancelled).ok());
  EXPECT_EQ(cancelled.job().state(), v1::JOB_STATE_CANCELLED);
  while (watch->Read(&update)) {
  }
  EXPECT_EQ(update.job().state(), v1::JOB_STATE_CANCELLED);
  EXPECT_TRUE(watch->Finish().ok());
  EXPECT_TRUE(Eventually([&] { return server_->open_streams() == 0; }));
}

TEST_F(JobsTest, ReaderThatLeavesFreesItsStreamAtOnce) {
  v1::Job job;
  ASSERT_TRUE(Submit(ToySpec(), &job).ok());
  v1::WatchJobRequest watch_request;
  watch_request.set_job(job.id());
  v1::StreamLogsRequest logs_request;
  logs_request.set_job(job.id());
  logs_request.set_follow(true);
  v1::StreamMetricsRequest metrics_request;
  metrics_request.set_job(job.id());
  metrics_request.set_follow(true);
  grpc::ClientContext first;
  grpc::ClientContext second;
  grpc::ClientContext third;
  auto watch = jobs_->WatchJob(&first, watch_request);
  auto logs = jobs_->StreamLogs(&second, logs_request);
  auto metrics = jobs_->StreamMetrics(&third, metrics_request);
  ASSERT_TRUE(Eventually([&] { return server_->open_streams() == 3; }));
  first.TryCancel();
  second.TryCancel();
  third.TryCancel();
  EXPECT_TRUE(Eventually([&] { return server_->open_streams() == 0; }));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(logs->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(metrics->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(JobsTest, WrongRequestsSayWhatIsWrongAndWhere) {
  v1::JobSpec misfit = ToySpec();
  misfit.mutable_model()->mutable_linear();
  grpc::Status status = Submit(misfit, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("model.linear"), HasSubstr("use `softmax` or `mlp`")));

  v1::JobSpec no_file = ToySpec();
  no_file.mutable_dataset()->set_path(folder_ + "/not-there.csv");
  status = Submit(no_file, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("not-there.csv"));

  v1::JobSpec no_label = ToySpec();
  no_label.mutable_dataset()->set_label("sort");
  status = Submit(no_label, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("sort"));

  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_job("nobody");
  v1::GetJobResponse response;
  status = jobs_->GetJob(&context, request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("nobody"));

  grpc::ClientContext stream_context;
  v1::WatchJobRequest watch;
  watch.set_job("nobody");
  EXPECT_EQ(jobs_->WatchJob(&stream_context, watch)->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
  grpc::ClientContext logs_context;
  v1::StreamLogsRequest logs;
  logs.set_job("nobody");
  EXPECT_EQ(jobs_->StreamLogs(&logs_context, logs)->Finish().error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(JobsTest, MessageOverTheLimitIsRefusedWithTheLimitAndItsSize) {
  v1::JobSpec spec = ToySpec();
  spec.mutable_dataset()->set_label(std::string(5'000'000, 'x'));
  grpc::Status status = Submit(spec, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(),
              AllOf(HasSubstr("SubmitJobRequest is 50"), HasSubstr("4194304"), HasSubstr("path")));
  spec.mutable_dataset()->set_label(std::string(17 << 20, 'x'));
  status = Submit(spec, nullptr);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("16777216"));
  EXPECT_TRUE(Submit(ToySpec(), nullptr).ok()) << "the server must go on";
}

TEST_F(JobsTest, LongLogReachesASlowReaderWholeAndInOrder) {
  v1::Job job;
  ASSERT_TRUE(Submit(ToySpec(), &job).ok());
  constexpr int kLines = 30'000;
  Batch batch;
  for (int i = 0; i < kLines; ++i) {
    StoredLine& line = batch.lines.emplace_back();
    line.job_id = job.id();
    line.line.set_generation(1);
    line.line.set_sequence(i);
    line.line.set_text(std::string(300, 'x'));
  }
  ASSERT_TRUE(store_->Commit(batch).ok());
  grpc::ClientContext context;
  v1::StreamLogsRequest request;
  request.set_job(job.id());
  auto logs = jobs_->StreamLogs(&context, request);
  v1::StreamLogsResponse message;
  int64_t expected = 0;
  while (logs->Read(&message)) {
    absl::SleepFor(absl::Milliseconds(1));  // the reader is slow; nothing waits for this
    for (const v1::LogLine& line : message.lines()) ASSERT_EQ(line.sequence(), expected++);
  }
  EXPECT_TRUE(logs->Finish().ok());
  EXPECT_EQ(expected, kLines);

  grpc::ClientContext tail_context;
  request.set_tail(3);
  auto tail = jobs_->StreamLogs(&tail_context, request);
  std::set<int64_t> sequences;
  while (tail->Read(&message)) {
    for (const v1::LogLine& line : message.lines()) sequences.insert(line.sequence());
  }
  EXPECT_THAT(sequences, testing::ElementsAre(kLines - 3, kLines - 2, kLines - 1));
}

TEST_F(JobsTest, ShardsOfADatasetAddUpToItsFile) {
  const std::string path = folder_ + "/big.csv";
  {
    std::ofstream file(path);
    file << "x,y\n";
    for (int i = 0; i < 300'000; ++i) file << i << "," << 2 * i << "\n";
  }
  std::ifstream file(path, std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(file)), {});
  auto datasets = v1::Datasets::NewStub(channel_);
  v1::RegisterDatasetRequest registration;
  registration.set_name("big");
  registration.mutable_spec()->set_path(path);
  registration.mutable_spec()->set_label("y");
  v1::RegisterDatasetResponse registered;
  grpc::ClientContext context;
  grpc::Status status = datasets->RegisterDataset(&context, registration, &registered);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(registered.created());
  EXPECT_EQ(registered.dataset().records(), 300'000);
  std::string read;
  const auto read_shard = [&](int64_t shard) {
    grpc::ClientContext shard_context;
    v1::ReadShardRequest request;
    request.set_dataset("big@1");
    request.set_shard(shard);
    request.set_shards(3);
    auto stream = datasets->ReadShard(&shard_context, request);
    v1::ReadShardResponse chunk;
    while (stream->Read(&chunk)) {
      EXPECT_EQ(chunk.offset(), static_cast<int64_t>(read.size()));
      EXPECT_LE(chunk.data().size(), 1u << 20);
      read += chunk.data();
    }
    return stream->Finish();
  };
  for (int shard = 0; shard < 3; ++shard) EXPECT_TRUE(read_shard(shard).ok());
  EXPECT_EQ(read, content);
  EXPECT_EQ(read_shard(3).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  std::ofstream(path, std::ios::app) << "1,2\n";
  EXPECT_EQ(read_shard(0).error_code(), grpc::StatusCode::DATA_LOSS);
}

TEST_F(JobsTest, ShutdownEndsOpenStreamsWithAReason) {
  v1::Job job;
  ASSERT_TRUE(Submit(ToySpec(), &job).ok());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_job(job.id());
  auto watch = jobs_->WatchJob(&context, request);
  v1::WatchJobResponse update;
  ASSERT_TRUE(watch->Read(&update));
  server_->Shutdown();
  EXPECT_FALSE(watch->Read(&update));
  const grpc::Status status = watch->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("coordinator is shutting down"));
}

TEST_F(JobsTest, SecondServerOnOnePortIsRefused) {
  auto second = CoordinatorServer::Start(Options(server_->address()));
  ASSERT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()),
              AllOf(HasSubstr(absl::StrCat("port ", server_->port(), " is in use")), HasSubstr("--listen")));
}

TEST_F(JobsTest, ScrapeCountsCallsAndPassesPromtool) {
  v1::Job job;
  ASSERT_TRUE(Submit(ToySpec(), &job).ok());
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_job("nobody");
  v1::GetJobResponse response;
  ASSERT_FALSE(jobs_->GetJob(&context, request, &response).ok());
  std::string page;
  EXPECT_TRUE(Eventually([&] {  // a call is counted as its status leaves
    page = ScrapeForTest(metrics_->port());
    return page.find("lockstep_rpcs_total{code=\"NOT_FOUND\",method=\"lockstep.v1.Jobs/GetJob\"} 1") !=
           std::string::npos;
  })) << page;
  EXPECT_THAT(page, HasSubstr("lockstep_rpcs_total{code=\"OK\",method=\"lockstep.v1.Jobs/SubmitJob\"} 1"));
  EXPECT_THAT(page, HasSubstr("lockstep_jobs{state=\"queued\"} 1"));
  EXPECT_THAT(page, HasSubstr("lockstep_submits_total 1"));
  EXPECT_EQ(CheckWithPromtool(page), "");
}

}  // namespace
}  // namespace lockstep
