#include "client/render/views.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "client/render/progress.h"
#include "common/spec/message_text.h"
#include "common/spec/text_names.h"

namespace lockstep {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string ProgressCell(const v1::Job& job) {
  const auto& progress = job.progress();
  if (progress.total_steps() <= 0) return "-";
  return absl::StrFormat(
      "%.0f%%", 100.0 * static_cast<double>(progress.step()) / static_cast<double>(progress.total_steps()));
}

// The one number people look for.
std::string HeadlineMetric(const google::protobuf::Map<std::string, double>& metrics) {
  for (const char* name :
       {"test/perplexity", "test/accuracy", "test/rmse", "test/loss", "validation/perplexity",
        "validation/accuracy", "validation/rmse", "validation/loss"}) {
    const auto at = metrics.find(name);
    if (at != metrics.end()) {
      return absl::StrCat(absl::StrReplaceAll(name, {{"/", " "}}), " ", NumberText(at->second));
    }
  }
  return "-";
}

std::string Devices(const v1::Job& job) {
  if (job.members().empty()) return "-";
  std::vector<std::string> members;
  for (const auto& member : job.members())
    members.push_back(Printable(absl::StrCat(member.worker(), " ", member.device())));
  return absl::StrJoin(members, ", ");
}

std::string Profile(const v1::NumericProfile& profile) {
  return Printable(absl::StrCat(profile.device_kind(), ", ", profile.device_model(), ", ",
                                profile.instruction_set(), ", ", profile.math_library(), ", arithmetic ",
                                profile.arithmetic_revision()));
}

std::string Indented(const std::string& text, const std::string& indent) {
  std::string out;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    if (!line.empty()) absl::StrAppend(&out, indent, line, "\n");
  }
  return out;
}

std::string MetricsTable(const google::protobuf::Map<std::string, double>& metrics) {
  const std::map<std::string, double> sorted(metrics.begin(), metrics.end());
  Rows rows;
  for (const auto& [name, value] : sorted) {
    const bool fraction = absl::StrContains(name, "accuracy") || absl::StrContains(name, "precision") ||
                          absl::StrContains(name, "recall") || absl::StrContains(name, "f1");
    rows.push_back({Printable(absl::StrReplaceAll(name, {{"/", " "}})),
                    fraction ? FractionText(value) : NumberText(value)});
  }
  return TableText(rows);
}

void AddTime(const char* name, bool has, const google::protobuf::Timestamp& time, absl::Time now,
             Rows* rows) {
  if (!has) return;
  rows->push_back(
      {name, absl::StrCat(absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(time), absl::LocalTimeZone()), " (",
                          AgeText(time, now), ")")});
}

// Where there are no namespaces, nobody need read of them.
bool IsElsewhere(const v1::Job& job) { return !job.namespace_().empty() && job.namespace_() != "default"; }

}  // namespace

std::string ModelSummaryTable(const v1::ModelSummary& model) {
  Rows rows = {{"LAYER", "KIND", "OUTPUT", "PARAMETERS", "FLOPS"}};
  for (const auto& layer : model.layers()) {
    rows.push_back({Printable(layer.name()), Printable(layer.kind()),
                    absl::StrJoin(layer.output_shape(), "x"), CountText(layer.parameters()),
                    CountText(static_cast<int64_t>(layer.forward_flops()))});
  }
  rows.push_back({"total", "", "", CountText(model.parameters()),
                  CountText(static_cast<int64_t>(model.forward_flops()))});
  std::string out = TableText(rows, {false, false, true, true, true});
  absl::StrAppend(&out, "FLOPS are of one sample's forward pass. Memory of rank 0: activations ",
                  BytesText(model.activation_bytes()), ", weights, gradients, optimizer and checkpoint ",
                  BytesText(model.state_bytes()), "\n");
  return out;
}

std::string JobsView(const v1::ListJobsResponse& jobs, absl::Time now) {
  Rows rows = {{"ID", "NAME", "STATE", "PROGRESS", "RESULT", "DEVICES", "AGE"}};
  const bool several = std::any_of(jobs.jobs().begin(), jobs.jobs().end(), IsElsewhere);
  if (several) rows[0].insert(rows[0].begin() + 1, "NAMESPACE");
  for (const auto& job : jobs.jobs()) {
    rows.push_back({Printable(job.id()), Printable(job.name()), StateText(job.state()), ProgressCell(job),
                    HeadlineMetric(job.metrics()), absl::StrCat(job.members_size()),
                    AgeText(job.submitted_at(), now)});
    if (several) rows.back().insert(rows.back().begin() + 1, Printable(job.namespace_()));
  }
  return TableText(rows);
}

std::string JobView(const v1::Job& job, absl::Time now, const Style& style) {
  Rows rows = {{"Name", Printable(job.name())},
               {"Id", Printable(job.id())},
               {"State", PaintedState(job.state(), style)}};
  if (IsElsewhere(job)) rows.insert(rows.begin() + 2, {"Namespace", Printable(job.namespace_())});
  if (!job.reason().empty()) rows.push_back({"Reason", Printable(job.reason())});
  if (job.pause_requested()) rows.push_back({"Requested", "pause"});
  if (job.cancel_requested() && !IsFinal(job.state())) rows.push_back({"Requested", "cancellation"});
  AddTime("Submitted", job.has_submitted_at(), job.submitted_at(), now, &rows);
  AddTime("Started", job.has_started_at(), job.started_at(), now, &rows);
  AddTime("Finished", job.has_finished_at(), job.finished_at(), now, &rows);
  if (job.has_progress()) {
    Style whole;
    whole.width = 0;
    v1::Job nameless = job;
    nameless.clear_name();
    rows.push_back(
        {"Progress", std::string(absl::StripAsciiWhitespace(ProgressLine(nameless, whole, false)))});
  }
  rows.push_back({"Generation", absl::StrCat(job.generation())});
  rows.push_back({"Devices", Devices(job)});
  for (const auto& member : job.members()) {
    if (member.straggler().empty() || job.state() != v1::JOB_STATE_RUNNING) continue;
    rows.push_back({"Straggler", Printable(absl::StrCat("rank ", member.rank(), " on ", member.worker(), " ",
                                                        member.device(), ": ", member.straggler()))});
  }
  rows.push_back(
      {"Dataset", Printable(absl::StrCat(job.dataset_version(), "  ", job.dataset_fingerprint()))});
  if (job.has_profile()) rows.push_back({"Profile", Profile(job.profile())});
  if (!job.model_path().empty()) rows.push_back({"Model", Printable(job.model_path())});
  if (!job.model_sha256().empty()) rows.push_back({"SHA-256", job.model_sha256()});
  std::string out = TableText(rows);
  if (job.model_summary().layers_size() > 0) {
    absl::StrAppend(&out, "Layers\n", Indented(ModelSummaryTable(job.model_summary()), "  "));
  }
  if (!job.metrics().empty()) absl::StrAppend(&out, "Metrics\n", Indented(MetricsTable(job.metrics()), "  "));
  if (job.has_confusion_matrix()) {
    absl::StrAppend(&out, "Confusion matrix\n", Indented(ConfusionMatrixView(job.confusion_matrix()), "  "));
  }
  absl::StrAppend(&out, "Spec\n", Indented(Printable(MessageToYaml(job.spec())), "  "));
  return out;
}

std::string ResultView(const v1::Job& job, const Style& style) {
  std::string out = absl::StrCat(style.Bold(Printable(job.name())), " ", PaintedState(job.state(), style));
  if (job.has_started_at() && job.has_finished_at()) {
    absl::StrAppend(&out, " after ", DurationText(ToTime(job.finished_at()) - ToTime(job.started_at())),
                    " of training");
  }
  if (!job.reason().empty()) absl::StrAppend(&out, ": ", Printable(job.reason()));
  out += "\n";
  google::protobuf::Map<std::string, double> test;
  for (const auto& [name, value] : job.metrics()) {
    if (absl::StartsWith(name, "test/")) test[name] = value;
  }
  return out + Indented(MetricsTable(test), "  ");
}

std::string ConfusionMatrixView(const v1::ConfusionMatrix& matrix) {
  const auto classes = static_cast<size_t>(matrix.classes_size());
  if (static_cast<size_t>(matrix.counts_size()) != classes * classes) return "(malformed)\n";
  Rows rows(1);
  rows[0].push_back("truth \\ predicted");
  std::vector<bool> right = {false};
  for (const auto& name : matrix.classes()) {
    rows[0].push_back(Printable(name));
    right.push_back(true);
  }
  for (size_t i = 0; i < classes; ++i) {
    auto& row = rows.emplace_back();
    row.push_back(Printable(matrix.classes(static_cast<int>(i))));
    for (size_t k = 0; k < classes; ++k) {
      row.push_back(absl::StrCat(matrix.counts(static_cast<int>(i * classes + k))));
    }
  }
  return TableText(rows, right);
}

// What tells a device from others in a line of a table.
const std::string& KindOf(const v1::NumericProfile& profile) {
  return profile.device_kind() == "gpu" ? profile.device_model() : profile.instruction_set();
}

std::string WorkersView(const v1::ListWorkersResponse& workers) {
  Rows rows = {{"NAME", "HOST", "STATE", "DEVICE", "JOB", "RANK", "KIND", "VERSION"}};
  for (const auto& worker : workers.workers()) {
    const std::string state = EnumText(*v1::WorkerState_descriptor(), worker.state());
    if (worker.devices().empty()) {
      rows.push_back({Printable(worker.name()), Printable(worker.host()), state, "-", "-", "-", "-",
                      Printable(worker.version())});
    }
    for (const auto& device : worker.devices()) {
      const bool busy = !device.job_id().empty();
      rows.push_back(
          {Printable(worker.name()), Printable(worker.host()),
           device.cordoned().empty() ? state : absl::StrCat("CORDONED: ", Printable(device.cordoned())),
           Printable(device.device().id()),
           busy             ? Printable(device.job_id())
           : device.taken() ? "(of another namespace)"
                            : "-",
           busy ? absl::StrCat(device.rank()) : "-", Printable(KindOf(device.device().profile())),
           Printable(worker.version())});
    }
  }
  return TableText(rows);
}

std::string CheckpointsView(const v1::ListCheckpointsResponse& checkpoints, absl::Time now) {
  Rows rows = {{"STEP", "EPOCH", "WRITTEN", "SIZE", "BEST", "WHOLE", "VALIDATION", "PATH"}};
  for (const auto& checkpoint : checkpoints.checkpoints()) {
    rows.push_back({absl::StrCat(checkpoint.step()), absl::StrFormat("%.2f", checkpoint.epoch()),
                    AgeText(checkpoint.written_at(), now), BytesText(checkpoint.bytes()),
                    checkpoint.best() ? "best" : "",
                    checkpoint.whole() ? "yes" : absl::StrCat("NO: ", Printable(checkpoint.problem())),
                    HeadlineMetric(checkpoint.metrics()), Printable(checkpoint.path())});
  }
  return TableText(rows, {true, true});
}

std::string AuditView(const v1::AuditJobResponse& audit, const Style& style) {
  std::string text;
  if (audit.proved()) {
    text = absl::StrCat(style.Green("proved"), ": ");
    if (audit.epochs() > 0) {
      absl::StrAppend(&text, "each of ", CountText(audit.samples()),
                      " samples was used exactly once in each of ", CountText(audit.epochs()),
                      audit.epochs() == 1 ? " epoch" : " epochs");
      if (audit.samples_of_last() > 0) absl::StrAppend(&text, ", and ");
    }
    if (audit.samples_of_last() > 0 || audit.epochs() == 0) {
      absl::StrAppend(&text, CountText(audit.samples_of_last()), " of ", CountText(audit.samples()),
                      " samples once in the epoch under way");
    }
    absl::StrAppend(&text, " (", CountText(audit.steps()), " steps)\n");
  } else {
    text = absl::StrCat(style.Red("NOT proved"), ", after ", CountText(audit.steps()), " steps:\n");
    for (const std::string& problem : audit.problems())
      absl::StrAppend(&text, "  ", Printable(problem), "\n");
  }
  absl::StrAppend(&text, "from ", Printable(audit.source()), "/ledger.csv\n");
  return text;
}

std::string DatasetsView(const v1::ListDatasetsResponse& datasets, absl::Time now) {
  Rows rows = {{"NAME", "VERSION", "FORMAT", "TASK", "RECORDS", "COLUMNS", "SIZE", "REGISTERED", "PATH"}};
  for (const auto& dataset : datasets.datasets()) {
    rows.push_back({Printable(dataset.name()), absl::StrCat(dataset.version()),
                    EnumText(*v1::DatasetFormat_descriptor(), dataset.format()),
                    EnumText(*v1::Task_descriptor(), dataset.task()), CountText(dataset.records()),
                    absl::StrCat(dataset.columns_size()), BytesText(dataset.bytes()),
                    AgeText(dataset.registered_at(), now), Printable(dataset.path())});
  }
  return TableText(rows, {false, true, false, false, true, true, true});
}

std::string RecordsText(const v1::Dataset& dataset) {
  if (dataset.format() == v1::DATASET_FORMAT_TEXT) return "characters";
  return dataset.format() == v1::DATASET_FORMAT_TOKENS ? "tokens" : "records";
}

std::string DatasetView(const v1::Dataset& dataset, absl::Time now) {
  Rows rows = {{"Name", Printable(absl::StrCat(dataset.name(), "@", dataset.version()))},
               {"Path", Printable(dataset.path())}};
  if (!dataset.labels_path().empty()) rows.push_back({"Labels", Printable(dataset.labels_path())});
  if (dataset.files_size() > 1) rows.push_back({"Files", absl::StrCat(dataset.files_size())});
  if (!dataset.tokenizer_files().empty()) {
    rows.push_back({"Tokenizer", Printable(absl::StrJoin(dataset.tokenizer_files(), ", "))});
  }
  rows.push_back({"Format", EnumText(*v1::DatasetFormat_descriptor(), dataset.format())});
  rows.push_back({"Task", EnumText(*v1::Task_descriptor(), dataset.task())});
  if (!dataset.label().empty()) rows.push_back({"Label", Printable(dataset.label())});
  if (!dataset.classes().empty())
    rows.push_back({"Classes", Printable(absl::StrJoin(dataset.classes(), ", "))});
  std::string records = RecordsText(dataset);
  records[0] = absl::ascii_toupper(static_cast<unsigned char>(records[0]));
  rows.push_back({records, CountText(dataset.records())});
  rows.push_back({"Size", BytesText(dataset.bytes())});
  rows.push_back({"Fingerprint", dataset.fingerprint()});
  AddTime("Registered", dataset.has_registered_at(), dataset.registered_at(), now, &rows);
  Rows columns = {{"COLUMN", "TYPE", "MISSING", "DISTINCT", "MINIMUM", "MAXIMUM", "MEAN"}};
  for (const auto& column : dataset.columns()) {
    const bool numeric = column.type() == v1::COLUMN_TYPE_NUMERIC;
    const bool categorical = column.type() == v1::COLUMN_TYPE_CATEGORICAL;
    columns.push_back({Printable(column.name()), EnumText(*v1::ColumnType_descriptor(), column.type()),
                       absl::StrCat(column.missing()), categorical ? absl::StrCat(column.distinct()) : "-",
                       numeric ? NumberText(column.minimum()) : "-",
                       numeric ? NumberText(column.maximum()) : "-",
                       numeric ? NumberText(column.mean()) : "-"});
  }
  return absl::StrCat(TableText(rows), "\n",
                      TableText(columns, {false, false, true, true, true, true, true}));
}

std::string ModelsView(const v1::ListModelsResponse& models, absl::Time now) {
  Rows rows = {{"JOB", "NAME", "RESULT", "SIZE", "AGE", "SHA-256", "PATH"}};
  for (const auto& model : models.models()) {
    rows.push_back({Printable(model.job_id()), Printable(model.name()), HeadlineMetric(model.metrics()),
                    BytesText(model.bytes()), AgeText(model.created_at(), now), model.sha256().substr(0, 12),
                    Printable(model.path())});
  }
  return TableText(rows);
}

std::string LogLineView(const v1::LogLine& line, absl::TimeZone zone) {
  return absl::StrCat(absl::FormatTime("%H:%M:%E3S", ToTime(line.time()), zone), " ",
                      Printable(line.worker()), "/", line.rank(), " ", Printable(line.text()), "\n");
}

}  // namespace lockstep
