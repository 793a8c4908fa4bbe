#include "worker/agent/trainer_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <mutex>
#include <thread>

#include "absl/time/clock.h"
#include "worker/agent/ledger.h"
#include "worker/agent/line_splitter.h"
#include "worker/agent/printable.h"
#include "worker/control/channel.h"

namespace lockstep {
namespace {

constexpr int kControlFd = 3;
constexpr int kUnreadBatches = 16;  // log batches on the loop before the pipe is left to fill up
constexpr size_t kDrainBytes = size_t{1}
                               << 20;  // read after the end, at most: a grandchild may hold the pipe
constexpr timeval kSendTimeout = {2, 0};

// How many log batches wait on the loop. A trainer that floods its log is held back by its own pipe then.
class Credit {
 public:
  void Take() {
    std::unique_lock<std::mutex> lock(mutex_);
    room_.wait(lock, [this] { return closed_ || unread_ < kUnreadBatches; });
    ++unread_;
  }
  void Give() {
    std::lock_guard<std::mutex> lock(mutex_);
    --unread_;
    room_.notify_one();
  }
  void Close() {
    std::lock_guard<std::mutex> lock(mutex_);
    closed_ = true;
    room_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable room_;
  int unread_ = 0;       // guarded by mutex_
  bool closed_ = false;  // guarded by mutex_
};

}  // namespace

struct TrainerProcess::Impl {
  ~Impl() {
    if (child != nullptr) child->Signal(SIGKILL).IgnoreError();
    credit->Close();
    if (watcher.joinable()) watcher.join();
    if (log_fd >= 0) ::close(log_fd);
    if (catch_up_fd >= 0) ::close(catch_up_fd);
  }

  // `deliver` runs on the loop unless this object is gone by then.
  template <typename Deliver>
  void Post(Deliver deliver) {
    loop->Post([weak = events, deliver = std::move(deliver)]() mutable {
      if (auto alive = weak.lock()) deliver(*alive);
    });
  }

  void PostLines(std::vector<std::string> texts) {
    if (texts.empty()) return;
    std::vector<TrainerLine> lines;
    const absl::Time now = absl::Now();
    for (const std::string& text : texts) lines.push_back({now, Printable(text)});
    credit->Take();
    Post([credit = credit, lines = std::move(lines)](Events& to) mutable {
      credit->Give();
      to.lines(std::move(lines));
    });
  }

  void ListenToChannel() {
    while (true) {
      v1::FromTrainer message;
      if (absl::Status status = channel->Receive(&message); !status.ok()) {
        if (status.code() == absl::StatusCode::kDataLoss) {
          Post([text = std::string(status.message())](Events& to) {
            to.lines({{absl::Now(), absl::StrCat("[agent] killing this trainer: ", text)}});
          });
        }
        // A trainer that closes its channel is about to exit; one that stays is of no use.
        if (!child->WaitUntilEnded(absl::Seconds(5))) child->Signal(SIGKILL).IgnoreError();
        return;
      }
      // The log and the channel are two ways: what the trainer logged before its last word goes first.
      if (message.has_status() && IsFinal(message.status().state())) CatchUpWithLog();
      Post([message = std::move(message)](Events& to) mutable { to.message(std::move(message)); });
    }
  }

  // From the listener: returns when the watcher has delivered what the log pipe held at the time of the call.
  void CatchUpWithLog() {
    std::unique_lock<std::mutex> lock(catch_up_mutex);
    catch_up_wanted = true;
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t ignored = ::write(catch_up_fd, &one, sizeof(one));
    caught_up.wait(lock, [this] { return !catch_up_wanted || log_ended; });
  }

  // Reads what the pipe has now, at most `limit` bytes. False: no writer is left.
  bool ReadLog(LineSplitter* splitter, size_t limit) {
    char buffer[16 << 10];
    for (size_t total = 0; total < limit;) {
      const ssize_t got = ::read(log_fd, buffer, sizeof(buffer));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return errno == EAGAIN;
      if (got == 0) return false;
      PostLines(splitter->Take({buffer, static_cast<size_t>(got)}));
      total += static_cast<size_t>(got);
    }
    return true;
  }

  void WatchProcess() {
    std::thread listener([this] { ListenToChannel(); });
    LineSplitter splitter;
    pollfd entries[3] = {{child->pidfd(), POLLIN, 0}, {log_fd, POLLIN, 0}, {catch_up_fd, POLLIN, 0}};
    while (true) {
      for (pollfd& entry : entries) entry.revents = 0;
      if (::poll(entries, 3, -1) < 0 && errno != EINTR) break;
      if (entries[0].revents != 0) break;
      if (entries[1].revents != 0 && !ReadLog(&splitter, 64 << 10)) entries[1].fd = -1;
      if (entries[2].revents != 0) {
        uint64_t count;
        [[maybe_unused]] const ssize_t ignored = ::read(catch_up_fd, &count, sizeof(count));
        ReadLog(&splitter, kDrainBytes);
        std::lock_guard<std::mutex> lock(catch_up_mutex);
        catch_up_wanted = false;
        caught_up.notify_all();
      }
    }
    ReadLog(&splitter, kDrainBytes);
    PostLines(splitter.End());
    {
      std::lock_guard<std::mutex> lock(catch_up_mutex);
      log_ended = true;
      caught_up.notify_all();
    }
    channel->Shutdown();  // what was sent is still received; a grandchild with the socket cannot hold us up
    listener.join();
    const ExitStatus status = child->Wait();
    Post([status](Events& to) { to.exited(status); });
  }

  Loop* loop = nullptr;
  std::weak_ptr<Events> events;
  std::shared_ptr<Credit> credit = std::make_shared<Credit>();
  std::unique_ptr<Channel> channel;
  std::unique_ptr<Child> child;
  int log_fd = -1;
  int catch_up_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  std::mutex catch_up_mutex;
  std::condition_variable caught_up;
  bool catch_up_wanted = false;  // guarded by catch_up_mutex
  bool log_ended = false;        // guarded by catch_up_mutex
  std::thread watcher;
};

absl::StatusOr<std::unique_ptr<TrainerProcess>> TrainerProcess::Start(const Options& options, Loop* loop,
                                                                      Events events) {
  auto impl = std::make_unique<Impl>();
  impl->loop = loop;
  auto owner = std::make_shared<Events>(std::move(events));
  impl->events = owner;
  ASSIGN_OR_RETURN(auto sockets, Channel::MakePair());
  impl->channel = std::make_unique<Channel>(sockets.first);
  ::setsockopt(sockets.first, SOL_SOCKET, SO_SNDTIMEO, &kSendTimeout, sizeof(kSendTimeout));
  int log[2];
  if (::pipe2(log, O_CLOEXEC) != 0) {
    const int error = errno;
    ::close(sockets.second);
    return absl::ErrnoToStatus(error, "cannot make a log pipe for a trainer");
  }
  impl->log_fd = log[0];
  ::fcntl(log[0], F_SETFL, O_NONBLOCK);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);

  Child::Options child;
  child.argv = {options.program,
                "--control-fd",
                absl::StrCat(kControlFd),
                "--slot",
                absl::StrCat(options.slot),
                "--host",
                options.advertise_host,
                "--threads",
                absl::StrCat(options.threads)};
  child.env = {{"OMP_NUM_THREADS", "1"}};
  if (!options.gpu.empty()) {
    child.argv.insert(child.argv.end(), {"--device", "gpu"});
    child.env.emplace_back("CUDA_VISIBLE_DEVICES", options.gpu);
  }
  child.fds = {{sockets.second, kControlFd}, {null, 0}, {log[1], 1}, {log[1], 2}};
  child.parent_death_signal = SIGKILL;
  auto spawned = Child::Spawn(child);
  ::close(sockets.second);
  ::close(log[1]);
  ::close(null);
  RETURN_IF_ERROR(spawned.status());
  impl->child = *std::move(spawned);
  impl->watcher = std::thread([raw = impl.get()] { raw->WatchProcess(); });
  return std::unique_ptr<TrainerProcess>(new TrainerProcess(std::move(owner), std::move(impl)));
}

TrainerProcess::TrainerProcess(std::shared_ptr<Events> events, std::unique_ptr<Impl> impl)
    : events_(std::move(events)), impl_(std::move(impl)) {}
TrainerProcess::~TrainerProcess() = default;

absl::Status TrainerProcess::Send(const v1::ToTrainer& message) { return impl_->channel->Send(message); }
void TrainerProcess::Kill() { impl_->child->Signal(SIGKILL).IgnoreError(); }
pid_t TrainerProcess::pid() const { return impl_->child->pid(); }

}  // namespace lockstep
