#include "common/flags/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/version.h"

namespace lockstep {

CommandLine::CommandLine(const std::string& program, const std::string& description,
                         const std::string& footer)
    : app_(std::make_unique<CLI::App>(description, program)), flags_(app_.get(), true) {
  app_->footer(footer);
  app_->set_version_flag("--version", absl::StrCat(program, " ", Version()));
}

CommandLine::~CommandLine() = default;

Flags CommandLine::Command(const std::string& name, const std::string& description) {
  app_->require_subcommand(1);
  return Flags(app_->add_subcommand(name, description), true);
}

std::optional<Exit> CommandLine::Parse(int argc, const char* const* argv) {
  try {
    app_->parse(argc, argv);
    return std::nullopt;
  } catch (const CLI::ParseError& error) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = app_->exit(error, out, err);
    return Exit{code == 0 ? 0 : 2, out.str(), err.str()};
  }
}

std::string CommandLine::command() const {
  const auto chosen = app_->get_subcommands();
  return chosen.empty() ? "" : chosen.front()->get_name();
}

int Leave(const Exit& exit) {
  std::fputs(exit.out.c_str(), stdout);
  std::fputs(exit.err.c_str(), stderr);
  return exit.code;
}

}  // namespace lockstep
