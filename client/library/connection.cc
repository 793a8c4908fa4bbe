#include "client/library/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <random>
#include <utility>

#include "absl/time/clock.h"
#include "common/net/address.h"
#include "common/net/grpc_status.h"
#include "common/net/limits.h"
#include "common/net/tls_credentials.h"
#include "common/net/tls_explain.h"

namespace lockstep {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(50);
constexpr absl::Duration kLongestPause = absl::Seconds(1);
constexpr absl::Duration kPatienceBeforeReport = absl::Milliseconds(300);
constexpr absl::Duration kExplainTimeout = absl::Seconds(2);

// Doubles, with up to a quarter of jitter, so that many clients do not return at the same moment.
class Backoff {
 public:
  absl::Duration Next() {
    const absl::Duration pause = next_ * std::uniform_real_distribution<double>(0.75, 1.0)(random_);
    next_ = std::min(next_ * 2, kLongestPause);
    return pause;
  }
  void Reset() { next_ = kFirstPause; }

 private:
  absl::Duration next_ = kFirstPause;
  std::mt19937 random_{std::random_device()()};
};

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const TlsFiles& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 500);  // also bounds one attempt to connect
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10000);
  const auto parsed = ParseHostPort(address);
  if (parsed.ok() && IsLoopback(parsed->host)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  return grpc::CreateCustomChannel(address, MakeChannelCredentials(tls), arguments);
}

}  // namespace

Connection::Connection(Client::Options options)
    : options_(std::move(options)), channel_(MakeChannel(options_.address, options_.tls)) {}

void Connection::ReportWaiting() {
  if (!reported_.exchange(true) && options_.on_waiting) options_.on_waiting();
}

absl::Status Connection::NoCoordinator() const {
  return absl::UnavailableError(absl::StrCat("no coordinator answered at ", options_.address, " within ",
                                             absl::FormatDuration(options_.connect_timeout)));
}

absl::Status Connection::TlsProblem() const {
  const auto address = ParseHostPort(options_.address);
  if (!address.ok()) return absl::OkStatus();
  const std::string problem = ExplainTls(*address, options_.tls, kExplainTimeout);
  return problem.empty() ? absl::OkStatus() : absl::FailedPreconditionError(problem);
}

absl::Status Connection::CheckToken() const {
  if (options_.token.empty() || !options_.tls.empty()) return absl::OkStatus();
  const auto address = ParseHostPort(options_.address);
  if (address.ok() && IsLoopback(address->host)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("the token was not sent to ", options_.address,
                   ": without TLS whoever is on the way could read it; give --tls-ca (or LOCKSTEP_TLS_CA)"));
}

absl::Status Connection::WaitConnected(absl::Time give_up) {
  const absl::Time start = absl::Now();
  bool explained = false;
  while (channel_->GetState(/*try_to_connect=*/true) != GRPC_CHANNEL_READY) {
    const absl::Time now = absl::Now();
    // Before giving up, though this thread was held up and it is time for both.
    if (now - start >= kPatienceBeforeReport) {
      // What is wrong with a certificate does not pass by waiting.
      if (!std::exchange(explained, true)) RETURN_IF_ERROR(TlsProblem());
      ReportWaiting();
    }
    if (now >= give_up) return NoCoordinator();
    if (options_.cancellation != nullptr && options_.cancellation->cancelled()) {
      return absl::CancelledError("interrupted");
    }
    // In slices, to notice a cancellation; the channel itself spaces its attempts exponentially.
    channel_->WaitForConnected(absl::ToChronoTime(std::min(now + absl::Milliseconds(100), give_up)));
  }
  return absl::OkStatus();
}

absl::Status Connection::Call(const Attempt& attempt, absl::Duration timeout_per_attempt) {
  RETURN_IF_ERROR(CheckToken());
  Backoff backoff;
  absl::Time give_up = absl::Now() + options_.connect_timeout;
  for (;;) {
    RETURN_IF_ERROR(WaitConnected(give_up));
    bool progressed = false;
    grpc::ClientContext context;
    if (!options_.token.empty()) context.AddMetadata("authorization", "Bearer " + options_.token);
    if (timeout_per_attempt < absl::InfiniteDuration()) {
      context.set_deadline(absl::ToChronoTime(absl::Now() + timeout_per_attempt));
    }
    grpc::Status status;
    {
      const Cancellation::Hook hook(options_.cancellation, [&context] { context.TryCancel(); });
      status = attempt(&context, &progressed);
    }
    if (status.ok()) return absl::OkStatus();
    if (options_.cancellation != nullptr && options_.cancellation->cancelled()) {
      return absl::CancelledError("interrupted");
    }
    if (status.error_code() != grpc::StatusCode::UNAVAILABLE) return FromGrpc(status);
    if (progressed) {
      backoff.Reset();
      give_up = absl::Now() + options_.connect_timeout;
    }
    const absl::Duration pause = backoff.Next();
    if (absl::Now() + pause >= give_up) {
      // A live channel means that the coordinator itself said so, and why.
      return channel_->GetState(false) == GRPC_CHANNEL_READY ? FromGrpc(status) : NoCoordinator();
    }
    ReportWaiting();
    if (options_.cancellation != nullptr) {
      options_.cancellation->SleepFor(pause);
    } else {
      absl::SleepFor(pause);
    }
  }
}

}  // namespace lockstep
