#include "common/spec/message_text.h"

#include <algorithm>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/spec/text_names.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/timestamp.pb.h"
#include "nlohmann/json.hpp"

namespace lockstep {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

Json ToJson(const Message& message);

// `index` < 0: the singular field.
Json ValueToJson(const Message& message, const FieldDescriptor& field, int index) {
  const auto& reflection = *message.GetReflection();
  const bool one = index < 0;
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return one ? reflection.GetInt32(message, &field) : reflection.GetRepeatedInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_INT64:
      return one ? reflection.GetInt64(message, &field) : reflection.GetRepeatedInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT32:
      return one ? reflection.GetUInt32(message, &field)
                 : reflection.GetRepeatedUInt32(message, &field, index);
    case FieldDescriptor::CPPTYPE_UINT64:
      return one ? reflection.GetUInt64(message, &field)
                 : reflection.GetRepeatedUInt64(message, &field, index);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return one ? reflection.GetDouble(message, &field)
                 : reflection.GetRepeatedDouble(message, &field, index);
    case FieldDescriptor::CPPTYPE_FLOAT:
      return one ? reflection.GetFloat(message, &field) : reflection.GetRepeatedFloat(message, &field, index);
    case FieldDescriptor::CPPTYPE_BOOL:
      return one ? reflection.GetBool(message, &field) : reflection.GetRepeatedBool(message, &field, index);
    case FieldDescriptor::CPPTYPE_STRING:
      return one ? reflection.GetString(message, &field)
                 : reflection.GetRepeatedString(message, &field, index);
    case FieldDescriptor::CPPTYPE_ENUM:
      return EnumText(*field.enum_type(), one ? reflection.GetEnumValue(message, &field)
                                              : reflection.GetRepeatedEnumValue(message, &field, index));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return ToJson(one ? reflection.GetMessage(message, &field)
                        : reflection.GetRepeatedMessage(message, &field, index));
  }
  return nullptr;
}

Json MapToJson(const Message& message, const FieldDescriptor& field) {
  std::map<std::string, Json> sorted;
  for (int i = 0; i < message.GetReflection()->FieldSize(message, &field); ++i) {
    const auto& entry = message.GetReflection()->GetRepeatedMessage(message, &field, i);
    const Json key = ValueToJson(entry, *field.message_type()->map_key(), -1);
    sorted[key.is_string() ? key.get<std::string>() : key.dump()] =
        ValueToJson(entry, *field.message_type()->map_value(), -1);
  }
  Json object = Json::object();
  for (auto& [key, value] : sorted) object[key] = std::move(value);
  return object;
}

bool Shown(const Message& message, const FieldDescriptor& field) {
  const auto& reflection = *message.GetReflection();
  if (field.is_repeated()) return reflection.FieldSize(message, &field) > 0;
  if (reflection.HasField(message, &field)) return true;
  return !field.has_presence() && field.cpp_type() != FieldDescriptor::CPPTYPE_STRING &&
         field.cpp_type() != FieldDescriptor::CPPTYPE_ENUM;
}

Json ToJson(const Message& message) {
  const std::string& type = message.GetDescriptor()->full_name();
  if (type == "google.protobuf.Duration") {
    google::protobuf::Duration value;
    value.CopyFrom(message);
    return absl::FormatDuration(absl::Seconds(value.seconds()) + absl::Nanoseconds(value.nanos()));
  }
  if (type == "google.protobuf.Timestamp") {
    google::protobuf::Timestamp value;
    value.CopyFrom(message);
    return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ",
                            absl::FromUnixSeconds(value.seconds()) + absl::Nanoseconds(value.nanos()),
                            absl::UTCTimeZone());
  }
  Json object = Json::object();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const auto& field = *message.GetDescriptor()->field(i);
    if (!Shown(message, field)) continue;
    if (field.is_map()) {
      object[field.name()] = MapToJson(message, field);
    } else if (field.is_repeated()) {
      Json list = Json::array();
      for (int k = 0; k < message.GetReflection()->FieldSize(message, &field); ++k) {
        list.push_back(ValueToJson(message, field, k));
      }
      object[field.name()] = std::move(list);
    } else {
      object[field.name()] = ValueToJson(message, field, -1);
    }
  }
  return object;
}

std::string Dump(const Json& value, int indent = -1) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Text that YAML readers of any version take for text without quotes.
bool IsPlain(const std::string& text) {
  if (text.empty() || text.size() >= 512) return false;
  const auto is_letter = [](char c) {
    return absl::ascii_isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '/';
  };
  const auto is_inner = [&](char c) {
    return is_letter(c) || absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
           absl::StrContains(".@+-", absl::string_view(&c, 1));
  };
  for (const char* reserved : {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}) {
    if (absl::EqualsIgnoreCase(text, reserved)) return false;
  }
  return is_letter(text[0]) && std::all_of(text.begin(), text.end(), is_inner);
}

std::string YamlScalar(const Json& value) {
  if (value.is_string() && IsPlain(value.get_ref<const std::string&>())) return value.get<std::string>();
  return Dump(value);  // a JSON scalar is a YAML scalar
}

bool IsLeaf(const Json& value) {
  if (!value.is_structured() || value.empty()) return true;
  if (!value.is_array()) return false;
  for (const auto& item : value) {
    if (item.is_structured()) return false;
  }
  return true;
}

std::string YamlLeaf(const Json& value) {
  if (!value.is_structured()) return YamlScalar(value);
  if (value.is_object()) return "{}";
  std::string text = "[";
  for (const auto& item : value) absl::StrAppend(&text, text.size() > 1 ? ", " : "", YamlScalar(item));
  return text + "]";
}

// Lines of a non-leaf, each after `indent` spaces; `first_done`: the first line's indent is already written.
void WriteYaml(const Json& value, size_t indent, bool first_done, std::string* out) {
  auto pad = [&] {
    if (!first_done) out->append(indent, ' ');
    first_done = false;
  };
  if (value.is_array()) {
    for (const auto& item : value) {
      pad();
      out->append("- ");
      if (IsLeaf(item)) {
        absl::StrAppend(out, YamlLeaf(item), "\n");
      } else {
        WriteYaml(item, indent + 2, true, out);
      }
    }
    return;
  }
  for (const auto& [key, item] : value.items()) {
    pad();
    absl::StrAppend(out, YamlScalar(key), ":");
    if (IsLeaf(item)) {
      absl::StrAppend(out, " ", YamlLeaf(item), "\n");
    } else {
      out->append("\n");
      WriteYaml(item, indent + 2, false, out);
    }
  }
}

}  // namespace

std::string MessageToJson(const Message& message) { return Dump(ToJson(message), 2) + "\n"; }

std::string MessageToCompactJson(const Message& message) { return Dump(ToJson(message)); }

std::string MessageToYaml(const Message& message) {
  const Json json = ToJson(message);
  if (IsLeaf(json)) return YamlLeaf(json) + "\n";
  std::string out;
  WriteYaml(json, 0, false, &out);
  return out;
}

}  // namespace lockstep
