// chaos: faults on purpose, and what they cost the job.
#include <signal.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/cli/chaos_report.h"
#include "client/cli/chaos_timeline.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/job_commands.h"
#include "client/cli/local_cluster.h"
#include "client/render/progress.h"
#include "client/render/text.h"
#include "common/base/proto_time.h"
#include "common/process/child.h"
#include "common/spec/chaos_plan.h"
#include "common/spec/text_names.h"

namespace lockstep {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(20), kDrainPatience = absl::Seconds(15);

bool IsFinal(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

std::string Kind(v1::FaultKind kind) { return EnumText(*v1::FaultKind_descriptor(), kind); }

absl::StatusOr<std::string> ReadWhole(const std::string& path) {
  if (std::filesystem::is_directory(path)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": is a directory; expected a plan of faults in YAML"));
  }
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return absl::NotFoundError(absl::StrCat(path, ": cannot be read; expected a plan of faults in YAML"));
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// Workers that the plan adds, on this machine. They end with this object.
class AddedWorkers {
 public:
  ~AddedWorkers() {
    for (const auto& worker : workers_) worker->Signal(SIGTERM).IgnoreError();
    for (const auto& worker : workers_) worker->WaitUntilEnded(kDrainPatience);
    workers_.clear();
    std::error_code error;
    if (!folder_.empty()) std::filesystem::remove_all(folder_, error);
  }

  // The new worker's name.
  absl::StatusOr<std::string> Add(const GlobalOptions& global, const std::string& binaries) {
    ASSIGN_OR_RETURN(const std::string program, FindBinary("lockstep-worker", binaries));
    if (folder_.empty()) {
      std::string folder = std::filesystem::temp_directory_path() / "lockstep-chaos-XXXXXX";
      if (::mkdtemp(folder.data()) == nullptr) {
        return absl::ErrnoToStatus(errno, absl::StrCat("cannot make ", folder));
      }
      folder_ = folder;
    }
    const std::string name = absl::StrCat("chaos-", ::getpid(), "-", workers_.size() + 1);
    Child::Options options;
    options.argv = {program,
                    "--coordinator",
                    global.coordinator,
                    "--name",
                    name,
                    "--cpu-slots",
                    "1",
                    "--data-dir",
                    absl::StrCat(folder_, "/", name),
                    "--metrics-listen",
                    "",
                    "--log-level",
                    "off",
                    "--allow-chaos"};
    for (std::string& argument : global.access.Arguments()) options.argv.push_back(std::move(argument));
    options.parent_death_signal = SIGKILL;
    ASSIGN_OR_RETURN(auto child, Child::Spawn(options));
    workers_.push_back(std::move(child));
    return name;
  }

 private:
  std::string folder_;
  std::vector<std::unique_ptr<Child>> workers_;
};

class ChaosCommand : public JobCommand {
 public:
  std::string name() const override { return "chaos"; }
  std::string summary() const override {
    return "Do faults to a running job on purpose, and say what each cost it";
  }
  std::string examples() const override {
    return "lockstep chaos digits --plan plan.yaml\n"
           "lockstep chaos digits --kill-mtbf 30s --for 5m --seed 1\n"
           "lockstep chaos digits --plan plan.yaml -o json     for scripts; times in seconds";
  }
  std::string notes() const override {
    return "What it prints, by what this client heard and when:\n"
           "  DETECTION   from the fault until the coordinator says that the job has changed\n"
           "  REGROUP     from then until it runs on: each member of the next generation has done a step\n"
           "  NEXT STEP   from the fault until then: both together\n"
           "  LOST STEPS  whole steps done again, as far as the job's progress shows\n"
           "  LOST TIME   LOST STEPS times the slowest rank's time for a step before the fault\n"
           "  -           not known: it did not happen, or nobody said";
  }
  void Declare(Flags* flags) override {
    JobCommand::Declare(flags);
    flags->Text(
        "--plan", &plan_file_,
        "Faults to do, a YAML file: kill, stop, corrupt, kill_worker, drain, cut, kill_coordinator, add",
        "FILE");
    flags->Time("--kill-mtbf", &mtbf_, "Instead: kill a trainer now and then, with this mean time between");
    flags->Time("--for", &length_, "How long, with --kill-mtbf (default 5m)");
    flags->Number("--seed", &seed_, uint64_t{0}, std::numeric_limits<uint64_t>::max(),
                  "Of the times and the workers that are drawn (default 1)");
    flags->Time("--patience", &patience_, "How long to wait for the job's next step at the end (default 1m)");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::ChaosPlan plan, Plan());
    Cancellation stop;
    const Cancellation::Hook interrupted(&session->interrupted(), [&stop] { stop.Cancel(); });
    ChaosTimeline timeline;
    absl::Status watched;
    std::atomic<bool> over = false;
    const auto watcher_client = session->MakeClient(session->options().coordinator, &stop);
    std::thread watcher([&] {
      watched = watcher_client->WatchJob(job_, [&timeline](const v1::Job& job) {
        timeline.Add(job, absl::Now());
        return true;
      });
      over = true;
    });
    v1::ChaosReport report;
    const absl::Status done = Do(session, plan, timeline, over, stop, &report);
    const bool was_interrupted = session->interrupted().cancelled();
    stop.Cancel();
    watcher.join();
    if (timeline.last().id().empty() && !absl::IsCancelled(watched)) RETURN_IF_ERROR(watched);
    RETURN_IF_ERROR(done);
    session->err() << StateLine(timeline.last(), session->err_style()) << std::endl;
    AddTotals(&report);
    session->Print(report, ChaosTable(report));
    if (was_interrupted) return kExitNotFinished;
    return IsFinal(timeline.last().state()) ? ExitCodeOf(timeline.last().state()) : kExitSucceeded;
  }

 private:
  absl::StatusOr<v1::ChaosPlan> Plan() const {
    const bool random = mtbf_ > absl::ZeroDuration();
    if (random == !plan_file_.empty()) {
      return absl::InvalidArgumentError("expected either --plan FILE or --kill-mtbf DURATION");
    }
    if (random) return RandomKills(mtbf_, length_, seed_);
    ASSIGN_OR_RETURN(const std::string yaml, ReadWhole(plan_file_));
    return ParseChaosPlan(yaml, plan_file_);
  }

  absl::Status Do(Session* session, const v1::ChaosPlan& plan, const ChaosTimeline& timeline,
                  const std::atomic<bool>& over, Cancellation& stop, v1::ChaosReport* report) {
    while (!over && timeline.last().state() != v1::JOB_STATE_RUNNING) {
      if (!stop.SleepFor(kLook)) return absl::OkStatus();
    }
    report->set_seed(seed_);
    const absl::Time start = absl::Now();
    std::mt19937_64 random(seed_);
    AddedWorkers added;
    std::vector<absl::Time> done;
    for (const v1::PlannedFault& planned : plan.faults()) {
      if (!SleepUntil(start + FromProto(planned.at()), over, stop)) break;
      v1::FaultOutcome* outcome = report->add_faults();
      *outcome->mutable_planned() = planned;
      const absl::Time now = absl::Now();
      const absl::Status status = Inject(session, timeline, &random, &added, outcome->mutable_planned());
      session->err() << absl::FormatTime("%H:%M:%E3S ", now, absl::UTCTimeZone()) << Kind(planned.fault())
                     << (outcome->planned().worker().empty() ? ""
                                                             : " " + Printable(outcome->planned().worker()))
                     << (status.ok() ? "" : ": " + std::string(status.message())) << std::endl;
      // A daemon that allows no chaos, or a name that is nobody's, will not change its mind.
      if (report->faults_size() == 1) RETURN_IF_ERROR(status);
      if (status.ok()) {
        done.push_back(now);
      } else {
        outcome->set_problem(status.message().empty() ? status.ToString() : std::string(status.message()));
      }
    }
    if (!done.empty()) {
      const absl::Time give_up = done.back() + patience_;
      while (!over && absl::Now() < give_up && !timeline.OutcomeOf(done.back()).has_lost_steps()) {
        if (!stop.SleepFor(kLook)) break;
      }
    }
    const std::vector<v1::FaultOutcome> outcomes = timeline.OutcomesOf(done);
    int next = 0;
    for (v1::FaultOutcome& outcome : *report->mutable_faults()) {
      if (outcome.problem().empty()) outcome.MergeFrom(outcomes[next++]);
    }
    return absl::OkStatus();
  }

  // False: the job is over, or an interruption came.
  static bool SleepUntil(absl::Time time, const std::atomic<bool>& over, Cancellation& stop) {
    while (absl::Now() < time) {
      if (over || !stop.SleepFor(std::min(kLook, time - absl::Now()))) return false;
    }
    return !over;
  }

  // Does it, and puts down whom it hit.
  absl::Status Inject(Session* session, const ChaosTimeline& timeline, std::mt19937_64* random,
                      AddedWorkers* added, v1::PlannedFault* planned) {
    if (planned->fault() == v1::FAULT_KIND_ADD) {
      ASSIGN_OR_RETURN(const std::string name,
                       added->Add(session->options(), session->environment().variable("LOCKSTEP_BIN_DIR")));
      planned->set_worker(name);
      return absl::OkStatus();
    }
    v1::Fault fault;
    fault.set_kind(planned->fault());
    *fault.mutable_duration() = planned->duration();
    const v1::Job job = timeline.last();
    const uint64_t drawn =
        (*random)();  // also where it is not used, so that a plan's later draws stay the same
    if (planned->worker().empty() && planned->fault() != v1::FAULT_KIND_KILL_COORDINATOR) {
      if (job.members().empty())
        return absl::FailedPreconditionError("nobody works for the job at the moment");
      const v1::JobMember& member =
          job.members(static_cast<int>(drawn % static_cast<uint64_t>(job.members_size())));
      planned->set_worker(member.worker());
      fault.set_device(member.device());
    }
    fault.set_worker(planned->worker());
    return session->client().InjectFault(fault);
  }

  std::string plan_file_;
  absl::Duration mtbf_, length_ = absl::Minutes(5), patience_ = absl::Minutes(1);
  uint64_t seed_ = 1;
};

}  // namespace

std::unique_ptr<Command> MakeChaosCommand() { return std::make_unique<ChaosCommand>(); }

}  // namespace lockstep
