// One command of `lockstep`: a file each, listed in commands.h.
//
//   Declare (flags) -> parse -> Run -> exit code
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "client/cli/session.h"
#include "common/base/status.h"
#include "common/flags/flags.h"

namespace lockstep {

class Command {
 public:
  virtual ~Command() = default;
  virtual std::string name() const = 0;
  virtual std::string summary() const = 0;
  virtual std::string examples() const = 0;         // lines that begin with "lockstep <name>"
  virtual std::string notes() const { return ""; }  // on what it prints; lines of --help, below the examples
  virtual void Declare(Flags*) {}
  // A command with children runs itself when none of them is named.
  virtual std::vector<std::unique_ptr<Command>> Children() { return {}; }
  // The exit code, or an error that the caller prints (see errors.h).
  virtual absl::StatusOr<int> Run(Session* session) = 0;
};

}  // namespace lockstep
