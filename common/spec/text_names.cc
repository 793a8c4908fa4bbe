#include "common/spec/text_names.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "google/protobuf/descriptor.h"

namespace lockstep {

std::string EnumText(const google::protobuf::EnumValueDescriptor& value) {
  absl::string_view prefix = value.type()->value(0)->name();
  absl::ConsumeSuffix(&prefix, "UNSPECIFIED");
  return absl::AsciiStrToLower(absl::StripPrefix(value.name(), prefix));
}

std::string EnumText(const google::protobuf::EnumDescriptor& type, int number) {
  const auto* value = type.FindValueByNumber(number);
  return value != nullptr ? EnumText(*value) : absl::StrCat("unknown(", number, ")");
}

std::vector<std::string> EnumTexts(const google::protobuf::EnumDescriptor& type) {
  std::vector<std::string> texts;
  for (int i = 1; i < type.value_count(); ++i) texts.push_back(EnumText(*type.value(i)));
  return texts;
}

std::vector<std::string> FieldTexts(const google::protobuf::Descriptor& type) {
  std::vector<std::string> texts;
  for (int i = 0; i < type.field_count(); ++i) texts.push_back(type.field(i)->name());
  return texts;
}

}  // namespace lockstep
