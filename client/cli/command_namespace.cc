// namespace: whose jobs there are, and how much they may take.
#include <tuple>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/namespace_view.h"
#include "client/render/text.h"

namespace lockstep {
namespace {

constexpr char kNone[] = "none";

// "20", "512MiB", "20GB": bytes, by 1024 or by 1000.
absl::StatusOr<int64_t> ParseBytes(const std::string& text) {
  size_t digits = 0;
  while (digits < text.size() && (absl::ascii_isdigit(text[digits]) || text[digits] == '.')) ++digits;
  const std::string unit = absl::AsciiStrToLower(text.substr(digits));
  double bytes = 0, factor = unit.empty() || unit == "b" ? 1 : 0;
  for (const auto& [name, of_1000, of_1024] : {std::tuple{"k", 1e3, 0x1p10}, std::tuple{"m", 1e6, 0x1p20},
                                               std::tuple{"g", 1e9, 0x1p30}, std::tuple{"t", 1e12, 0x1p40}}) {
    if (unit == absl::StrCat(name, "b")) factor = of_1000;
    if (unit == absl::StrCat(name, "ib") || unit == name) factor = of_1024;
  }
  if (factor > 0 && absl::SimpleAtod(text.substr(0, digits), &bytes) && bytes * factor < 0x1p62) {
    return static_cast<int64_t>(bytes * factor);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--storage: expected bytes such as 500GB, 64GiB or 1000000, got '", text, "'"));
}

// The flags of a quota; a limit that is not named stays as it is, one that is `none` goes.
class QuotaFlags {
 public:
  void Declare(Flags* flags) {
    flags->Text("--devices", &devices_, "How many devices its jobs may use at once", "N|none");
    flags->Text("--jobs", &jobs_, "How many unfinished jobs it may have", "N|none");
    flags->Text("--storage", &storage_, "How much its checkpoints and models may take, such as 64GiB",
                "BYTES|none");
  }

  absl::Status Into(v1::Quota* quota, std::vector<v1::QuotaKind>* unlimited) const {
    if (devices_ == kNone) {
      unlimited->push_back(v1::QUOTA_KIND_DEVICES);
    } else if (!devices_.empty()) {
      ASSIGN_OR_RETURN(const int64_t devices, Count("--devices", devices_));
      quota->set_devices(devices);
    }
    if (jobs_ == kNone) {
      unlimited->push_back(v1::QUOTA_KIND_JOBS);
    } else if (!jobs_.empty()) {
      ASSIGN_OR_RETURN(const int64_t jobs, Count("--jobs", jobs_));
      quota->set_jobs(jobs);
    }
    if (storage_ == kNone) {
      unlimited->push_back(v1::QUOTA_KIND_STORAGE);
    } else if (!storage_.empty()) {
      ASSIGN_OR_RETURN(const int64_t bytes, ParseBytes(storage_));
      quota->set_storage_bytes(bytes);
    }
    return absl::OkStatus();
  }

 private:
  static absl::StatusOr<int64_t> Count(const std::string& flag, const std::string& text) {
    int64_t count = 0;
    if (absl::SimpleAtoi(text, &count) && count >= 0) return count;
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": expected a number from 0 on, or none, got '", text, "'"));
  }

  std::string devices_, jobs_, storage_;
};

class OnNamespace : public Command {
 public:
  void Declare(Flags* flags) override {
    flags->Positional("NAME", &name_, "As `lockstep namespace list` shows it");
  }

 protected:
  static int Show(Session* session, const v1::Namespace& space) {
    session->Print(space, NamespaceView(space));
    return kExitSucceeded;
  }
  std::string name_;
};

class CreateCommand : public OnNamespace {
 public:
  std::string name() const override { return "create"; }
  std::string summary() const override { return "Make a namespace, with a quota or without"; }
  std::string examples() const override {
    return "lockstep namespace create team-a\nlockstep namespace create team-b --devices 8 --jobs 100 "
           "--storage 64GiB";
  }
  void Declare(Flags* flags) override {
    flags->Positional("NAME", &name_, "1 to 63 small letters, digits or '-'");
    quota_.Declare(flags);
  }
  absl::StatusOr<int> Run(Session* session) override {
    v1::CreateNamespaceRequest request;
    request.set_name(name_);
    std::vector<v1::QuotaKind> unlimited;
    RETURN_IF_ERROR(quota_.Into(request.mutable_quota(), &unlimited));
    ASSIGN_OR_RETURN(const v1::Namespace made, session->client().CreateNamespace(request));
    session->err() << "namespace " << Printable(made.name()) << " is made" << std::endl;
    return Show(session, made);
  }

 private:
  QuotaFlags quota_;
};

class NamespaceListCommand : public Command {
 public:
  std::string name() const override { return "list"; }
  std::string summary() const override {
    return "List the namespaces, what they have in use, and of how much";
  }
  std::string examples() const override { return "lockstep namespace list"; }
  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::ListNamespacesResponse spaces, session->client().ListNamespaces());
    session->Print(spaces, NamespacesView(spaces));
    return kExitSucceeded;
  }
};

class DescribeNamespaceCommand : public OnNamespace {
 public:
  std::string name() const override { return "describe"; }
  std::string summary() const override { return "Show what one namespace has in use, and of how much"; }
  std::string examples() const override { return "lockstep namespace describe team-a"; }
  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::Namespace space, session->client().GetNamespace(name_));
    return Show(session, space);
  }
};

class SetCommand : public OnNamespace {
 public:
  std::string name() const override { return "set"; }
  std::string summary() const override {
    return "Change limits of a namespace; the others stay, what runs goes on";
  }
  std::string examples() const override {
    return "lockstep namespace set team-a --devices 16\nlockstep namespace set team-a --jobs none";
  }
  void Declare(Flags* flags) override {
    OnNamespace::Declare(flags);
    quota_.Declare(flags);
  }
  absl::StatusOr<int> Run(Session* session) override {
    v1::SetNamespaceRequest request;
    request.set_name(name_);
    std::vector<v1::QuotaKind> unlimited;
    RETURN_IF_ERROR(quota_.Into(request.mutable_quota(), &unlimited));
    for (const v1::QuotaKind kind : unlimited) request.add_unlimited(kind);
    RETURN_IF_ERROR(session->client().SetNamespace(request).status());
    ASSIGN_OR_RETURN(const v1::Namespace space, session->client().GetNamespace(name_));
    return Show(session, space);
  }

 private:
  QuotaFlags quota_;
};

class DeleteCommand : public OnNamespace {
 public:
  std::string name() const override { return "delete"; }
  std::string summary() const override {
    return "Take a namespace away that has no unfinished job; models and finished jobs stay";
  }
  std::string examples() const override { return "lockstep namespace delete team-a"; }
  absl::StatusOr<int> Run(Session* session) override {
    RETURN_IF_ERROR(session->client().DeleteNamespace(name_));
    session->err() << "namespace " << Printable(name_) << " is deleted" << std::endl;
    return kExitSucceeded;
  }
};

class NamespaceCommand : public NamespaceListCommand {
 public:
  std::string name() const override { return "namespace"; }
  std::string summary() const override {
    return "Make, list and change the namespaces that jobs belong to, and their quotas";
  }
  std::string examples() const override {
    return "lockstep namespace create team-a --devices 8 --jobs 100\nlockstep namespace list\nlockstep "
           "namespace set "
           "team-a --devices 16";
  }
  std::vector<std::unique_ptr<Command>> Children() override {
    std::vector<std::unique_ptr<Command>> children;
    children.push_back(std::make_unique<CreateCommand>());
    children.push_back(std::make_unique<NamespaceListCommand>());
    children.push_back(std::make_unique<DescribeNamespaceCommand>());
    children.push_back(std::make_unique<SetCommand>());
    children.push_back(std::make_unique<DeleteCommand>());
    return children;
  }
};

}  // namespace

std::unique_ptr<Command> MakeNamespaceCommand() { return std::make_unique<NamespaceCommand>(); }

}  // namespace lockstep
