// How a command says what it takes. A thin face of CLI11 (which is slow to compile and stays in app.cc).
// Every target must outlive the parse; it keeps its value where the flag is absent.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"

namespace CLI {
class App;
}

namespace lockstep {

class Flags {
 public:
  explicit Flags(CLI::App* app) : app_(app) {}

  void Positional(const std::string& name, std::string* value, const std::string& help, bool required = true);
  void PositionalChoice(const std::string& name, std::string* value, const std::vector<std::string>& choices,
                        const std::string& help);
  void Switch(const std::string& names, bool* value, const std::string& help);
  void Text(const std::string& names, std::string* value, const std::string& help,
            const std::string& placeholder);
  void Choice(const std::string& names, std::string* value, const std::vector<std::string>& choices,
              const std::string& help);
  // May be given several times, one value each.
  void Texts(const std::string& names, std::vector<std::string>* values, const std::string& help,
             const std::string& placeholder);
  void Number(const std::string& names, int* value, int low, int high, const std::string& help);
  void Real(const std::string& names, double* value, double low, double high, const std::string& help);
  void Time(const std::string& names, absl::Duration* value, const std::string& help);

 private:
  CLI::App* const app_;
};

}  // namespace lockstep
