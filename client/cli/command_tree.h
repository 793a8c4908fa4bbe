// The commands and options of the program as data, read off the parser itself, so that completions are never
// stale.
#pragma once

#include <string>
#include <vector>

namespace lockstep {

struct CommandTree {
  struct Option {
    std::vector<std::string> names;  // "-o", "--format"; of a positional: empty
    std::string help;
    bool takes_value = false;
    std::vector<std::string> choices;  // of the value, if known
  };

  std::string name;
  std::string summary;
  std::vector<Option> options;
  std::vector<CommandTree> children;
};

// Scripts for the shell's `source` or its completion folder. Pure.
std::string BashCompletion(const CommandTree& tree);
std::string ZshCompletion(const CommandTree& tree);
std::string FishCompletion(const CommandTree& tree);

}  // namespace lockstep
