#include "worker/trainer/in_process_job.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "worker/engine/device/device_profile.h"
#include "worker/engine/engine.h"
#include "worker/trainer/loop.h"
#include "worker/trainer/mailbox.h"

namespace lockstep {

struct InProcessJob::Trainer {
  std::unique_ptr<Channel> agent_side, trainer_side;
  std::thread server, trainer;
  pid_t process = 0;
  v1::AssignmentStatus last;
  bool ended = false, leaves = false;
  bool dead = false;  // without a word
};

InProcessJob::InProcessJob(Options options) : options_(std::move(options)) {}

InProcessJob::~InProcessJob() {
  for (auto& trainer : trainers_) {
    if (trainer->trainer.joinable()) trainer->trainer.join();
    if (trainer->process > 0) {
      if (!trainer->ended) trainer->agent_side->Shutdown();  // it ends without its agent
      waitpid(trainer->process, nullptr, 0);
    }
    trainer->agent_side->Shutdown();
    trainer->server.join();
  }
}

void InProcessJob::StartGeneration(int world, bool abandon) {
  std::lock_guard lock(mutex_);
  ++generation_;
  world_ = world;
  members_.clear();
  for (size_t i = 0; i < trainers_.size(); ++i) {
    const Trainer& trainer = *trainers_[i];
    if (!trainer.dead && !trainer.leaves && !trainer.last.corrupt()) members_.push_back(static_cast<int>(i));
  }
  const int survivors = static_cast<int>(members_.size());
  for (int rank = survivors; rank < world; ++rank) {
    const int index = static_cast<int>(trainers_.size());
    members_.push_back(index);
    Launch(*trainers_.emplace_back(std::make_unique<Trainer>()), index);
  }
  survivors_ = survivors;
  abandon_ = abandon;
  // As the coordinator does: who is at work hears of it once the newcomers are prepared.
  const bool newcomers_first = !abandon && survivors > 0 && survivors < world;
  Order(newcomers_first ? survivors : 0, world);
  told_ = !newcomers_first;
}

void InProcessJob::Launch(Trainer& trainer, int index) {
  const auto pair = Channel::MakePair();
  trainer.agent_side = std::make_unique<Channel>(pair->first);
  trainer.trainer_side = std::make_unique<Channel>(pair->second);
  trainer.server = std::thread([this, index] { Serve(index); });
  if (options_.program.empty()) {
    trainer.trainer = std::thread([this, &trainer] {
      engine::PrepareComputeThread();
      Mailbox mailbox(trainer.trainer_side.get());
      TrainerLoop::Options loop_options;
      loop_options.profile = engine::CurrentProfile();
      if (options_.on_gpu) loop_options.profile = *engine::DeviceProfile(0);
      TrainerLoop loop(loop_options, &mailbox, trainer.trainer_side.get(), mailbox.WaitForAssignment());
      loop.Run();
    });
    return;
  }
  std::vector<std::string> words = {options_.program, "--control-fd", "3", "--device",
                                    options_.on_gpu ? "gpu" : "cpu"};
  std::vector<std::string> variables;
  for (char** each = environ; *each != nullptr; ++each) variables.emplace_back(*each);
  for (const std::string& each : options_.environment) {
    variables.push_back(absl::StrReplaceAll(each, {{"{trainer}", absl::StrCat(index)}}));
  }
  const auto fault = options_.stand_in.find(index);
  if (fault != options_.stand_in.end()) variables.push_back("LOCKSTEP_STAND_IN=" + fault->second);
  std::vector<char*> arguments, environment;
  for (std::string& word : words) arguments.push_back(word.data());
  for (std::string& variable : variables) environment.push_back(variable.data());
  arguments.push_back(nullptr);
  environment.push_back(nullptr);
  // Above 3, so that the copy is another one, which is not closed on exec.
  const int above = fcntl(trainer.trainer_side->fd(), F_DUPFD_CLOEXEC, 10);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, above, 3);
  const int error = posix_spawn(&trainer.process, options_.program.c_str(), &actions, nullptr,
                                arguments.data(), environment.data());
  posix_spawn_file_actions_destroy(&actions);
  close(above);
  trainer.trainer_side.reset();  // the process's end is the channel's
  if (error != 0) {
    trainer.process = 0;
    trainer.last.set_message(absl::StrCat(options_.program, " could not be started: ", strerror(error)));
  }
}

void InProcessJob::Kill(int trainer) {
  const std::lock_guard<std::mutex> lock(mutex_);
  kill(trainers_[trainer]->process, SIGKILL);
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
    Trainer& trainer = *trainers_[members_[rank]];
    trainer.last.clear_state();  // what it said of the generation before is past
    (void)trainer.agent_side->Send(message);
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

void InProcessJob::Leave(int trainer) {
  std::lock_guard lock(mutex_);
  v1::ToTrainer message;
  message.mutable_stop()->set_mode(v1::Stop::MODE_LEAVE);
  (void)trainers_[trainer]->agent_side->Send(message);
  trainers_[trainer]->leaves = true;
}

void InProcessJob::Corrupt(int trainer) {
  std::lock_guard lock(mutex_);
  v1::ToTrainer message;
  message.mutable_corrupt();
  (void)trainers_[trainer]->agent_side->Send(message);
}

bool InProcessJob::AwaitBreak(int dead) {
  std::unique_lock lock(mutex_);
  int died = 0, ended = 0;
  changed_.wait(lock, [&] {
    died = ended = 0;
    int interrupted = 0;
    for (const auto& trainer : trainers_) {
      died += trainer->dead ? 1 : 0;
      ended += trainer->ended ? 1 : 0;
      interrupted += trainer->last.state() == v1::ASSIGNMENT_STATE_INTERRUPTED ? 1 : 0;
    }
    return ended + interrupted == std::ssize(trainers_) && (died >= dead || interrupted == 0);
  });
  return ended < std::ssize(trainers_);
}

void InProcessJob::Serve(int index) {
  Channel* channel;
  {
    std::lock_guard lock(mutex_);
    channel = trainers_[index]->agent_side.get();
  }
  while (true) {
    v1::FromTrainer message;
    if (!channel->Receive(&message).ok()) {
      std::lock_guard lock(mutex_);
      Trainer& trainer = *trainers_[index];
      if (trainer.ended) return;
      trainer.dead = trainer.ended = true;
      trainer.last.set_state(v1::ASSIGNMENT_STATE_CRASHED);
      changed_.notify_all();
      return;
    }
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
