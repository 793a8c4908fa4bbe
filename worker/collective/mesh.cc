#include "worker/collective/mesh.h"

#include <gloo/transport/buffer.h>
#include <gloo/transport/context.h>
#include <gloo/transport/pair.h>
#include <gloo/transport/tcp/device.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <exception>
#include <functional>
#include <semaphore>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "worker/collective/gloo_socket.h"
#include "worker/collective/peer_watch.h"
#include "worker/collective/rendezvous_blob.h"

namespace lockstep {
namespace {

constexpr int kDataSlot = 0;
constexpr int kFarewellSlot = 1;

// What a socket holds that the peer has not read. With less than several of the loopback's segments (64 kB) a
// large transfer waits for delayed acknowledgements, 40 ms each.
constexpr int kSendBuffer = 1 << 20;
static_assert(kSendBuffer >= Mesh::kMessagesUnderWay * static_cast<int>(Mesh::kMessageBytes));

// Longer than ranks in step wait for each other, shorter than what a time slice is worth to another process.
constexpr absl::Duration kSpin = absl::Microseconds(100);

// How long a thread inside a call has to notice a loss by itself. Then its sockets are shut under it, which
// Gloo takes for the end of the peer: no word can be sent there any more.
constexpr std::chrono::milliseconds kLeaveAlone(20);
// For the farewell to leave.
constexpr absl::Duration kFarewellOnItsWay = absl::Milliseconds(10);

// A write to a peer that is gone must be an error here, not the end of the process.
void IgnoreBrokenPipes() {
  struct sigaction action;
  if (sigaction(SIGPIPE, nullptr, &action) == 0 && action.sa_handler == SIG_DFL) signal(SIGPIPE, SIG_IGN);
}

struct Peer {
  gloo::transport::Pair* pair = nullptr;  // owned by the transport context
  std::atomic<int> socket = -1;           // our own descriptor of the pair's connection
  std::unique_ptr<char[]> incoming;
  std::unique_ptr<gloo::transport::Buffer> send, receive, send_farewell, receive_farewell;
  FarewellWord farewell;  // as it came
};

// Closes what is not connected in time, or no longer wanted; Gloo alone would wait for ever for a peer that
// died before it called.
class ConnectWatch {
 public:
  ConnectWatch(absl::Duration timeout, std::function<bool()> given_up, std::function<void()> close)
      : thread_([this, timeout, given_up = std::move(given_up), close = std::move(close)] {
          const absl::Time deadline = absl::Now() + timeout;
          absl::MutexLock lock(&mutex_);
          while (!mutex_.AwaitWithTimeout(absl::Condition(&done_), kGivenUpPoll)) {
            if (absl::Now() < deadline && !given_up()) continue;
            return close();
          }
        }) {}
  ~ConnectWatch() {
    {
      absl::MutexLock lock(&mutex_);
      done_ = true;
    }
    thread_.join();
  }

 private:
  static constexpr absl::Duration kGivenUpPoll = absl::Milliseconds(5);
  absl::Mutex mutex_;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace

struct Mesh::State {
  int rank = 0;
  int world = 1;
  std::shared_ptr<gloo::transport::Device> device;
  std::shared_ptr<gloo::transport::Context> context;
  std::unique_ptr<char[]> outgoing = std::make_unique<char[]>(kMessageBytes);
  FarewellWord farewell;    // to be sent
  std::vector<Peer> peers;  // by rank; the own one is empty
  absl::Duration spin;
  std::vector<double> arriving;  // seconds, by rank
  absl::Status dead;
  uint32_t calls = 0;
  std::function<void()> on_stuck;
  std::atomic<bool> aborted = false;
  std::atomic<int> seen_lost = -1;           // by the watch
  const int wake = eventfd(0, EFD_CLOEXEC);  // set when seen_lost is
  std::counting_semaphore<> left{0};         // the thread that calls knows of it
  std::unique_ptr<PeerWatch> watch;

  ~State() {
    if (watch != nullptr && dead.ok() && !aborted && seen_lost < 0) SayFarewell(FarewellWord::kPeace, rank);
    Shut(SHUT_RDWR);
    left.release();
    watch.reset();
    close(wake);
    for (Peer& peer : peers) {  // buffers before pairs
      peer.send.reset();
      peer.receive.reset();
      peer.send_farewell.reset();
      peer.receive_farewell.reset();
      if (peer.socket >= 0) close(peer.socket);
    }
  }

  // Publishes where each peer can call. Fills `peers` and `addresses`.
  absl::Status Listen(const std::string& host, std::vector<std::string>& addresses);
  // `theirs`: by rank, the address that waits for this one.
  absl::Status ConnectAll(const CollectiveOptions& options, const std::vector<std::string>& theirs);
  // Until a pair is synchronous Gloo's own thread reads it, and would put one message over the other. So
  // nothing but one message is sent before the receiver has switched all of its pairs. It is as long as any:
  // Gloo makes the socket's send buffer as large as the largest message so far, whatever we asked for before.
  absl::Status Greet(int& peer);

  void Shut(int how) {
    for (const Peer& peer : peers) {
      if (peer.socket >= 0) shutdown(peer.socket, how);
    }
  }

  // To all but `gone` and `lost`.
  void SayFarewell(int lost, int gone) {
    farewell = {FarewellWord::kMagic, lost, 0};
    for (int other = 0; other < world; ++other) {
      if (other == rank || other == gone || other == lost) continue;
      try {
        peers[other].send_farewell->send();
        peers[other].send_farewell->waitSend();
      } catch (const std::exception&) {  // it is gone as well
      }
    }
    const absl::Time deadline = absl::Now() + kFarewellOnItsWay;
    for (int other = 0; other < world; ++other) {
      if (other != rank && other != gone && other != lost) AwaitSent(peers[other].socket, deadline);
    }
  }

  // Called by the watch. What waits in a receive wakes, and tells the others before the connections are shut;
  // what is within a message whose rest does not come is woken by the end of the connection.
  void SeeLost(int peer) {
    seen_lost = peer;
    eventfd_write(wake, 1);
    if (left.try_acquire_for(kLeaveAlone)) return;
    Shut(SHUT_RD);
    if (on_stuck) on_stuck();
  }

  absl::Status Usable() {
    if (!dead.ok()) return dead;
    if (aborted || seen_lost >= 0) return Lose(seen_lost, "its connection was closed");
    return absl::OkStatus();
  }

  // `peer`'s connection failed: is it gone itself, or did it leave because of another?
  int Culprit(int peer) {
    std::vector<int> silent;  // gone without a word
    for (int other = 0; other < world; ++other) {
      if (other == rank) continue;
      const FarewellWord consumed = peers[other].farewell;
      const FarewellWord word = consumed.magic == 0 ? PeekFarewell(peers[other].socket) : consumed;
      if (word.magic == FarewellWord::kMagic && word.lost >= 0 && word.lost != rank) return word.lost;
      if (word.magic == 0 && PeerHungUp(peers[other].socket)) silent.push_back(other);
    }
    const bool itself = std::find(silent.begin(), silent.end(), peer) != silent.end();
    return itself || silent.empty() ? peer : silent.front();
  }

  // Makes the mesh dead: `peer` failed us, or is only the messenger.
  absl::Status Lose(int peer, const std::string& what) {
    left.release();
    if (aborted) {
      dead = absl::AbortedError(absl::StrCat("rank ", rank, ": the collective was aborted"));
    } else {
      const int lost = Culprit(peer);
      dead = absl::UnavailableError(
          absl::StrCat("rank ", rank, " of ", world, " lost rank ", lost, ": ", what,
                       "; likely its process ended or its node was cut off: see the log of "
                       "rank ",
                       lost));
      // A messenger that is still there may be sending, and learn of it from our leaving alone.
      SayFarewell(lost, PeerHungUp(peers[peer].socket) ? peer : -1);
    }
    Shut(SHUT_RDWR);
    return dead;
  }
};

absl::Status Mesh::State::Listen(const std::string& host, std::vector<std::string>& addresses) {
  try {
    device = gloo::transport::tcp::CreateDevice(gloo::transport::tcp::attr(host.c_str()));
    context = device->createContext(rank, world);
    context->setTimeout(std::chrono::milliseconds(0));  // none: a peer may take its time over a step
    for (int peer = 0; peer < world; ++peer) {
      std::string address;
      if (peer != rank) {
        peers[peer].pair = context->createPair(peer).get();
        const std::vector<char> bytes = peers[peer].pair->address().bytes();
        address.assign(bytes.begin(), bytes.end());
      }
      addresses.push_back(address);
    }
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("rank ", rank, " cannot listen on '", host,
                                               "' (is it an address of this machine?): ", error.what()));
  }
}

absl::Status Mesh::State::ConnectAll(const CollectiveOptions& options,
                                     const std::vector<std::string>& theirs) {
  int connecting = -1;
  const auto failed = [&](absl::string_view why) {
    if (options.given_up()) {
      return absl::AbortedError(absl::StrCat("rank ", rank, ": this generation was given up"));
    }
    return absl::UnavailableError(absl::StrCat("rank ", rank, " cannot connect to rank ", connecting,
                                               " within ", absl::FormatDuration(options.connect_timeout),
                                               " (is its process alive, is a firewall between?): ", why));
  };
  try {
    ConnectWatch in_time(options.connect_timeout, options.given_up, [this] {
      for (const Peer& peer : peers) {
        // A pair in synchronous mode may hold its lock for ever; its socket is open to us.
        const int socket = peer.socket;
        if (socket >= 0) {
          shutdown(socket, SHUT_RDWR);
        } else if (peer.pair != nullptr) {
          peer.pair->close();
        }
      }
    });
    for (int peer = 0; peer < world; ++peer) {
      if (peer == rank) continue;
      connecting = peer;
      Peer& to = peers[peer];
      to.incoming = std::make_unique<char[]>(kMessageBytes);
      // Before anything can arrive.
      to.receive = to.pair->createRecvBuffer(kDataSlot, to.incoming.get(), kMessageBytes);
      to.receive_farewell = to.pair->createRecvBuffer(kFarewellSlot, &to.farewell, sizeof(to.farewell));
      to.send = to.pair->createSendBuffer(kDataSlot, outgoing.get(), kMessageBytes);
      to.send_farewell = to.pair->createSendBuffer(kFarewellSlot, &farewell, sizeof(farewell));
      const std::vector<char> address(theirs[peer].begin(), theirs[peer].end());
      to.pair->connect(address);
      // Gloo may return without an error from a connection that was closed on it: then there is no such
      // socket.
      const absl::StatusOr<int> socket = DuplicateSocket(to.pair->address().bytes(), address);
      if (!socket.ok()) return failed(socket.status().message());
      to.socket = *socket;
      to.pair->setSync(true, /*busyPoll=*/true);  // see Receive: it is entered when the message has begun
    }
    RETURN_IF_ERROR(Greet(connecting));
    for (int peer = 0; peer < world; ++peer) {
      if (peer != rank) RETURN_IF_ERROR(TuneSocket(peers[peer].socket, kSendBuffer));
    }
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return failed(error.what());
  }
}

absl::Status Mesh::State::Greet(int& peer) {
  for (peer = 0; peer < world; ++peer) {
    if (peer == rank) continue;
    peers[peer].send->send(0, kMessageBytes);
    peers[peer].send->waitSend();
  }
  for (peer = 0; peer < world; ++peer) {
    if (peer != rank) peers[peer].receive->waitRecv();
  }
  return absl::OkStatus();
}

Mesh::Mesh(std::unique_ptr<State> state) : state_(std::move(state)) {}
Mesh::~Mesh() = default;
int Mesh::rank() const { return state_->rank; }
int Mesh::world() const { return state_->world; }
char* Mesh::outgoing() { return state_->outgoing.get() + kHeaderBytes; }

absl::StatusOr<std::unique_ptr<Mesh>> Mesh::Connect(const CollectiveOptions& options,
                                                    const ExchangeAddresses& exchange,
                                                    std::function<void()> on_stuck) {
  IgnoreBrokenPipes();
  auto state = std::make_unique<State>();
  state->on_stuck = std::move(on_stuck);
  state->rank = options.rank;
  state->world = options.world;
  state->spin = options.spin ? kSpin : absl::ZeroDuration();
  state->peers = std::vector<Peer>(options.world);
  state->arriving.assign(options.world, 0);
  RendezvousBlob mine = {options.world, options.shards, options.n, options.rank, {}};
  RETURN_IF_ERROR(state->Listen(options.host, mine.addresses));

  ASSIGN_OR_RETURN(const std::vector<std::string> blobs, exchange(FormatBlob(mine)));
  if (blobs.size() != static_cast<size_t>(options.world)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the rendezvous gave ", blobs.size(), " addresses for ", options.world, " ranks"));
  }
  std::vector<std::string> theirs;
  for (int peer = 0; peer < options.world; ++peer) {
    ASSIGN_OR_RETURN(const RendezvousBlob blob, ParseBlob(blobs[peer]));
    RETURN_IF_ERROR(CheckAgreement(mine, blob, peer));
    theirs.push_back(blob.addresses[options.rank]);
  }
  RETURN_IF_ERROR(state->ConnectAll(options, theirs));

  std::vector<int> sockets;
  for (const Peer& peer : state->peers) sockets.push_back(peer.socket);
  state->watch =
      std::make_unique<PeerWatch>(std::move(sockets), [raw = state.get()](int peer) { raw->SeeLost(peer); });
  return std::unique_ptr<Mesh>(new Mesh(std::move(state)));
}

absl::Status Mesh::Send(int peer, const Header& header, size_t bytes) {
  RETURN_IF_ERROR(state_->Usable());
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

const std::vector<double>& Mesh::arriving() const { return state_->arriving; }

absl::StatusOr<char*> Mesh::Receive(int peer, const Header& header) {
  using Clock = std::chrono::steady_clock;
  RETURN_IF_ERROR(state_->Usable());
  Peer& from = state_->peers[peer];
  WaitReadable(from.socket, state_->wake, state_->spin);
  RETURN_IF_ERROR(state_->Usable());
  const Clock::time_point begun = Clock::now();
  try {
    from.receive->waitRecv();
  } catch (const std::exception& error) {
    return state_->Lose(peer, error.what());
  }
  state_->arriving[peer] += std::chrono::duration<double>(Clock::now() - begun).count();
  Header got;
  std::memcpy(&got, from.incoming.get(), kHeaderBytes);
  if (got == header) return from.incoming.get() + kHeaderBytes;
  const auto describe = [](const Header& h) {
    return absl::StrCat("operation ", h.operation, " of size ", h.size, " as call ", h.call);
  };
  state_->dead = absl::InternalError(absl::StrCat("rank ", state_->rank, " makes ", describe(header),
                                                  ", rank ", peer, " makes ", describe(got),
                                                  ": every rank must make the same calls in the same order"));
  state_->Shut(SHUT_RDWR);
  return state_->dead;
}

uint32_t Mesh::NextCall() { return ++state_->calls; }

absl::Status Mesh::Check() { return state_->Usable(); }

absl::Status Mesh::Fail(absl::Status why) {
  RETURN_IF_ERROR(state_->Usable());
  state_->left.release();
  state_->dead = std::move(why);
  state_->SayFarewell(state_->rank, -1);
  state_->Shut(SHUT_RDWR);
  return state_->dead;
}

void Mesh::Abort() {
  state_->aborted = true;
  state_->Shut(SHUT_RDWR);
}

}  // namespace lockstep
