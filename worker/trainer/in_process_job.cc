#include "worker/trainer/in_process_job.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/engine/device/device_profile.h"
#include "worker/engine/engine.h"
#include "worker/trainer/loop.h"
#include "worker/trainer/mailbox.h"

namespace lockstep {

struct InProcessJob::Trainer {
  std::unique_ptr<Channel> agent_side, trainer_side;
  std::thread server, trainer;
  v1::AssignmentStatus last;
  bool ended = false;
};

InProcessJob::InProcessJob(Options options) : options_(std::move(options)) {}

InProcessJob::~InProcessJob() {
  for (auto& trainer : trainers_) {
    trainer->trainer.join();
    trainer->agent_side->Shutdown();
    trainer->server.join();
  }
}

void InProcessJob::StartGeneration(int world, bool abandon) {
  std::lock_guard lock(mutex_);
  ++generation_;
  world_ = world;
  const int survivors = static_cast<int>(trainers_.size());
  for (int rank = survivors; rank < world; ++rank) {
    Trainer& trainer = *trainers_.emplace_back(std::make_unique<Trainer>());
    const auto pair = Channel::MakePair();
    trainer.agent_side = std::make_unique<Channel>(pair->first);
    trainer.trainer_side = std::make_unique<Channel>(pair->second);
    trainer.server = std::thread([this, rank] { Serve(rank); });
    trainer.trainer = std::thread([this, &trainer] {
      engine::PrepareComputeThread();
      Mailbox mailbox(trainer.trainer_side.get());
      TrainerLoop::Options loop_options;
      loop_options.profile = engine::CurrentProfile();
      if (options_.on_gpu) loop_options.profile = *engine::DeviceProfile(0);
      TrainerLoop loop(loop_options, &mailbox, trainer.trainer_side.get(), mailbox.WaitForAssignment());
      loop.Run();
    });
  }
  survivors_ = survivors;
  abandon_ = abandon;
  // As the coordinator does: who is at work hears of it once the newcomers are prepared.
  const bool newcomers_first = !abandon && survivors > 0 && survivors < world;
  Order(newcomers_first ? survivors : 0, world);
  told_ = !newcomers_first;
}

void InProcessJob::Order(int first, int last) {
  for (int rank = first; rank < last; ++rank) {
    v1::ToTrainer message;
    v1::Assignment& assignment = *message.mutable_assignment();
    assignment.set_job_id("job");
    assignment.set_job_name("test");
    assignment.set_generation(generation_);
    assignment.set_rank(rank);
    assignment.set_world(world_);
    assignment.set_device(absl::StrCat(options_.on_gpu ? "gpu:" : "cpu:", rank));
    *assignment.mutable_spec() = options_.spec;
    *assignment.mutable_dataset() = options_.dataset;
    assignment.set_job_directory(options_.directory);
    assignment.set_restore_from(options_.restore_from);
    assignment.set_weights_only(options_.weights_only);
    assignment.set_abandon(abandon_);
    if (!options_.required_profile.device_kind().empty())
      *assignment.mutable_required_profile() = options_.required_profile;
    for (int survivor = 0; survivor < survivors_; ++survivor) assignment.add_survivors(survivor);
    (void)trainers_[rank]->agent_side->Send(message);
  }
}

void InProcessJob::Stop(v1::Stop::Mode mode) {
  std::lock_guard lock(mutex_);
  for (auto& trainer : trainers_) {
    v1::ToTrainer message;
    message.mutable_stop()->set_mode(mode);
    (void)trainer->agent_side->Send(message);
  }
}

void InProcessJob::Serve(int index) {
  Channel* channel;
  {
    std::lock_guard lock(mutex_);
    channel = trainers_[index]->agent_side.get();
  }
  while (true) {
    v1::FromTrainer message;
    if (!channel->Receive(&message).ok()) return;
    if (on_message) on_message(index, message);
    std::lock_guard lock(mutex_);
    if (message.has_rendezvous()) {
      auto& addresses = addresses_[message.rendezvous().generation()];
      addresses[message.rendezvous().rank()] = message.rendezvous().address();
      if (!told_ && static_cast<int>(addresses.size()) == world_ - survivors_) {
        told_ = true;
        Order(0, survivors_);
      }
      if (static_cast<int>(addresses.size()) == world_) {
        v1::ToTrainer ready;
        ready.mutable_rendezvous()->set_generation(message.rendezvous().generation());
        for (const auto& [rank, address] : addresses) ready.mutable_rendezvous()->add_addresses(address);
        for (auto& trainer : trainers_) (void)trainer->agent_side->Send(ready);
      }
    }
    for (const v1::MetricPoint& point : message.progress().points()) points_[point.step()] = point;
    if (message.has_status()) {
      trainers_[index]->last = message.status();
      const v1::AssignmentState state = message.status().state();
      trainers_[index]->ended =
          state >= v1::ASSIGNMENT_STATE_SUCCEEDED && state != v1::ASSIGNMENT_STATE_INTERRUPTED;
      changed_.notify_all();
    }
  }
}

std::vector<v1::AssignmentStatus> InProcessJob::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] {
    for (const auto& trainer : trainers_) {
      if (!trainer->ended) return false;
    }
    return true;
  });
  std::vector<v1::AssignmentStatus> ends;
  for (const auto& trainer : trainers_) ends.push_back(trainer->last);
  return ends;
}

std::map<int64_t, v1::MetricPoint> InProcessJob::points() {
  std::lock_guard lock(mutex_);
  return points_;
}

}  // namespace lockstep
