#include "worker/agent/testing/fake_coordinator.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "common/net/grpc_status.h"
#include "lockstep/v1/datasets.grpc.pb.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {

// Synchronous services: a thread per stream is simple, and this is a test.
struct FakeCoordinator::Impl {
  using Server = grpc::ServerReaderWriter<v1::ConnectResponse, v1::ConnectRequest>;

  class Workers final : public v1::Workers::Service {
   public:
    explicit Workers(Impl* impl) : impl_(impl) {}
    grpc::Status Connect(grpc::ServerContext*, Server* stream) override { return impl_->Serve(stream); }

   private:
    Impl* impl_;
  };

  class Datasets final : public v1::Datasets::Service {
   public:
    explicit Datasets(Impl* impl) : impl_(impl) {}
    grpc::Status ReadShard(grpc::ServerContext*, const v1::ReadShardRequest* request,
                           grpc::ServerWriter<v1::ReadShardResponse>* writer) override {
      const std::string& bytes = impl_->options.dataset_bytes;
      const int64_t size = static_cast<int64_t>(bytes.size());
      const int64_t each = (size + request->shards() - 1) / request->shards();
      const int64_t begin = std::min(size, request->shard() * each), end = std::min(size, begin + each);
      for (int64_t at = begin; at < end; at += 1000) {
        v1::ReadShardResponse response;
        response.set_offset(at);
        response.set_data(
            bytes.substr(static_cast<size_t>(at), static_cast<size_t>(std::min<int64_t>(1000, end - at))));
        writer->Write(response);
      }
      return grpc::Status::OK;
    }

   private:
    Impl* impl_;
  };

  grpc::Status Serve(Server* stream) {
    if (!options.refusal.ok()) return ToGrpc(options.refusal);
    {
      std::lock_guard<std::mutex> lock(mutex);
      current = stream;
      ++streams;
      changed.notify_all();
    }
    grpc::Status result;
    v1::ConnectRequest request;
    while (stream->Read(&request)) {
      v1::ConnectResponse answer;
      if (request.has_register_()) {
        if (options.check_root_id && request.register_().artifact_root_id().rfind("unreachable", 0) == 0) {
          result = grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "no shared artifact root");
          break;
        }
        v1::Registered& registered = *answer.mutable_registered();
        registered.set_coordinator_incarnation("fake");
        registered.mutable_heartbeat_interval()->set_nanos(20'000'000);
        registered.set_artifact_root(options.artifact_root);
      }
      std::lock_guard<std::mutex> lock(mutex);
      if (answer.has_registered()) stream->Write(answer);
      received.push_back({request, false});
      changed.notify_all();
    }
    std::lock_guard<std::mutex> lock(mutex);
    if (current == stream) current = nullptr;
    return result;
  }

  explicit Impl(const Options& fake_options) : options(fake_options), workers(this), datasets(this) {}

  struct Received {
    v1::ConnectRequest message;
    bool taken;
  };

  Options options;
  Workers workers;
  Datasets datasets;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Received> received;
  Server* current = nullptr;
  int streams = 0;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

FakeCoordinator::FakeCoordinator(const Options& options) : impl_(std::make_unique<Impl>(options)) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("127.0.0.1:", options.port), grpc::InsecureServerCredentials(),
                           &impl_->port);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.RegisterService(&impl_->workers);
  builder.RegisterService(&impl_->datasets);
  impl_->server = builder.BuildAndStart();
}

FakeCoordinator::~FakeCoordinator() {
  if (impl_->server == nullptr) return;
  impl_->server->Shutdown(std::chrono::system_clock::now());
  impl_->server->Wait();
}

std::string FakeCoordinator::address() const { return absl::StrCat("127.0.0.1:", impl_->port); }
int FakeCoordinator::port() const { return impl_->port; }

void FakeCoordinator::Send(const v1::ConnectResponse& message) {
  std::lock_guard<std::mutex> lock(impl_->mutex);
  if (impl_->current != nullptr) impl_->current->Write(message);
}

std::optional<v1::ConnectRequest> FakeCoordinator::Await(
    const std::function<bool(const v1::ConnectRequest&)>& matches) {
  std::unique_lock<std::mutex> lock(impl_->mutex);
  std::optional<v1::ConnectRequest> found;
  impl_->changed.wait_for(lock, std::chrono::seconds(20), [&] {
    for (Impl::Received& received : impl_->received) {
      if (received.taken || !matches(received.message)) continue;
      received.taken = true;
      found = received.message;
      return true;
    }
    return false;
  });
  return found;
}

std::optional<v1::AssignmentStatus> FakeCoordinator::AwaitState(v1::AssignmentState state,
                                                                int64_t generation) {
  auto message = Await([&](const v1::ConnectRequest& request) {
    return request.has_assignment() && request.assignment().state() == state &&
           request.assignment().generation() == generation;
  });
  if (!message.has_value()) return std::nullopt;
  return message->assignment();
}

bool FakeCoordinator::AwaitStreams(int count) {
  std::unique_lock<std::mutex> lock(impl_->mutex);
  return impl_->changed.wait_for(lock, std::chrono::seconds(20), [&] { return impl_->streams >= count; });
}

std::vector<v1::ConnectRequest> FakeCoordinator::All() {
  std::lock_guard<std::mutex> lock(impl_->mutex);
  std::vector<v1::ConnectRequest> all;
  for (const Impl::Received& received : impl_->received) all.push_back(received.message);
  return all;
}

}  // namespace lockstep
