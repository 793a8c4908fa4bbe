// The command line of a program: its flags, --help, --version and, where it has them, its commands.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/flags/flags.h"

namespace lockstep {

// What to print and how to end, where the command line leaves nothing to do.
struct Exit {
  int code = 0;     // 0: help or version was asked for; 2: wrong usage
  std::string out;  // for stdout
  std::string err;  // for stderr
};

class CommandLine {
 public:
  // footer: shown below the flags. Help shows the flags' defaults.
  CommandLine(const std::string& program, const std::string& description, const std::string& footer = "");
  ~CommandLine();

  Flags& flags() { return flags_; }
  // Adds a command; one of them must then be given.
  Flags Command(const std::string& name, const std::string& description);

  // Nothing: go on, every target is filled.
  std::optional<Exit> Parse(int argc, const char* const* argv);
  // The command that was given; empty if there is none.
  std::string command() const;

 private:
  const std::unique_ptr<CLI::App> app_;
  Flags flags_;
};

// Prints what `exit` says and gives its code.
int Leave(const Exit& exit);

}  // namespace lockstep
