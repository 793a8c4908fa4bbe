#include "worker/collective/mesh.h"

#include <gloo/transport/buffer.h>
#include <gloo/transport/context.h>
#include <gloo/transport/pair.h>
#include <gloo/transport/tcp/device.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <thread>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/collective/gloo_socket.h"
#include "worker/collective/rendezvous_blob.h"

namespace lockstep {
namespace {

constexpr absl::Duration kConnectTimeout = absl::Seconds(30);
constexpr int kDataSlot = 0;
constexpr int kLostSlot = 1;

// A write to a peer that is gone must be an error here, not the end of the process.
void IgnoreBrokenPipes() {
  struct sigaction action;
  if (sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

struct Peer {
  gloo::transport::Pair* pair = nullptr;  // owned by the transport context
  std::atomic<int> socket = -1;           // our own descriptor of the pair's connection
  std::unique_ptr<char[]> incoming;
  std::unique_ptr<gloo::transport::Buffer> send, receive, send_lost, receive_lost;
  int32_t lost = -1;  // the rank that this peer lost, by its own word
};

}  // namespace

struct Mesh::State {
  int rank = 0;
  int world = 1;
  std::shared_ptr<gloo::transport::Device> device;
  std::shared_ptr<gloo::transport::Context> context;
  std::unique_ptr<char[]> outgoing = std::make_unique<char[]>(kMessageBytes);
  int32_t lost_word = -1;
  std::vector<Peer> peers;  // by rank; the own one is empty
  absl::Status dead;
  std::atomic<bool> aborted = false;

  ~State() {
    Shut();
    for (Peer& peer : peers) {  // buffers before pairs
      peer.send.reset();
      peer.receive.reset();
      peer.send_lost.reset();
      peer.receive_lost.reset();
      if (peer.socket >= 0) close(peer.socket);
    }
  }

  void Shut() {
    for (const Peer& peer : peers) {
      if (peer.socket >= 0) shutdown(peer.socket, SHUT_RDWR);
    }
  }

  // Makes the mesh dead: `peer` failed us.
  absl::Status Lose(int peer, const std::string& what) {
    if (aborted) {
      dead = absl::AbortedError(absl::StrCat("rank ", rank, ": the collective was aborted"));
    } else {
      const int lost = peers[peer].lost >= 0 && peers[peer].lost != rank ? peers[peer].lost : peer;
      dead = absl::UnavailableError(
          absl::StrCat("rank ", rank, " of ", world, " lost rank ", lost,
                       lost == peer ? "" : absl::StrCat(" (as rank ", peer, " says)"), ": ", what,
                       "; likely its process died or its node was cut off: see that rank's log"));
      lost_word = lost;
      for (int other = 0; other < world; ++other) {
        if (other == rank || other == peer || peers[other].send_lost == nullptr) continue;
        try {
          peers[other].send_lost->send();
          peers[other].send_lost->waitSend();
        } catch (const std::exception&) {  // it is gone as well, or knows already
        }
      }
    }
    Shut();
    return dead;
  }
};

Mesh::Mesh(std::unique_ptr<State> state) : state_(std::move(state)) {}
Mesh::~Mesh() = default;
int Mesh::rank() const { return state_->rank; }
int Mesh::world() const { return state_->world; }
char* Mesh::outgoing() { return state_->outgoing.get() + kHeaderBytes; }

namespace {

// Closes what is not connected in time; Gloo alone would wait for ever for a peer that died before it called.
class ConnectWatch {
 public:
  explicit ConnectWatch(std::function<void()> on_timeout)
      : thread_([this, on_timeout = std::move(on_timeout)] {
          absl::MutexLock lock(&mutex_);
          if (!mutex_.AwaitWithTimeout(absl::Condition(&done_), kConnectTimeout)) on_timeout();
        }) {}
  ~ConnectWatch() {
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
    }
    thread_.join();
  }

 private:
  absl::Mutex mutex_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Mesh>> Mesh::Connect(const CollectiveOptions& options,
                                                    const ExchangeAddresses& exchange) {
  IgnoreBrokenPipes();
  auto state = std::make_unique<State>();
  state->rank = options.rank;
  state->world = options.world;
  state->peers = std::vector<Peer>(options.world);
  RendezvousBlob mine = {options.world, options.shards, options.n, options.rank, {}};
  try {
    gloo::transport::tcp::attr attributes(options.host.c_str());
    state->device = gloo::transport::tcp::CreateDevice(attributes);
    state->context = state->device->createContext(options.rank, options.world);
    state->context->setTimeout(std::chrono::milliseconds(0));  // none: a peer may take its time over a step
    for (int peer = 0; peer < options.world; ++peer) {
      std::string address;
      if (peer != options.rank) {
        state->peers[peer].pair = state->context->createPair(peer).get();
        const std::vector<char> bytes = state->peers[peer].pair->address().bytes();
        address.assign(bytes.begin(), bytes.end());
      }
      mine.addresses.push_back(address);
    }
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("rank ", options.rank, " cannot listen on '", options.host,
                                               "' (is it an address of this machine?): ", error.what()));
  }

  ASSIGN_OR_RETURN(const std::vector<std::string> blobs, exchange(FormatBlob(mine)));
  if (blobs.size() != static_cast<size_t>(options.world)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the rendezvous gave ", blobs.size(), " addresses for ", options.world, " ranks"));
  }
  std::vector<RendezvousBlob> theirs;
  for (int peer = 0; peer < options.world; ++peer) {
    ASSIGN_OR_RETURN(RendezvousBlob blob, ParseBlob(blobs[peer]));
    RETURN_IF_ERROR(CheckAgreement(mine, blob, peer));
    theirs.push_back(std::move(blob));
  }

  int connecting = -1;
  try {
    ConnectWatch watch([&] {
      for (const Peer& peer : state->peers) {
        // A pair in synchronous mode may hold its lock for ever; its socket is open to us.
        const int socket = peer.socket;
        if (socket >= 0) {
          shutdown(socket, SHUT_RDWR);
        } else if (peer.pair != nullptr) {
          peer.pair->close();
        }
      }
    });
    for (int peer = 0; peer < options.world; ++peer) {
      if (peer == options.rank) continue;
      connecting = peer;
      Peer& to = state->peers[peer];
      to.incoming = std::make_unique<char[]>(kMessageBytes);
      // Before anything can arrive.
      to.receive = to.pair->createRecvBuffer(kDataSlot, to.incoming.get(), kMessageBytes);
      to.receive_lost = to.pair->createRecvBuffer(kLostSlot, &to.lost, sizeof(to.lost));
      to.send = to.pair->createSendBuffer(kDataSlot, state->outgoing.get(), kMessageBytes);
      to.send_lost = to.pair->createSendBuffer(kLostSlot, &state->lost_word, sizeof(state->lost_word));
      const std::string& address = theirs[peer].addresses[options.rank];
      to.pair->connect({address.begin(), address.end()});
      ASSIGN_OR_RETURN(to.socket,
                       DuplicateSocket(to.pair->address().bytes(), {address.begin(), address.end()}));
      RETURN_IF_ERROR(TuneSocket(to.socket, kMessagesUnderWay * static_cast<int>(kMessageBytes)));
      to.pair->setSync(true, options.spin);
    }
    // Until a pair is synchronous Gloo's own thread reads it, and would put one message over the other. So
    // nothing but this word is sent before the receiver has switched all of its pairs.
    for (int peer = 0; peer < options.world; ++peer) {
      if (peer == options.rank) continue;
      connecting = peer;
      state->peers[peer].send->send(0, kHeaderBytes);
      state->peers[peer].send->waitSend();
    }
    for (int peer = 0; peer < options.world; ++peer) {
      if (peer == options.rank) continue;
      connecting = peer;
      state->peers[peer].receive->waitRecv();
    }
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("rank ", options.rank, " cannot connect to rank ", connecting, " within ",
                     absl::FormatDuration(kConnectTimeout),
                     " (is its process alive, is a firewall between?): ", error.what()));
  }
  return std::unique_ptr<Mesh>(new Mesh(std::move(state)));
}

absl::Status Mesh::Send(int peer, const Header& header, size_t bytes) {
  if (!state_->dead.ok()) return state_->dead;
  std::memcpy(state_->outgoing.get(), &header, kHeaderBytes);
  try {
    Peer& to = state_->peers[peer];
    to.send->send(0, kHeaderBytes + bytes);
    to.send->waitSend();
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return state_->Lose(peer, error.what());
  }
}

absl::StatusOr<char*> Mesh::Receive(int peer, const Header& header) {
  if (!state_->dead.ok()) return state_->dead;
  Peer& from = state_->peers[peer];
  try {
    from.receive->waitRecv();
  } catch (const std::exception& error) {
    return state_->Lose(peer, error.what());
  }
  Header got;
  std::memcpy(&got, from.incoming.get(), kHeaderBytes);
  if (got == header) return from.incoming.get() + kHeaderBytes;
  const auto describe = [](const Header& h) {
    return absl::StrCat("operation ", h.operation, " of size ", h.size, " as call ", h.call);
  };
  state_->dead = absl::InternalError(absl::StrCat("rank ", state_->rank, " makes ", describe(header),
                                                  ", rank ", peer, " makes ", describe(got),
                                                  ": every rank must make the same calls in the same order"));
  state_->Shut();
  return state_->dead;
}

void Mesh::Abort() {
  state_->aborted = true;
  state_->Shut();
}

}  // namespace lockstep
