#include "coordinator/scheduler/profile.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lockstep {
namespace {

struct Field {
  const char* name;
  std::string value;
};

// Every field of the message: a new one must join here, and the test counts them.
std::vector<Field> FieldsOf(const v1::NumericProfile& profile) {
  return {{"device_kind", profile.device_kind()},
          {"device_model", profile.device_model()},
          {"instruction_set", profile.instruction_set()},
          {"math_library", profile.math_library()},
          {"arithmetic_revision", absl::StrCat(profile.arithmetic_revision())},
          {"threads", absl::StrCat(profile.threads())}};
}

std::string Quoted(const std::string& value) { return absl::StrCat("'", value, "'"); }

}  // namespace

std::string ProfileKey(const v1::NumericProfile& profile) {
  std::string key;
  for (const Field& field : FieldsOf(profile)) {
    absl::StrAppend(&key, field.value.size(), ":", field.value);
  }
  return key;
}

std::string DescribeProfile(const v1::NumericProfile& profile) {
  return absl::StrCat(profile.device_kind(), " ", profile.instruction_set(), ", ", profile.math_library(),
                      ", ", profile.threads(), profile.threads() == 1 ? " thread, " : " threads, ",
                      profile.device_model());
}

std::string ProfileDifference(const v1::NumericProfile& wanted, const v1::NumericProfile& offered) {
  const std::vector<Field> left = FieldsOf(wanted), right = FieldsOf(offered);
  std::vector<std::string> differences;
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i].value == right[i].value) continue;
    differences.push_back(
        absl::StrCat(left[i].name, " is ", Quoted(right[i].value), " instead of ", Quoted(left[i].value)));
  }
  return absl::StrJoin(differences, ", ");
}

}  // namespace lockstep
