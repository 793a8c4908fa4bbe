// lockstep-trainer: one process per device, started and fed by lockstep-worker. Not meant to be run by hand.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "CLI/CLI.hpp"
#include "common/base/version.h"
#include "lockstep/v1/trainer.pb.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"
#include "worker/control/channel.h"
#include "worker/engine/engine.h"
#include "worker/trainer/loop.h"
#include "worker/trainer/mailbox.h"

int main(int argc, char** argv) {
  CLI::App app(
      "lockstep-trainer: computes for one device. lockstep-worker starts it; it speaks to it over an "
      "inherited socket.");
  int control_fd = -1, slot = 0;
  lockstep::TrainerLoop::Options options;
  app.add_option("--control-fd", control_fd, "inherited socket to the agent")->required();
  app.add_option("--slot", slot, "number of the device on this node");
  app.add_option("--host", options.host, "address that other trainers can reach this one at");
  app.add_option("--threads", options.threads, "threads to compute with")->check(CLI::Range(1, 1024));
  app.set_version_flag("--version", lockstep::Version());
  CLI11_PARSE(app, argc, argv);

  spdlog::set_default_logger(spdlog::stderr_logger_mt("trainer"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that is gone is an error of the call, not the end of the process
  std::signal(SIGXFSZ, SIG_IGN);
  setenv("OMP_NUM_THREADS", "1", 0);
  lockstep::engine::PrepareComputeThread();
  options.profile = lockstep::engine::CurrentProfile();

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
