// What a program or a command takes from the command line. A thin face of CLI11, which is slow to compile and
// stays in flags.cc, command_line.cc and client/cli/app.cc. Every target must outlive the parse; it keeps its
// value where the flag is absent.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace CLI {
class App;
}

namespace lockstep {

class Flags {
 public:
  // Empty: the text is right; otherwise what is wrong with it.
  using Check = std::function<std::string(const std::string& text)>;

  // show_defaults: help shows the value that a target has before the parse, unless it is empty or out of
  // range.
  explicit Flags(CLI::App* app, bool show_defaults = false) : app_(app), show_defaults_(show_defaults) {}

  void Positional(const std::string& name, std::string* value, const std::string& help, bool required = true);
  // One or more.
  void Positionals(const std::string& name, std::vector<std::string>* values, const std::string& help);
  void PositionalChoice(const std::string& name, std::string* value, const std::vector<std::string>& choices,
                        const std::string& help);
  void Switch(const std::string& names, bool* value, const std::string& help);
  void Text(const std::string& names, std::string* value, const std::string& help,
            const std::string& placeholder, const Check& check = nullptr);
  void RequiredText(const std::string& names, std::string* value, const std::string& help,
                    const std::string& placeholder);
  void Choice(const std::string& names, std::string* value, const std::vector<std::string>& choices,
              const std::string& help);
  // May be given several times, one value each.
  void Texts(const std::string& names, std::vector<std::string>* values, const std::string& help,
             const std::string& placeholder);
  void Number(const std::string& names, int* value, int low, int high, const std::string& help);
  void Number(const std::string& names, int64_t* value, int64_t low, int64_t high, const std::string& help);
  void Number(const std::string& names, uint64_t* value, uint64_t low, uint64_t high,
              const std::string& help);
  void Real(const std::string& names, double* value, double low, double high, const std::string& help);
  void Time(const std::string& names, absl::Duration* value, const std::string& help,
            absl::Duration low = absl::ZeroDuration(), absl::Duration high = absl::InfiniteDuration());

 private:
  template <typename T>
  void Ranged(const std::string& names, T* value, T low, T high, const std::string& help,
              const char* placeholder);

  CLI::App* const app_;
  const bool show_defaults_;
};

}  // namespace lockstep
