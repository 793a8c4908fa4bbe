#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/views.h"
#include "common/spec/text_names.h"
#include "google/protobuf/descriptor.h"

namespace lockstep {
namespace {

class JobsCommand : public Command {
 public:
  std::string name() const override { return "jobs"; }
  std::string summary() const override { return "List the jobs, newest first"; }
  std::string examples() const override {
    return "lockstep jobs\nlockstep jobs --state running --state queued\nlockstep jobs --limit 10 -o json";
  }
  void Declare(Flags* flags) override {
    flags->Texts("--state", &states_, "Only jobs in this state; again for more", "STATE");
    flags->Number("--limit", &limit_, 1, 1000000, "At most so many");
  }

  absl::StatusOr<int> Run(Session* session) override {
    std::vector<v1::JobState> states;
    for (const auto& text : states_) {
      v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
      const auto& type = *v1::JobState_descriptor();
      for (int i = 1; i < type.value_count(); ++i) {
        if (EnumText(*type.value(i)) == text) state = static_cast<v1::JobState>(type.value(i)->number());
      }
      if (state == v1::JOB_STATE_UNSPECIFIED) {
        return absl::InvalidArgumentError(
            absl::StrCat("--state: there is no state '", text,
                         "'; queued, starting, running, recovering, paused, succeeded, "
                         "failed and cancelled are"));
      }
      states.push_back(state);
    }
    ASSIGN_OR_RETURN(const auto jobs, session->client().ListJobs(states, limit_));
    session->Print(jobs, JobsView(jobs, absl::Now()));
    return kExitSucceeded;
  }

 private:
  std::vector<std::string> states_;
  int limit_ = 0;
};

}  // namespace

std::unique_ptr<Command> MakeJobsCommand() { return std::make_unique<JobsCommand>(); }

}  // namespace lockstep
