#include <gmock/gmock.h>
#include <prometheus/registry.h>

#include <filesystem>

#include "common/checkpoint/checkpoint.h"
#include "coordinator/server/server_fixture_for_test.h"
#include "lockstep/v1/jobs.grpc.pb.h"
#include "lockstep/v1/models.grpc.pb.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// An agent as far as the wire is concerned.
class FakeAgent {
 public:
  FakeAgent(const std::shared_ptr<grpc::Channel>& channel, const std::string& name,
            const std::string& incarnation)
      : stub_(v1::Workers::NewStub(channel)), stream_(stub_->Connect(&context_)) {
    v1::Register* registration = registration_.mutable_register_();
    registration->set_name(name);
    registration->set_incarnation(incarnation);
    registration->set_host("localhost");
    v1::Device* device = registration->add_devices();
    device->set_id("cpu:0");
    device->mutable_profile()->set_device_kind("cpu");
    stream_->Write(registration_);
  }

  // Reads the answer and registers again, with proof of seeing the same storage.
  bool ProveStorage() {
    v1::ConnectResponse answer;
    if (!stream_->Read(&answer) || !answer.has_registered()) return false;
    registration_.mutable_register_()->set_artifact_root_id(answer.registered().artifact_root_id());
    return stream_->Write(registration_);
  }

  ~FakeAgent() {
    if (!finished_) Cancel();
  }

  bool Read(v1::ConnectResponse* message) { return stream_->Read(message); }
  bool Write(const v1::ConnectRequest& message) { return stream_->Write(message); }

  grpc::Status Cancel() {
    context_.TryCancel();
    return Finish();
  }

  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  v1::ConnectRequest registration_;
  grpc::ClientContext context_;
  std::unique_ptr<v1::Workers::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ConnectRequest, v1::ConnectResponse>> stream_;
  bool finished_ = false;
};

class AgentStreamTest : public ServerTest {
 protected:
  std::vector<v1::Worker> Workers() {
    grpc::ClientContext context;
    v1::ListWorkersResponse response;
    EXPECT_TRUE(v1::Workers::NewStub(channel_)->ListWorkers(&context, {}, &response).ok());
    return {response.workers().begin(), response.workers().end()};
  }

  v1::Job Submit() {
    grpc::ClientContext context;
    v1::SubmitJobRequest request;
    *request.mutable_spec() = ToySpec();
    v1::SubmitJobResponse response;
    const grpc::Status status = v1::Jobs::NewStub(channel_)->SubmitJob(&context, request, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.job();
  }

  grpc::Status Download(const std::string& job, std::map<std::string, std::string>* files) {
    grpc::ClientContext context;
    v1::DownloadModelRequest request;
    request.set_job(job);
    const auto stub = v1::Models::NewStub(channel_);
    auto stream = stub->DownloadModel(&context, request);
    v1::DownloadModelResponse chunk;
    while (stream->Read(&chunk)) {
      std::string& file = (*files)[chunk.file()];
      EXPECT_EQ(chunk.offset(), static_cast<int64_t>(file.size()));
      EXPECT_LE(chunk.data().size(), 1u << 20);
      file += chunk.data();
    }
    return stream->Finish();
  }
};

TEST_F(AgentStreamTest, RegisteredAgentIsListedAndLeavesTheListWhenItsStreamBreaks) {
  FakeAgent agent(channel_, "node-1", "a");
  v1::ConnectResponse answer;
  ASSERT_TRUE(agent.Read(&answer));
  ASSERT_TRUE(answer.has_registered());
  EXPECT_EQ(answer.registered().artifact_root(), folder_ + "/artifacts");
  const auto workers = Workers();
  ASSERT_EQ(workers.size(), 1u);
  EXPECT_EQ(workers[0].name(), "node-1");
  EXPECT_EQ(workers[0].state(), v1::WORKER_STATE_READY);
  agent.Cancel();
  EXPECT_TRUE(Eventually([&] { return server_->open_streams() == 0; }));
  clock_.Advance(kWorkerTimeout);
  EXPECT_TRUE(Eventually([&] {
    const auto left = Workers();
    return left.empty() || left[0].state() == v1::WORKER_STATE_LOST;
  }));
}

TEST_F(AgentStreamTest, SecondWorkerOfOneNameIsRefusedAndTheFirstStays) {
  FakeAgent first(channel_, "node-1", "a");
  v1::ConnectResponse answer;
  ASSERT_TRUE(first.Read(&answer));
  FakeAgent second(channel_, "node-1", "b");
  EXPECT_FALSE(second.Read(&answer));
  const grpc::Status status = second.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_THAT(status.error_message(), AllOf(HasSubstr("node-1"), HasSubstr("--name")));
  ASSERT_EQ(Workers().size(), 1u);
  EXPECT_EQ(Workers()[0].state(), v1::WORKER_STATE_READY);
}

TEST_F(AgentStreamTest, ShutdownTellsTheAgentWhy) {
  FakeAgent agent(channel_, "node-1", "a");
  v1::ConnectResponse answer;
  ASSERT_TRUE(agent.Read(&answer));
  server_->Shutdown();
  while (agent.Read(&answer)) {
  }
  const grpc::Status status = agent.Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr("shutting down"));
}

// More than there are queues, on one connection: each takes the next call as soon as it has one.
TEST_F(AgentStreamTest, ManyAgentsAreServedAtOnceAndCountedWhenTheyEnd) {
  constexpr int kAgents = 100;
  std::vector<std::unique_ptr<FakeAgent>> agents;
  for (int i = 0; i < kAgents; ++i) {
    agents.push_back(std::make_unique<FakeAgent>(channel_, absl::StrCat("node-", i), "a"));
    v1::ConnectResponse answer;
    ASSERT_TRUE(agents.back()->Read(&answer)) << i;
    ASSERT_TRUE(answer.has_registered());
  }
  EXPECT_EQ(server_->open_streams(), static_cast<size_t>(kAgents));
  for (int i = 0; i < kAgents; ++i) {
    v1::ConnectRequest message;
    message.mutable_heartbeat()->set_echo(1'000 + i);
    ASSERT_TRUE(agents[i]->Write(message));
  }
  for (int i = 0; i < kAgents; ++i) {
    v1::ConnectResponse answer;
    ASSERT_TRUE(agents[i]->Read(&answer)) << i;
    EXPECT_EQ(answer.heard().echo(), 1'000 + i);
  }
  agents.clear();
  EXPECT_TRUE(Eventually([&] { return server_->open_streams() == 0; }));
  const auto counted = [this] {
    double calls = 0;
    for (const auto& family : metrics_->registry().Collect()) {
      if (family.name != "lockstep_rpcs_total") continue;
      for (const auto& metric : family.metric) {
        for (const auto& label : metric.label) {
          if (label.value == "lockstep.v1.Workers/Connect") calls += metric.counter.value;
        }
      }
    }
    return calls;
  };
  EXPECT_EQ(counted(), kAgents) << "once each";
}

TEST_F(AgentStreamTest, JobRunsOverTheStreamAndItsModelIsDownloadedVerified) {
  const v1::Job job = Submit();
  std::map<std::string, std::string> files;
  grpc::Status status = Download(job.id(), &files);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("it is queued"));
  EXPECT_EQ(Download("../../etc", &files).error_code(), grpc::StatusCode::NOT_FOUND);

  FakeAgent agent(channel_, "node-1", "a");
  ASSERT_TRUE(agent.ProveStorage());
  v1::ConnectResponse order;
  do {
    ASSERT_TRUE(agent.Read(&order));
  } while (!order.has_assignment());
  const v1::Assignment assignment = order.assignment();
  EXPECT_EQ(assignment.job_id(), job.id());
  EXPECT_EQ(assignment.dataset().name(), "toy");

  const std::vector<float> weights(300'000, 0.5f);  // more than one chunk
  const std::string model = assignment.job_directory() + "/model";
  CheckpointManifest manifest;
  manifest.job_id = job.id();
  const auto written = WriteModel(
      model, manifest, {{.name = "w", .dtype = DType::kF32, .shape = {300'000}, .data = weights.data()}},
      {{"spec.yaml", "name: toy\n"}});
  ASSERT_TRUE(written.ok()) << written.status();

  v1::ConnectRequest report;
  v1::AssignmentStatus* state = report.mutable_assignment();
  state->set_job_id(job.id());
  state->set_generation(assignment.generation());
  state->set_device(assignment.device());
  state->set_state(v1::ASSIGNMENT_STATE_RUNNING);
  state->set_step(1);
  ASSERT_TRUE(agent.Write(report));
  state->set_state(v1::ASSIGNMENT_STATE_SUCCEEDED);
  state->mutable_result()->set_model_sha256(*written);
  ASSERT_TRUE(agent.Write(report));
  do {
    ASSERT_TRUE(agent.Read(&order));
  } while (!order.has_forget());

  files.clear();
  status = Download("toy", &files);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(files.size(), 3u);  // with manifest.json
  EXPECT_EQ(files["spec.yaml"], "name: toy\n");
  std::ifstream file(model + "/model.safetensors", std::ios::binary);
  EXPECT_EQ(files["model.safetensors"], std::string((std::istreambuf_iterator<char>(file)), {}));

  std::fstream damage(model + "/model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  damage.seekp(-1, std::ios::end);
  damage.put('!');
  damage.close();
  files.clear();
  status = Download("toy", &files);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DATA_LOSS);
  EXPECT_THAT(status.error_message(), HasSubstr("model.safetensors"));
  EXPECT_TRUE(files.empty()) << "nothing may be sent of a damaged model";
}

}  // namespace
}  // namespace lockstep
