// token: who may call the coordinator.
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/text.h"
#include "common/auth/role.h"
#include "common/base/proto_time.h"

namespace lockstep {
namespace {

const std::vector<std::string> kRoles = {"viewer", "submitter", "worker", "admin"};  // in TokenRole's order

std::string Day(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%d %H:%M", FromProto(time), absl::UTCTimeZone());
}

std::string RoleText(v1::TokenRole role) {
  return role >= 1 && role <= static_cast<int>(kRoles.size()) ? kRoles[role - 1] : "?";
}

// "30d" as well as "12h" and "90m": tokens live for days.
absl::StatusOr<absl::Duration> ParseLife(const std::string& text) {
  double days = 0;
  absl::Duration life;
  if (absl::EndsWith(text, "d") && absl::SimpleAtod(text.substr(0, text.size() - 1), &days) &&
      std::isfinite(days)) {
    return days * absl::Hours(24);
  }
  if (absl::ParseDuration(text, &life)) return life;
  return absl::InvalidArgumentError(
      absl::StrCat("--ttl: expected a time such as 30d or 12h, got '", text, "'"));
}

class TokenCreateCommand : public Command {
 public:
  std::string name() const override { return "create"; }
  std::string summary() const override { return "Make a token; it is shown this once"; }
  std::string examples() const override {
    return "lockstep token create --role submitter --name ci --ttl 30d\n"
           "lockstep token create --role submitter --name ada --namespace team-a\n"
           "lockstep token create --role worker --name nodes > worker.token";
  }
  void Declare(Flags* flags) override {
    flags->RequiredText("--name", &name_, "Whose it is: stands in the audit log", "NAME");
    flags->Choice("--role", &role_, kRoles, "What it may do");
    flags->Text(
        "--namespace", &space_,
        "It sees and touches that namespace's jobs, datasets and models alone (viewers and submitters)",
        "NAMESPACE");
    flags->Text("--ttl", &ttl_, "How long it is valid (default: until it is revoked)", "TIME");
  }

  absl::StatusOr<int> Run(Session* session) override {
    v1::CreateTokenRequest request;
    request.set_name(name_);
    request.set_namespace_(space_);
    for (size_t i = 0; i < kRoles.size(); ++i) {
      if (kRoles[i] == role_) request.set_role(static_cast<v1::TokenRole>(i + 1));
    }
    if (request.role() == v1::TOKEN_ROLE_UNSPECIFIED) {
      return absl::InvalidArgumentError(
          "--role: say what the token may do: viewer, submitter, worker or admin");
    }
    if (!ttl_.empty()) {
      ASSIGN_OR_RETURN(const absl::Duration life, ParseLife(ttl_));
      *request.mutable_ttl() = ToProto(life);
    }
    ASSIGN_OR_RETURN(const v1::CreateTokenResponse made, session->client().CreateToken(request));
    session->err() << "token " << Printable(made.token().name()) << " of the role "
                   << RoleText(made.token().role())
                   << (made.token().namespace_().empty()
                           ? ""
                           : absl::StrCat(" in the namespace ", Printable(made.token().namespace_())))
                   << (made.token().has_expires() ? ", valid until " + Day(made.token().expires()) + " UTC"
                                                  : "")
                   << "; keep it: it is not shown again" << std::endl;
    session->Print(made, made.secret() + "\n");
    return kExitSucceeded;
  }

 private:
  std::string name_, role_, space_, ttl_;
};

class TokenListCommand : public Command {
 public:
  std::string name() const override { return "list"; }
  std::string summary() const override { return "List the tokens, without the tokens themselves"; }
  std::string examples() const override { return "lockstep token list"; }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::ListTokensResponse tokens, session->client().ListTokens());
    std::vector<std::vector<std::string>> rows = {
        {"NAME", "ROLE", "NAMESPACE", "CREATED", "EXPIRES", "REVOKED"}};
    for (const v1::Token& token : tokens.tokens()) {
      rows.push_back({Printable(token.name()), RoleText(token.role()),
                      token.namespace_().empty() ? "all" : Printable(token.namespace_()),
                      Day(token.created()), token.has_expires() ? Day(token.expires()) : "never",
                      token.has_revoked() ? Day(token.revoked()) : ""});
    }
    session->Print(tokens, TableText(rows));
    return kExitSucceeded;
  }
};

class TokenRevokeCommand : public Command {
 public:
  std::string name() const override { return "revoke"; }
  std::string summary() const override { return "Make a token invalid at once; its open streams end"; }
  std::string examples() const override { return "lockstep token revoke ci"; }
  void Declare(Flags* flags) override {
    flags->Positional("NAME", &name_, "As `lockstep token list` shows it");
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const v1::Token token, session->client().RevokeToken(name_));
    session->err() << "token " << Printable(token.name()) << " is revoked" << std::endl;
    session->Print(token, "");
    return kExitSucceeded;
  }

 private:
  std::string name_;
};

class TokenCommand : public Command {
 public:
  std::string name() const override { return "token"; }
  std::string summary() const override { return "Make, list and revoke the tokens that calls need"; }
  std::string examples() const override {
    return "lockstep token create --role submitter --name ci --ttl 30d\nlockstep token list\nlockstep token "
           "revoke ci";
  }
  std::vector<std::unique_ptr<Command>> Children() override {
    std::vector<std::unique_ptr<Command>> children;
    children.push_back(std::make_unique<TokenCreateCommand>());
    children.push_back(std::make_unique<TokenListCommand>());
    children.push_back(std::make_unique<TokenRevokeCommand>());
    return children;
  }
  absl::StatusOr<int> Run(Session* session) override { return TokenListCommand().Run(session); }
};

}  // namespace

std::unique_ptr<Command> MakeTokenCommand() { return std::make_unique<TokenCommand>(); }

}  // namespace lockstep
