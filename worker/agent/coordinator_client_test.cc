#include "worker/agent/coordinator_client.h"

#include <thread>

#include "gtest/gtest.h"

namespace lockstep {
namespace {

// The worker's end: `closed` stops the loop and everything goes at once, while the thread of gRPC that told
// of it is on its way out. A connection that was closed on that thread tore gRPC down under a program that
// was ending.
TEST(CoordinatorClient, AStreamDiesOnTheLoopsThread) {
  for (int round = 0; round < 300; ++round) {
    std::thread::id died_on;
    absl::Status status;
    {
      Loop loop;
      std::unique_ptr<CoordinatorClient> client = CoordinatorClient::Make("127.0.0.1:1", &loop);
      CoordinatorClient::Events events;
      std::shared_ptr<void> owned_by_the_stream(nullptr,
                                                [&](void*) { died_on = std::this_thread::get_id(); });
      events.written = [owned_by_the_stream = std::move(owned_by_the_stream)] {
        FAIL() << "nothing was written";
      };
      events.closed = [&](const absl::Status& ended) {
        status = ended;
        client.reset();
        loop.Stop();
      };
      client->Open(std::move(events));
      loop.Run();
    }
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
    ASSERT_EQ(died_on, std::this_thread::get_id()) << "round " << round;
  }
}

}  // namespace
}  // namespace lockstep
