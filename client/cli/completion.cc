#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/command_tree.h"

namespace lockstep {
namespace {

std::string ChildNames(const CommandTree& tree) {
  std::vector<std::string> names;
  for (const auto& child : tree.children) names.push_back(child.name);
  return absl::StrJoin(names, " ");
}

std::string OptionNames(const CommandTree& tree) {
  std::vector<std::string> names;
  for (const auto& option : tree.options) names.insert(names.end(), option.names.begin(), option.names.end());
  return absl::StrJoin(names, " ");
}

// The choices of positional arguments.
std::string PositionalChoices(const CommandTree& tree) {
  std::vector<std::string> choices;
  for (const auto& option : tree.options) {
    if (option.names.empty()) choices.insert(choices.end(), option.choices.begin(), option.choices.end());
  }
  return absl::StrJoin(choices, " ");
}

// Calls visit(path, node) for each command below the root: path is "datasets register".
template <typename Visit>
void ForEachCommand(const CommandTree& tree, const std::string& path, const Visit& visit) {
  for (const auto& child : tree.children) {
    const std::string at = path.empty() ? child.name : absl::StrCat(path, " ", child.name);
    visit(at, child);
    ForEachCommand(child, at, visit);
  }
}

// Lines of a bash `case "$previous"` for options that take a value.
std::string BashValues(const CommandTree& tree) {
  std::string out;
  for (const auto& option : tree.options) {
    if (option.names.empty() || !option.takes_value) continue;
    absl::StrAppend(&out, "    ", absl::StrJoin(option.names, "|"), ") ",
                    option.choices.empty()
                        ? "COMPREPLY=($(compgen -f -- \"$current\"))"
                        : absl::StrCat("COMPREPLY=($(compgen -W \"", absl::StrJoin(option.choices, " "),
                                       "\" -- \"$current\"))"),
                    "; return ;;\n");
  }
  return out;
}

std::string QuoteSingle(const std::string& text) { return absl::StrReplaceAll(text, {{"'", "'\\''"}}); }

// Inside a zsh _arguments or _describe specification.
std::string QuoteZsh(const std::string& text) {
  return QuoteSingle(absl::StrReplaceAll(text, {{"[", "("}, {"]", ")"}, {":", " -"}}));
}

std::string ZshOptions(const CommandTree& tree) {
  std::string out;
  for (const auto& option : tree.options) {
    const std::string action = option.choices.empty()
                                   ? ":value:_files"
                                   : absl::StrCat(":value:(", absl::StrJoin(option.choices, " "), ")");
    for (const auto& name : option.names) {
      absl::StrAppend(&out, " \\\n        '*", name, "[", QuoteZsh(option.help), "]",
                      option.takes_value ? action : "", "'");
    }
  }
  return out;
}

std::string FishQuote(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

std::string FishOptions(const CommandTree& tree, const std::string& condition) {
  std::string out;
  for (const auto& option : tree.options) {
    std::string line = absl::StrCat("complete -c lockstep", condition);
    if (option.names.empty()) {
      if (option.choices.empty()) continue;
      absl::StrAppend(&line, " -f -a ", FishQuote(absl::StrJoin(option.choices, " ")));
    }
    for (const auto& name : option.names) {
      absl::StrAppend(&line, name.size() == 2 ? " -s " : " -l ", name.substr(name.size() == 2 ? 1 : 2));
    }
    if (!option.names.empty() && option.takes_value) {
      absl::StrAppend(&line, " -r");
      if (!option.choices.empty())
        absl::StrAppend(&line, " -f -a ", FishQuote(absl::StrJoin(option.choices, " ")));
    }
    absl::StrAppend(&out, line, " -d ", FishQuote(option.help), "\n");
  }
  return out;
}

}  // namespace

std::string BashCompletion(const CommandTree& tree) {
  std::string cases, descend;
  ForEachCommand(tree, "", [&](const std::string& path, const CommandTree& node) {
    absl::StrAppend(&cases, "    '", path, "') words=\"", ChildNames(node), " ", PositionalChoices(node),
                    "\"; options=\"", OptionNames(node), "\" ;;\n");
    absl::StrAppend(&descend, descend.empty() ? "" : "|", "'", path, "'");
  });
  std::string values = BashValues(tree);
  ForEachCommand(tree, "", [&](const std::string&, const CommandTree& node) { values += BashValues(node); });
  return absl::StrCat(
      "# bash completion for lockstep; made by `lockstep completion bash`\n"
      "_lockstep() {\n"
      "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
      "  local command='' words='' options='' i candidate\n"
      "  COMPREPLY=()\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    candidate=\"${command:+$command }${COMP_WORDS[i]}\"\n"
      "    case \"$candidate\" in\n"
      "    ",
      descend,
      ") command=\"$candidate\" ;;\n"
      "    esac\n"
      "  done\n"
      "  case \"$previous\" in\n",
      values,
      "  esac\n"
      "  case \"$command\" in\n"
      "    '') words=\"",
      ChildNames(tree), "\"; options='' ;;\n", cases,
      "  esac\n"
      "  if [[ \"$current\" == -* ]]; then\n"
      "    COMPREPLY=($(compgen -W \"$options ",
      OptionNames(tree),
      "\" -- \"$current\"))\n"
      "    return\n"
      "  fi\n"
      "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
      "  if [[ -n \"$command\" && ${#COMPREPLY[@]} -eq 0 ]]; then\n"
      "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
      "  fi\n"
      "}\n"
      "complete -o filenames -F _lockstep lockstep\n");
}

std::string ZshCompletion(const CommandTree& tree) {
  std::string list, cases;
  for (const auto& child : tree.children) {
    absl::StrAppend(&list, "    '", child.name, ":", QuoteZsh(child.summary), "'\n");
    std::string words = ChildNames(child);
    if (words.empty()) words = PositionalChoices(child);
    CommandTree options = child;
    for (const auto& grandchild : child.children) {
      options.options.insert(options.options.end(), grandchild.options.begin(), grandchild.options.end());
    }
    absl::StrAppend(&cases, "      ", child.name, ")\n        _arguments $global", ZshOptions(options),
                    " \\\n        '*:argument:", words.empty() ? "_files" : absl::StrCat("(", words, ")"),
                    "' ;;\n");
  }
  return absl::StrCat(
      "#compdef lockstep\n# zsh completion for lockstep; made by `lockstep completion zsh`\n"
      "_lockstep() {\n"
      "  local -a commands global\n"
      "  commands=(\n",
      list,
      "  )\n"
      "  global=(",
      ZshOptions(tree),
      ")\n"
      "  local context state line\n"
      "  _arguments -C $global '1: :->command' '*:: :->argument'\n"
      "  case $state in\n"
      "  command) _describe command commands ;;\n"
      "  argument)\n"
      "    case $words[1] in\n",
      cases,
      "    esac ;;\n"
      "  esac\n"
      "}\n"
      "if [ \"$funcstack[1]\" = \"_lockstep\" ]; then _lockstep \"$@\"; else compdef _lockstep lockstep; "
      "fi\n");
}

std::string FishCompletion(const CommandTree& tree) {
  std::string out =
      "# fish completion for lockstep; made by `lockstep completion fish`\n" + FishOptions(tree, "");
  for (const auto& child : tree.children) {
    absl::StrAppend(&out, "complete -c lockstep -n __fish_use_subcommand -f -a ", child.name, " -d ",
                    FishQuote(child.summary), "\n");
    const std::string inside = absl::StrCat(" -n '__fish_seen_subcommand_from ", child.name, "'");
    out += FishOptions(child, inside);
    for (const auto& grandchild : child.children) {
      absl::StrAppend(&out, "complete -c lockstep", inside, " -f -a ", grandchild.name, " -d ",
                      FishQuote(grandchild.summary), "\n");
      out +=
          FishOptions(grandchild, absl::StrCat(" -n '__fish_seen_subcommand_from ", child.name,
                                               "; and __fish_seen_subcommand_from ", grandchild.name, "'"));
    }
  }
  return out;
}

}  // namespace lockstep
