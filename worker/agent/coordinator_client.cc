#include "worker/agent/coordinator_client.h"

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>
#include <grpcpp/support/client_callback.h>

#include <mutex>
#include <utility>

#include "absl/time/clock.h"
#include "common/net/address.h"
#include "common/net/grpc_status.h"
#include "common/net/limits.h"
#include "common/net/tls_credentials.h"
#include "common/net/tls_explain.h"
#include "lockstep/v1/datasets.grpc.pb.h"
#include "lockstep/v1/workers.grpc.pb.h"

namespace lockstep {
namespace {

// The coordinator, and how to be let in. Shared with gRPC's threads.
class Door {
 public:
  Door(std::string address, ClientAccess access)
      : address_(std::move(address)),
        access_(std::move(access)),
        credentials_(MakeChannelCredentials(access_.tls)) {}

  std::shared_ptr<grpc::Channel> Connect() const;

  // Read anew for each call, so that a token can be replaced.
  absl::Status ShowToken(grpc::ClientContext* context) const {
    const auto token = access_.Token();
    if (!token.ok()) return absl::UnavailableError(token.status().message());  // it may come back
    if (!token->empty()) context->AddMetadata("authorization", "Bearer " + *token);
    return absl::OkStatus();
  }

  // `status` with what is wrong with TLS, if that is it. A look may take a second, so it is taken now and
  // then only (without TLS once), and what it found holds until the next.
  absl::Status Explained(absl::Status status) {
    const auto address = ParseHostPort(address_);
    if (!absl::IsUnavailable(status) || !address.ok()) return status;
    std::lock_guard<std::mutex> lock(mutex_);
    const absl::Duration passed = absl::Now() - looked_;
    const absl::Duration often = problem_.empty() ? absl::Seconds(5) : absl::Seconds(30);
    if (access_.tls.empty() ? looked_ == absl::InfinitePast() : passed >= often) {
      problem_ = ExplainTls(*address, access_.tls, absl::Seconds(1));
      looked_ = absl::Now();
    } else if (access_.tls.empty()) {
      return status;
    }
    return problem_.empty() ? status : absl::UnavailableError(problem_);
  }

 private:
  const std::string address_;
  const ClientAccess access_;
  const std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::mutex mutex_;
  std::string problem_;                       // guarded by mutex_
  absl::Time looked_ = absl::InfinitePast();  // guarded by mutex_
};

// A channel of its own for each stream: gRPC's own back-off between connections would add to the agent's.
std::shared_ptr<grpc::Channel> Door::Connect() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveIntervalMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2000);  // which is also the limit on one attempt
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address_, credentials_, arguments);
}

// One Connect stream. Owned by gRPC from Begin to OnDone, beside the client's reference; it dies on the
// loop's thread.
class Stream final : public grpc::ClientBidiReactor<v1::ConnectRequest, v1::ConnectResponse>,
                     public std::enable_shared_from_this<Stream> {
 public:
  Stream(std::shared_ptr<Door> door, Loop* loop, CoordinatorClient::Events events)
      : loop_(loop),
        events_(std::make_shared<CoordinatorClient::Events>(std::move(events))),
        door_(std::move(door)),
        channel_(door_->Connect()),
        stub_(v1::Workers::NewStub(channel_)) {}

  void Begin() {
    if (absl::Status status = door_->ShowToken(&context_); !status.ok()) {
      open_ = false;
      return loop_->Post([self = shared_from_this(), status] { self->events_->closed(status); });
    }
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
    loop_->Post([self = std::move(self_), closed = door_->Explained(FromGrpc(status))] {
      self->events_->closed(closed);
    });
  }

 private:
  Loop* const loop_;
  const std::shared_ptr<CoordinatorClient::Events> events_;
  const std::shared_ptr<Door> door_;
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
  GrpcCoordinatorClient(const std::string& address, Loop* loop, const ClientAccess& access)
      : door_(std::make_shared<Door>(address, access)), loop_(loop) {}
  ~GrpcCoordinatorClient() override { Cancel(); }

  void Open(Events events) override {
    stream_ = std::make_shared<Stream>(door_, loop_, std::move(events));
    stream_->Begin();
  }
  void Write(const v1::ConnectRequest& message) override { stream_->Write(message); }
  void Finish() override { stream_->Finish(); }
  void Cancel() override {
    if (stream_ != nullptr) stream_->Cancel();
  }

  absl::Status ReadShard(const v1::ReadShardRequest& request,
                         const std::function<absl::Status(const v1::ReadShardResponse&)>& chunk) override {
    auto stub = v1::Datasets::NewStub(door_->Connect());
    grpc::ClientContext context;
    RETURN_IF_ERROR(door_->ShowToken(&context));
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
  const std::shared_ptr<Door> door_;
  Loop* const loop_;
  std::shared_ptr<Stream> stream_;
};

}  // namespace

std::unique_ptr<CoordinatorClient> CoordinatorClient::Make(const std::string& address, Loop* loop,
                                                           const ClientAccess& access) {
  return std::make_unique<GrpcCoordinatorClient>(address, loop, access);
}

}  // namespace lockstep
