// A trainer for tests of the agent: speaks the control protocol and does as the job's name says (words,
// joined by
// '-'): "crash" (SIGSEGV), "exit3", "flood" (15,000 lines), "succeed", "hang" (after success), "deaf"
// (ignores Stop), "meet" (publishes a rendezvous address and runs once it has the others'), "burst" (progress
// and a checkpoint before its end), "freeze" (a sign of life, then SIGSTOP), "slow" (a step beyond its
// limit). On a GPU its model is what CUDA_VISIBLE_DEVICES shows. FAKE_TRAINER=die, or die-gpu on a GPU, exits
// before it is ready.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "lockstep/v1/trainer.pb.h"
#include "worker/control/channel.h"

namespace lockstep {
namespace {

class FakeTrainer {
 public:
  FakeTrainer(int fd, const char* device) : channel_(fd), device_(device) {}

  int Run() {
    v1::FromTrainer ready;
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    const bool gpu = device_ == "gpu" && visible != nullptr;
    ready.mutable_ready()->mutable_profile()->set_device_kind(device_);
    ready.mutable_ready()->mutable_profile()->set_device_model(gpu ? visible : "fake");
    Send(ready);
    v1::ToTrainer message;
    while (channel_.Receive(&message).ok()) {
      if (message.has_assignment()) Begin(message.assignment());
      if (message.has_rendezvous()) {
        std::fprintf(stderr, "met %d\n", message.rendezvous().addresses_size());
        Report(v1::ASSIGNMENT_STATE_RUNNING, "met");
      }
      if (message.has_stop() && !Wants("deaf")) {
        std::fprintf(stderr, "stopping\n");
        return End(v1::ASSIGNMENT_STATE_STOPPED);
      }
      if (ended_) return 0;
    }
    return 0;
  }

 private:
  bool Wants(const char* word) const { return order_.job_name().find(word) != std::string::npos; }

  void Begin(const v1::Assignment& order) {
    order_ = order;
    std::fprintf(stderr, "begin generation %ld with %s\n", static_cast<long>(order.generation()),
                 order.dataset().path().c_str());
    // Dies without a word of the order: "vanish" the first time, "unread" each time.
    const std::string marker = order.dataset().path() + ".vanished";
    if (Wants("unread") || (Wants("vanish") && ::access(marker.c_str(), F_OK) != 0)) {
      std::fclose(std::fopen(marker.c_str(), "w"));
      ::_exit(1);
    }
    Report(v1::ASSIGNMENT_STATE_STARTING, "");
    if (Wants("meet")) {
      v1::FromTrainer message;
      message.mutable_rendezvous()->set_job_id(order.job_id());
      message.mutable_rendezvous()->set_generation(order.generation());
      message.mutable_rendezvous()->set_rank(order.rank());
      message.mutable_rendezvous()->set_address("blob");
      return Send(message);
    }
    Report(v1::ASSIGNMENT_STATE_RUNNING, "");
    if (Wants("flood")) {
      const std::string padding(100, 'x');
      // Fewer than an agent keeps for a coordinator that is slow (Outbox::Limits).
      for (int i = 0; i < 15'000; ++i) std::fprintf(stderr, "line %d %s\n", i, padding.c_str());
    }
    if (Wants("crash")) {
      for (int i = 0; i < 30; ++i) std::fprintf(stderr, "before the crash %d\n", i);
      std::fprintf(stderr, "last words \xff");  // neither UTF-8 nor ended
      ::signal(SIGSEGV, SIG_DFL);
      ::raise(SIGSEGV);
    }
    if (Wants("exit3")) ::_exit(3);
    if (Wants("freeze") || Wants("slow")) Pulse(Wants("slow") ? 100 : 1);
    if (Wants("freeze")) ::raise(SIGSTOP);
    if (Wants("burst")) Burst();
    if (Wants("succeed")) {
      std::fprintf(stderr, "all done\n");
      End(v1::ASSIGNMENT_STATE_SUCCEEDED);
      std::fprintf(stderr, "after the end\n");
      if (Wants("hang")) {
        while (true) ::pause();
      }
    }
  }

  void Pulse(int working) {
    v1::FromTrainer message;
    message.mutable_pulse()->mutable_working()->set_seconds(working);
    message.mutable_pulse()->mutable_limit()->set_seconds(60);
    Send(message);
  }

  void Burst() {
    for (int step = 1; step <= 50; ++step) {
      v1::FromTrainer message;
      v1::Progress& progress = *message.mutable_progress();
      progress.set_job_id(order_.job_id());
      progress.set_generation(order_.generation());
      progress.mutable_progress()->set_step(step);
      progress.add_points()->set_step(step);
      Send(message);
    }
    v1::FromTrainer checkpoint;
    checkpoint.mutable_checkpoint()->set_job_id(order_.job_id());
    checkpoint.mutable_checkpoint()->mutable_checkpoint()->set_step(50);
    Send(checkpoint);
    v1::FromTrainer times;
    times.mutable_times()->set_compute(2.5);
    times.mutable_times()->set_steps(50);
    times.mutable_times()->set_samples(3200);
    Send(times);
  }

  int End(v1::AssignmentState state) {
    ended_ = true;
    Report(state, "");
    return 0;
  }

  void Report(v1::AssignmentState state, const std::string& text) {
    v1::FromTrainer message;
    v1::AssignmentStatus& status = *message.mutable_status();
    status.set_job_id(order_.job_id());
    status.set_generation(order_.generation());
    status.set_rank(order_.rank());
    status.set_state(state);
    status.set_message(text);
    Send(message);
  }

  void Send(const v1::FromTrainer& message) {
    if (!channel_.Send(message).ok()) ::_exit(0);
  }

  Channel channel_;
  const std::string device_;
  v1::Assignment order_;
  bool ended_ = false;
};

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  int fd = -1;
  const char* device = "cpu";
  for (int i = 1; i + 1 < argc; ++i) {
    if (std::strcmp(argv[i], "--control-fd") == 0) fd = std::atoi(argv[i + 1]);
    if (std::strcmp(argv[i], "--device") == 0) device = argv[i + 1];
  }
  const char* mode = std::getenv("FAKE_TRAINER");
  if (mode != nullptr && (std::strcmp(mode, "die") == 0 || mode == std::string("die-") + device)) {
    std::fprintf(stderr, "libmissing.so: no such file\n");
    return 127;
  }
  return lockstep::FakeTrainer(fd, device).Run();
}
