// Faults on purpose: who may order them, and what reaches the worker.
#include <gmock/gmock.h>

#include <future>

#include "common/base/proto_time.h"
#include "coordinator/jobs/controller.h"
#include "coordinator/jobs/testing.h"

namespace lockstep::chaos_test {
namespace {

using ::testing::HasSubstr;

class ChaosTest : public ControllerTest {
 protected:
  explicit ChaosTest(bool allowed = true) {
    options_.allow_chaos = allowed;
    RestartController();
  }
  absl::Status Inject(v1::FaultKind kind, const std::string& worker, const std::string& device = "",
                      absl::Duration duration = absl::ZeroDuration()) {
    v1::Fault fault;
    fault.set_kind(kind);
    fault.set_worker(worker);
    fault.set_device(device);
    *fault.mutable_duration() = ToProto(duration);
    std::promise<absl::Status> done;
    controller_->Inject(fault, [&](absl::Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }
  void ExpectRefusal(const absl::Status& status, absl::StatusCode code, const std::string& text) {
    EXPECT_EQ(status.code(), code) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  }
};

class QuietCoordinatorTest : public ChaosTest {
 protected:
  QuietCoordinatorTest() : ChaosTest(false) {}
};

TEST_F(ChaosTest, AFaultReachesAWorkerThatAllowsIt) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.registration().set_allows_chaos(true);
  agent.Join();
  EXPECT_TRUE(Inject(v1::FAULT_KIND_STOP, "w1", "cpu:0", absl::Seconds(3)).ok());
  const v1::Fault fault = agent.sink().Next(v1::ConnectResponse::kFault).fault();
  EXPECT_EQ(fault.kind(), v1::FAULT_KIND_STOP);
  EXPECT_EQ(fault.device(), "cpu:0");
  EXPECT_EQ(FromProto(fault.duration()), absl::Seconds(3));
}

TEST_F(ChaosTest, AWorkerThatDoesNotAllowItIsLeftAlone) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.Join();
  ExpectRefusal(Inject(v1::FAULT_KIND_KILL, "w1"), absl::StatusCode::kFailedPrecondition,
                "w1 was started without --allow-chaos");
}

TEST_F(ChaosTest, WhatIsWrongIsNamed) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.registration().set_allows_chaos(true);
  agent.Join();
  ExpectRefusal(Inject(v1::FAULT_KIND_KILL, "w2"), absl::StatusCode::kNotFound, "no worker is called 'w2'");
  ExpectRefusal(Inject(v1::FAULT_KIND_KILL, "w1", "cpu:7"), absl::StatusCode::kNotFound, "no device 'cpu:7'");
  ExpectRefusal(Inject(v1::FAULT_KIND_ADD, ""), absl::StatusCode::kInvalidArgument, "fault.kind");
  ExpectRefusal(Inject(static_cast<v1::FaultKind>(99), "w1"), absl::StatusCode::kInvalidArgument,
                "fault.kind is 99");
  ExpectRefusal(Inject(v1::FAULT_KIND_CUT, "w1"), absl::StatusCode::kInvalidArgument, "fault.duration");
  ExpectRefusal(Inject(v1::FAULT_KIND_CUT, "w1", "", absl::Minutes(11)), absl::StatusCode::kInvalidArgument,
                "at most 10m");
  agent.Disconnect();
  ExpectRefusal(Inject(v1::FAULT_KIND_KILL, "w1"), absl::StatusCode::kFailedPrecondition, "is not connected");
}

TEST_F(QuietCoordinatorTest, OrdersNothing) {
  FakeAgent agent(controller_.get(), "w1", 1);
  agent.registration().set_allows_chaos(true);
  agent.Join();
  ExpectRefusal(Inject(v1::FAULT_KIND_KILL, "w1"), absl::StatusCode::kFailedPrecondition,
                "this coordinator was started without --allow-chaos");
  ExpectRefusal(Inject(v1::FAULT_KIND_KILL_COORDINATOR, ""), absl::StatusCode::kFailedPrecondition,
                "this coordinator was started without --allow-chaos");
}

}  // namespace
}  // namespace lockstep::chaos_test
