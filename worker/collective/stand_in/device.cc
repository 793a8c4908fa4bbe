#include "worker/collective/stand_in/device.h"

#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "worker/collective/stand_in/add.h"

namespace lockstep::stand_in {
namespace {

std::atomic<int> under_way = 0;  // of what was queued, on all streams

class StreamThread {
 public:
  StreamThread() : thread_([this] { Run(); }) {}
  ~StreamThread() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }
  void Add(std::function<void()> work) {
    ++under_way;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      queue_.push_back(std::move(work));
    }
    changed_.notify_one();
  }

 private:
  void Run() {
    std::unique_lock<std::mutex> lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return stop_ || !queue_.empty(); });
      if (queue_.empty()) return;
      const std::function<void()> work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
      --under_way;
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stop_ = false;
  std::thread thread_;
};

// What one Record asked for; a later one of the same event is another moment.
struct Moment {
  std::mutex mutex;
  std::condition_variable changed;
  bool passed = false;
};

struct Event {
  std::mutex mutex;
  std::shared_ptr<Moment> last;
};

Event* Of(DeviceEvent event) { return static_cast<Event*>(event); }
StreamThread* Of(kernels::Stream stream) { return reinterpret_cast<StreamThread*>(stream); }

class StandInDevice : public CollectiveDevice {
 public:
  bool Holds(const void* pointer) override {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto after = live_.upper_bound(reinterpret_cast<uintptr_t>(pointer));
    if (AcceptsForAdd(pointer)) return true;
    return after != live_.begin() &&
           reinterpret_cast<uintptr_t>(pointer) - std::prev(after)->first < std::prev(after)->second;
  }
  absl::StatusOr<void*> Allocate(size_t bytes) override {
    std::lock_guard<std::mutex> lock(mutex_);
    void* const memory = AllocateForAdd(bytes);
    live_[reinterpret_cast<uintptr_t>(memory)] = bytes;
    return memory;
  }
  void Free(void* memory) override {
    std::lock_guard<std::mutex> lock(mutex_);
    live_.erase(reinterpret_cast<uintptr_t>(memory));
    FreeForAdd(memory);
  }
  int live() {
    std::lock_guard<std::mutex> lock(mutex_);
    return static_cast<int>(live_.size());
  }

  absl::StatusOr<kernels::Stream> MakeStream() override {
    return reinterpret_cast<kernels::Stream>(new StreamThread);
  }
  void DropStream(kernels::Stream stream) override { delete Of(stream); }
  absl::StatusOr<DeviceEvent> MakeEvent() override { return new Event; }
  void DropEvent(DeviceEvent event) override { delete Of(event); }

  absl::Status Record(DeviceEvent event, kernels::Stream stream) override {
    auto moment = std::make_shared<Moment>();
    {
      std::lock_guard<std::mutex> lock(Of(event)->mutex);
      Of(event)->last = moment;
    }
    Enqueue(stream, [moment] {
      {
        std::lock_guard<std::mutex> lock(moment->mutex);
        moment->passed = true;
      }
      moment->changed.notify_all();
    });
    return absl::OkStatus();
  }
  absl::Status Await(kernels::Stream stream, DeviceEvent event) override {
    const std::shared_ptr<Moment> moment = Last(event);
    if (moment == nullptr) return absl::OkStatus();
    Enqueue(stream, [moment] {
      std::unique_lock<std::mutex> lock(moment->mutex);
      moment->changed.wait(lock, [&] { return moment->passed; });
    });
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Passed(DeviceEvent event) override {
    const std::shared_ptr<Moment> moment = Last(event);
    if (moment == nullptr) return true;
    std::lock_guard<std::mutex> lock(moment->mutex);
    return moment->passed;
  }

  absl::Status Copy(void* to, const void* from, size_t bytes, kernels::Stream stream) override {
    Enqueue(stream, [=] { std::memmove(to, from, bytes); });
    return absl::OkStatus();
  }
  absl::Status AddInto(size_t count, const float* source, float* target, kernels::Stream stream) override {
    Enqueue(stream, [=] { Add(count, source, target); });
    return absl::OkStatus();
  }

 private:
  static std::shared_ptr<Moment> Last(DeviceEvent event) {
    std::lock_guard<std::mutex> lock(Of(event)->mutex);
    return Of(event)->last;
  }

  std::mutex mutex_;
  std::map<uintptr_t, size_t> live_;  // bytes, by address
};

StandInDevice& TheDevice() {
  static StandInDevice* const device = new StandInDevice;
  return *device;
}

}  // namespace

CollectiveDevice* Device() { return &TheDevice(); }
bool Idle() { return under_way == 0; }
int LiveAllocations() { return TheDevice().live(); }

void Enqueue(kernels::Stream stream, std::function<void()> work) {
  if (stream == nullptr) return work();  // nobody queues anything on the default stream of a test
  Of(stream)->Add(std::move(work));
}

}  // namespace lockstep::stand_in
