#include "client/cli/app.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/errors.h"
#include "client/cli/exit_codes.h"
#include "common/base/version.h"
#include "common/net/address.h"
#include "common/spec/spec.h"

namespace lockstep {

namespace {

CommandTree TreeOf(const CLI::App& app) {
  CommandTree tree;
  tree.name = app.get_name();
  tree.summary = app.get_description();
  for (const CLI::Option* option : app.get_options()) {
    CommandTree::Option entry;
    for (const auto& name : option->get_snames()) entry.names.push_back("-" + name);
    for (const auto& name : option->get_lnames()) entry.names.push_back("--" + name);
    entry.help = option->get_description();
    entry.takes_value = option->get_type_size() != 0 && option->get_expected_max() > 0;
    if (absl::StrContains(option->get_type_name(), "|")) {
      const std::string choices = option->get_type_name();
      entry.choices = absl::StrSplit(choices.substr(0, choices.find(':')), '|');
    }
    tree.options.push_back(std::move(entry));
  }
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; })) {
    tree.children.push_back(TreeOf(*child));
  }
  return tree;
}

// A command with the parser's node that stands for it.
struct Node {
  std::unique_ptr<Command> command;
  CLI::App* app = nullptr;
  std::vector<Node> children;
};

Node AddCommand(CLI::App* parent, std::unique_ptr<Command> command) {
  Node node;
  node.app = parent->add_subcommand(command->name(), command->summary());
  node.app->fallthrough();
  const std::string notes = command->notes();
  node.app->footer("\nExamples:\n  " + absl::StrJoin(absl::StrSplit(command->examples(), '\n'), "\n  ") +
                   (notes.empty() ? "" : "\n\n" + notes));
  Flags flags(node.app);
  command->Declare(&flags);
  auto children = command->Children();
  if (!children.empty()) node.app->require_subcommand(0, 1);
  for (auto& child : children) node.children.push_back(AddCommand(node.app, std::move(child)));
  node.command = std::move(command);
  return node;
}

Command* Chosen(const std::vector<Node>& nodes) {
  for (const auto& node : nodes) {
    if (!node.app->parsed()) continue;
    Command* child = Chosen(node.children);
    return child != nullptr ? child : node.command.get();
  }
  return nullptr;
}

// The first word of `left` that looks like an option, and the nearest option of `at` or of what it belongs
// to.
std::string UnknownOption(const CLI::App* at, const std::vector<std::string>& left) {
  const auto unknown = std::find_if(left.begin(), left.end(), [](const std::string& word) {
    return word.size() > 1 && absl::StartsWith(word, "-");
  });
  if (unknown == left.end()) return "";
  const std::string name = unknown->substr(0, unknown->find('='));
  std::vector<std::string> known;
  for (; at != nullptr; at = at->get_parent()) {
    for (const CLI::Option* option : at->get_options()) {
      for (const auto& word : option->get_lnames()) known.push_back("--" + word);
    }
  }
  const std::string nearest = Nearest(name, known);
  return absl::StrCat("there is no option '", Printable(name), "'",
                      nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"));
}

int UsageError(const CLI::ParseError& error, const CLI::App& app, const std::vector<std::string>& arguments,
               const Environment& environment) {
  std::string message = error.what();
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  const auto parsed = app.get_subcommands();
  const std::string at = parsed.empty() ? "lockstep" : "lockstep " + parsed.back()->get_name();
  std::string hint = absl::StrCat("`", at, " --help` shows what there is");
  const auto first = std::find_if(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return !absl::StartsWith(argument, "-");
  });
  if (arguments.empty()) {
    message = absl::StrCat("expected a command: ", absl::StrJoin(names, ", "));
  } else if (parsed.empty() && first != arguments.end() &&
             std::find(names.begin(), names.end(), *first) == names.end()) {
    message = absl::StrCat("there is no command '", Printable(*first), "'");
    const std::string nearest = Nearest(*first, names);
    if (!nearest.empty()) hint = absl::StrCat("did you mean `lockstep ", nearest, "`? ", hint);
  } else if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const CLI::App* deepest = &app;
    while (!deepest->get_subcommands().empty()) deepest = deepest->get_subcommands().back();
    const std::string unknown = UnknownOption(deepest, app.remaining(true));
    if (!unknown.empty()) message = unknown;
  }
  *environment.err << "error: " << message << "\nhint: " << hint << std::endl;
  return kExitUsage;
}

}  // namespace

int RunApp(const std::vector<std::string>& arguments, const Environment& environment,
           const std::function<void(Session*)>& on_session) {
  GlobalOptions options;
  options.coordinator = environment.variable("LOCKSTEP_COORDINATOR");
  options.space = environment.variable("LOCKSTEP_NAMESPACE");
  if (options.coordinator.empty()) options.coordinator = "127.0.0.1:7070";

  CLI::App app("Train models in lockstep: the same bits on any number of workers.", "lockstep");
  app.require_subcommand(1);
  app.set_version_flag("--version", absl::StrCat("lockstep ", Version()));
  Flags flags(&app);
  flags.Text("--coordinator", &options.coordinator,
             "Where the coordinator is (or LOCKSTEP_COORDINATOR; default 127.0.0.1:7070)", "HOST:PORT");
  flags.Text("-n,--namespace", &options.space,
             "Whose jobs, datasets and models are meant (or LOCKSTEP_NAMESPACE; default: all to list them, "
             "else `default`)",
             "NAMESPACE");
  flags.Choice("-o,--format", &options.format, {"table", "json", "yaml"},
               "How results are written: for people, as the API's JSON, or as YAML like a spec's");
  flags.Time("--connect-timeout", &options.connect_timeout,
             "How long to try to reach the coordinator (default 5s)");
  options.access.Declare(&flags);
  app.footer(
      "\nExamples:\n  lockstep run examples/digits.yaml --workers 2\n  lockstep submit digits.yaml --follow\n"
      "  lockstep jobs\n\nExit codes: 0 succeeded, 100 the job failed, 101 not finished, 102 not found, 103 "
      "cancelled, "
      "2 usage, 1 other errors");
  std::vector<Node> nodes;
  for (auto& command : AllCommands()) nodes.push_back(AddCommand(&app, std::move(command)));

  try {
    app.parse(
        std::vector<std::string>(arguments.rbegin(), arguments.rend()));  // CLI11 takes them from the back
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e, *environment.out, *environment.err);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e, *environment.out, *environment.err);
  } catch (const CLI::CallForVersion& e) {
    return app.exit(e, *environment.out, *environment.err);
  } catch (const CLI::ParseError& e) {
    return UsageError(e, app, arguments, environment);
  }

  absl::Status access = options.access.Complete(environment.variable);
  if (access.ok()) {
    const auto token = options.access.Token();
    access = token.status();
    if (token.ok()) options.token = *token;
  }
  Session session(environment, options);
  const CommandTree tree = TreeOf(app);
  session.tree = &tree;
  const auto address = ParseHostPort(options.coordinator);
  if (!address.ok()) {
    session.err() << ErrorText(Annotate(address.status(), "--coordinator"), options, session.err_style())
                  << std::flush;
    return kExitUsage;
  }
  if (!access.ok()) {
    session.err() << ErrorText(access, options, session.err_style()) << std::flush;
    return ExitCodeFor(access);
  }
  if (on_session) on_session(&session);
  const absl::StatusOr<int> code = Chosen(nodes)->Run(&session);
  if (on_session) on_session(nullptr);
  if (code.ok()) return *code;
  session.err() << ErrorText(code.status(), options, session.err_style()) << std::flush;
  return ExitCodeFor(code.status());
}

}  // namespace lockstep
