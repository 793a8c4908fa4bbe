#include "common/flags/flags.h"

#include <CLI/CLI.hpp>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lockstep {

void Flags::Positional(const std::string& name, std::string* value, const std::string& help, bool required) {
  app_->add_option(name, *value, help)->required(required)->type_name("");
}

void Flags::Positionals(const std::string& name, std::vector<std::string>* values, const std::string& help) {
  app_->add_option(name, *values, help)->required()->type_name("");
}

void Flags::PositionalChoice(const std::string& name, std::string* value,
                             const std::vector<std::string>& choices, const std::string& help) {
  app_->add_option(name, *value, absl::StrCat(help, ": ", absl::StrJoin(choices, ", ")))
      ->required()
      ->check(CLI::IsMember(choices))
      ->type_name(absl::StrJoin(choices, "|"))
      ->option_text(absl::StrJoin(choices, "|"));
}

void Flags::Switch(const std::string& names, bool* value, const std::string& help) {
  app_->add_flag(names, *value, help);
}

void Flags::Text(const std::string& names, std::string* value, const std::string& help,
                 const std::string& placeholder, const Check& check) {
  const bool shown = show_defaults_ && !value->empty();
  CLI::Option* option = app_->add_option(names, *value, help)->type_name(placeholder);
  option->option_text(shown ? absl::StrCat(placeholder, " [", *value, "]") : placeholder);
  if (check) option->check(check);
}

void Flags::RequiredText(const std::string& names, std::string* value, const std::string& help,
                         const std::string& placeholder) {
  app_->add_option(names, *value, help)
      ->required()
      ->type_name(placeholder)
      ->option_text(absl::StrCat(placeholder, " REQUIRED"));
}

void Flags::Choice(const std::string& names, std::string* value, const std::vector<std::string>& choices,
                   const std::string& help) {
  const std::string text = absl::StrJoin(choices, "|");
  const bool shown = show_defaults_ && !value->empty();
  app_->add_option(names, *value, help)
      ->check(CLI::IsMember(choices))
      ->type_name(text)
      ->option_text(shown ? absl::StrCat(text, " [", *value, "]") : text);
}

void Flags::Texts(const std::string& names, std::vector<std::string>* values, const std::string& help,
                  const std::string& placeholder) {
  // A callback for each value instead of a vector target, which would also split "[a, b]".
  app_->add_option_function<std::string>(
          names, [values](const std::string& value) { values->push_back(value); }, help)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->trigger_on_parse()
      ->type_name(placeholder)
      ->option_text(placeholder);
}

template <typename T>
void Flags::Ranged(const std::string& names, T* value, T low, T high, const std::string& help,
                   const char* placeholder) {
  const bool shown = show_defaults_ && *value >= low && *value <= high;
  app_->add_option(names, *value, help)
      ->check([low, high](const std::string& text) {
        T given{};
        if (CLI::detail::lexical_cast(text, given) && given >= low && given <= high) return std::string();
        const bool bounded = high != std::numeric_limits<T>::max();
        return absl::StrCat(
            "expected ", std::is_integral_v<T> ? "an integer" : "a number",
            bounded ? absl::StrCat(" from ", low, " to ", high) : absl::StrCat(" of at least ", low),
            ", got '", text, "'");
      })
      ->type_name(placeholder)
      ->option_text(shown ? absl::StrCat(placeholder, " [", *value, "]") : placeholder);
}

void Flags::Number(const std::string& names, int* value, int low, int high, const std::string& help) {
  Ranged(names, value, low, high, help, "N");
}

void Flags::Number(const std::string& names, int64_t* value, int64_t low, int64_t high,
                   const std::string& help) {
  Ranged(names, value, low, high, help, "N");
}

void Flags::Number(const std::string& names, uint64_t* value, uint64_t low, uint64_t high,
                   const std::string& help) {
  Ranged(names, value, low, high, help, "N");
}

void Flags::Real(const std::string& names, double* value, double low, double high, const std::string& help) {
  Ranged(names, value, low, high, help, "X");
}

void Flags::Time(const std::string& names, absl::Duration* value, const std::string& help, absl::Duration low,
                 absl::Duration high) {
  app_->add_option_function<std::string>(
          names,
          [names, value, low, high](const std::string& text) {
            absl::Duration given;
            if (!absl::ParseDuration(text, &given) || given < low || given > high) {
              const std::string range =
                  high == absl::InfiniteDuration()
                      ? " such as 30s or 5m"
                      : absl::StrCat(" between ", absl::FormatDuration(low), " and ",
                                     absl::FormatDuration(high), " (write it like 200ms or 2s)");
              throw CLI::ValidationError(names,
                                         absl::StrCat("expected a duration", range, ", got '", text, "'"));
            }
            *value = given;
          },
          help)
      ->type_name("DURATION")
      ->option_text(show_defaults_ ? absl::StrCat("DURATION [", absl::FormatDuration(*value), "]")
                                   : "DURATION");
}

}  // namespace lockstep
