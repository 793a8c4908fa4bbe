#include <filesystem>

#include "absl/time/clock.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/views.h"
#include "common/spec/spec.h"

namespace lockstep {
namespace {

class ListCommand : public Command {
 public:
  std::string name() const override { return "list"; }
  std::string summary() const override { return "List the registered datasets"; }
  std::string examples() const override { return "lockstep datasets list"; }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto datasets, session->client().ListDatasets());
    session->Print(datasets, DatasetsView(datasets, absl::Now()));
    return kExitSucceeded;
  }
};

class DescribeDatasetCommand : public Command {
 public:
  std::string name() const override { return "describe"; }
  std::string summary() const override { return "A dataset's columns, classes and fingerprint"; }
  std::string examples() const override {
    return "lockstep datasets describe digits\nlockstep datasets describe digits@1 -o yaml";
  }
  void Declare(Flags* flags) override { flags->Positional("DATASET", &dataset_, "name, or name@version"); }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto dataset, session->client().GetDataset(dataset_));
    session->Print(dataset, DatasetView(dataset, absl::Now()));
    return kExitSucceeded;
  }

 private:
  std::string dataset_;
};

class RegisterCommand : public Command {
 public:
  std::string name() const override { return "register"; }
  std::string summary() const override {
    return "Read, check and fingerprint a file or folder (on the coordinator's host) once, for many jobs";
  }
  std::string examples() const override {
    return "lockstep datasets register digits.csv --label digit\n"
           "lockstep datasets register train-images.gz --labels train-labels.gz --name mnist\n"
           "lockstep datasets register books --name novels\n"
           "lockstep datasets register 'tokens/*.bin' --name web --tokenizer gpt2\n"
           "lockstep datasets register people.csv --label income --column zip=categorical --column id=ignore";
  }
  void Declare(Flags* flags) override {
    flags->Positional("FILE", &file_,
                      "CSV, IDX or text, plain or gzip; token shards; or a folder or pattern of such");
    flags->Text("--name", &dataset_, "What to call it (default: the file's stem)", "NAME");
    flags->Text("--label", &label_, "CSV: the label column", "COLUMN");
    flags->Text("--labels", &labels_, "IDX: the file with the labels", "FILE");
    flags->Choice("--file-format", &format_, {"csv", "idx", "text", "tokens"},
                  "Default: recognised from the content");
    flags->Choice("--task", &task_, {"classification", "regression", "language_model", "reconstruction"},
                  "Default: inferred from the label");
    flags->Texts("--column", &columns_, "A column's type: numeric, categorical or ignore; again for more",
                 "NAME=TYPE");
    flags->Text("--tokenizer", &tokenizer_, "Text, tokens: the tokenizer folder that belongs to it",
                "FOLDER");
  }

  absl::StatusOr<int> Run(Session* session) override {
    std::vector<std::string> overrides;
    if (!format_.empty()) overrides.push_back("dataset.format=" + format_);
    if (!task_.empty()) overrides.push_back("dataset.task=" + task_);
    for (const auto& column : columns_) overrides.push_back("dataset.columns." + column);
    ASSIGN_OR_RETURN(const v1::JobSpec spec, ParseSpec("dataset: {}", "", "", overrides));
    v1::RegisterDatasetRequest request;
    request.set_name(dataset_);
    *request.mutable_spec() = spec.dataset();
    request.mutable_spec()->set_path(Absolute(file_));
    request.mutable_spec()->set_label(label_);
    request.mutable_spec()->set_labels(Absolute(labels_));
    if (!tokenizer_.empty()) {
      request.mutable_spec()->mutable_text()->mutable_tokenizer()->mutable_bpe()->set_path(
          Absolute(tokenizer_));
    }
    ASSIGN_OR_RETURN(const auto response, session->client().RegisterDataset(request));
    const std::string version = absl::StrCat(response.dataset().name(), "@", response.dataset().version());
    if (session->wants_table()) {
      session->err() << (response.created() ? "registered " : "already registered as ") << Printable(version)
                     << ": " << CountText(response.dataset().records()) << " "
                     << RecordsText(response.dataset()) << std::endl;
    }
    session->Print(response, version + "\n");
    return kExitSucceeded;
  }

 private:
  static std::string Absolute(const std::string& path) {
    std::error_code ignored;
    return path.empty() ? "" : std::filesystem::absolute(path, ignored).lexically_normal().string();
  }

  std::string file_, dataset_, label_, labels_, format_, task_, tokenizer_;
  std::vector<std::string> columns_;
};

class DatasetsCommand : public ListCommand {
 public:
  std::string name() const override { return "datasets"; }
  std::string summary() const override { return "List, register and describe datasets"; }
  std::string examples() const override {
    return "lockstep datasets\nlockstep datasets register digits.csv --label digit\nlockstep datasets "
           "describe digits";
  }
  std::vector<std::unique_ptr<Command>> Children() override {
    std::vector<std::unique_ptr<Command>> children;
    children.push_back(std::make_unique<ListCommand>());
    children.push_back(std::make_unique<RegisterCommand>());
    children.push_back(std::make_unique<DescribeDatasetCommand>());
    return children;
  }
};

}  // namespace

std::unique_ptr<Command> MakeDatasetsCommand() { return std::make_unique<DatasetsCommand>(); }

}  // namespace lockstep
