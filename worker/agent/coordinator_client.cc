#include "worker/agent/coordinator_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>

#include <mutex>
#include <utility>

#include "common/net/grpc_status.h"
#include "common/net/limits.h"
#include "lockstep/v1/datasets.grpc.pb.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {
namespace {

// A channel of its own for each stream: gRPC's own back-off between connections would add to the agent's.
std::shared_ptr<grpc::Channel> Connect(const std::string& address) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // which is also the limit on one attempt
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address, grpc::InsecureChannelCredentials(), arguments);
}

// One Connect stream. Owned by gRPC from Begin to OnDone, beside the client's reference; it dies on the
// loop's thread.
class Stream final : public grpc::ClientBidiReactor<v1::ConnectRequest, v1::ConnectResponse>,
                     public std::enable_shared_from_this<Stream> {
 public:
  Stream(const std::string& address, Loop* loop, CoordinatorClient::Events events)
      : loop_(loop),
        events_(std::make_shared<CoordinatorClient::Events>(std::move(events))),
        channel_(Connect(address)),
        stub_(v1::Workers::NewStub(channel_)) {}

  void Begin() {
    self_ = shared_from_this();
    stub_->async()->Connect(&context_, this);
    AddHold();  // for Write, which comes from the loop; removed when reading ends
    StartRead(&incoming_);
    StartCall();
  }

  // After the reading has ended there is nobody to write to; `closed` is on its way then.
  void Write(const v1::ConnectRequest& message) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!open_) return;
    outgoing_ = message;
    StartWrite(&outgoing_);
  }

  void Finish() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (open_) StartWritesDone();
  }

  void Cancel() { context_.TryCancel(); }

  void OnReadDone(bool ok) override {
    if (ok) {
      loop_->Post([events = events_, message = std::move(incoming_)]() mutable {
        events->message(std::move(message));
      });
      incoming_.Clear();
      return StartRead(&incoming_);
    }
    {
      std::lock_guard<std::mutex> lock(mutex_);
      open_ = false;
    }
    RemoveHold();
  }

  void OnWriteDone(bool ok) override {
    if (ok) loop_->Post([events = events_] { events->written(); });
  }

  void OnDone(const grpc::Status& status) override {
    // gRPC's reference goes with the task, so the channel is never closed on one of gRPC's own threads:
    // closing joins them, and the program may end meanwhile.
    loop_->Post([self = std::move(self_), status = FromGrpc(status)] { self->events_->closed(status); });
  }

 private:
  Loop* const loop_;
  const std::shared_ptr<CoordinatorClient::Events> events_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Workers::Stub> stub_;
  grpc::ClientContext context_;
  v1::ConnectResponse incoming_;
  v1::ConnectRequest outgoing_;
  std::mutex mutex_;
  bool open_ = true;  // guarded by mutex_
  std::shared_ptr<Stream> self_;
};

class GrpcCoordinatorClient final : public CoordinatorClient {
 public:
  GrpcCoordinatorClient(const std::string& address, Loop* loop) : address_(address), loop_(loop) {}
  ~GrpcCoordinatorClient() override { Cancel(); }

  void Open(Events events) override {
    stream_ = std::make_shared<Stream>(address_, loop_, std::move(events));
    stream_->Begin();
  }
  void Write(const v1::ConnectRequest& message) override { stream_->Write(message); }
  void Finish() override { stream_->Finish(); }
  void Cancel() override {
    if (stream_ != nullptr) stream_->Cancel();
  }

  absl::Status ReadShard(const v1::ReadShardRequest& request,
                         const std::function<absl::Status(const v1::ReadShardResponse&)>& chunk) override {
    auto stub = v1::Datasets::NewStub(Connect(address_));
    grpc::ClientContext context;
    auto reader = stub->ReadShard(&context, request);
    v1::ReadShardResponse response;
    absl::Status ours;
    while (reader->Read(&response)) {
      ours = chunk(response);
      if (ours.ok()) continue;
      context.TryCancel();
      break;
    }
    const grpc::Status theirs = reader->Finish();
    return ours.ok() ? FromGrpc(theirs) : ours;
  }

 private:
  const std::string address_;
  Loop* const loop_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace

std::unique_ptr<CoordinatorClient> CoordinatorClient::Make(const std::string& address, Loop* loop) {
  return std::make_unique<GrpcCoordinatorClient>(address, loop);
}

}  // namespace lockstep
