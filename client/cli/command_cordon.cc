// cordon and uncordon: devices taken out of service, and put back.
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/text.h"

namespace lockstep {
namespace {

class OnWorker : public Command {
 public:
  void Declare(Flags* flags) override {
    flags->Positional("WORKER", &worker_, "The worker's name, as `lockstep workers` lists it");
    flags->Text("--device", &device_, "One of its devices alone, such as cpu:0", "DEVICE");
  }

 protected:
  static std::string Name(const v1::Cordon& cordon) {
    const std::string worker = absl::StrCat("worker ", Printable(cordon.worker()));
    return cordon.device().empty() ? worker
                                   : absl::StrCat("device ", Printable(cordon.device()), " of ", worker);
  }

  std::string worker_, device_;
};

class CordonCommand : public OnWorker {
 public:
  std::string name() const override { return "cordon"; }
  std::string summary() const override {
    return "Take a worker or a device out of service; its jobs leave at their next step";
  }
  std::string examples() const override {
    return "lockstep cordon node-3 --reason 'memory test tonight'\n"
           "lockstep cordon node-3 --device cpu:1";
  }
  void Declare(Flags* flags) override {
    OnWorker::Declare(flags);
    flags->Text("--reason", &reason_, "For those who read `lockstep workers`", "TEXT");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::Cordon cordon,
                     session->client().CordonWorker(worker_, device_, reason_.empty() ? "by hand" : reason_));
    session->err() << Name(cordon) << " gets no work until `lockstep uncordon`" << std::endl;
    session->Print(cordon, "");
    return kExitSucceeded;
  }

 private:
  std::string reason_;
};

class UncordonCommand : public OnWorker {
 public:
  std::string name() const override { return "uncordon"; }
  std::string summary() const override {
    return "Put a worker or a device back into service, also one that was quarantined";
  }
  std::string examples() const override {
    return "lockstep uncordon node-3\nlockstep uncordon node-3 --device cpu:1";
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::UncordonWorkerResponse removed,
                     session->client().UncordonWorker(worker_, device_));
    for (const v1::Cordon& cordon : removed.cordons()) {
      session->err() << Name(cordon) << " is back in service (it was out: " << Printable(cordon.reason())
                     << ")" << std::endl;
    }
    session->Print(removed, "");
    return kExitSucceeded;
  }
};

}  // namespace

std::unique_ptr<Command> MakeCordonCommand() { return std::make_unique<CordonCommand>(); }
std::unique_ptr<Command> MakeUncordonCommand() { return std::make_unique<UncordonCommand>(); }

}  // namespace lockstep
