// lockstep-trainer: one process per device, started and fed by lockstep-worker. Not meant to be run by hand.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "common/flags/command_line.h"
#include "lockstep/v1/trainer.pb.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"
#include "worker/control/channel.h"
#include "worker/engine/device/device_profile.h"
#include "worker/engine/engine.h"
#include "worker/trainer/loop.h"
#include "worker/trainer/mailbox.h"

int main(int argc, char** argv) {
  lockstep::CommandLine line(
      "lockstep-trainer",
      "Computes for one device. lockstep-worker starts it; it speaks to it over an inherited socket.");
  int control_fd = -1, slot = 0;
  lockstep::TrainerLoop::Options options;
  lockstep::Flags& takes = line.flags();
  takes.Number("--control-fd", &control_fd, 0, 1 << 20, "inherited socket to the agent");
  takes.Number("--slot", &slot, 0, 1 << 20, "number of the device on this node");
  std::string device = "cpu";
  takes.Choice("--device", &device, {"cpu", "gpu"}, "what to compute on; gpu: the first that CUDA shows");
  takes.Text("--host", &options.host, "address that other trainers can reach this one at", "HOST");
  takes.Number("--threads", &options.threads, 1, 1024, "threads to compute with");
  if (const auto exit = line.Parse(argc, argv)) return lockstep::Leave(*exit);

  spdlog::set_default_logger(spdlog::stderr_logger_mt("trainer"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of the call, not the end of the process
  std::signal(SIGXFSZ, SIG_IGN);
  setenv("OMP_NUM_THREADS", "1", 0);
  lockstep::engine::PrepareComputeThread();
  options.profile = lockstep::engine::CurrentProfile();
  if (device == "gpu") {
    const auto profile = lockstep::engine::DeviceProfile(0);
    if (!profile.ok()) {
      std::fprintf(stderr, "lockstep-trainer: %s\n", std::string(profile.status().message()).c_str());
      return 1;
    }
    options.profile = *profile;
  }

  lockstep::Channel channel(control_fd);
  lockstep::v1::FromTrainer ready;
  *ready.mutable_ready()->mutable_profile() = options.profile;
  if (const absl::Status status = channel.Send(ready); !status.ok()) {
    std::fprintf(stderr,
                 "lockstep-trainer: fd %d is no socket to an agent (%s); start lockstep-worker instead\n",
                 control_fd, std::string(status.message()).c_str());
    return 2;
  }
  {
    lockstep::Mailbox mailbox(&channel);
    lockstep::TrainerLoop loop(options, &mailbox, &channel, mailbox.WaitForAssignment());
    loop.Run();
  }
  return 0;
}
