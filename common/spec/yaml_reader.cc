#include "common/spec/yaml_reader.h"

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/spec/spec.h"
#include "common/spec/text_names.h"
#include "common/text/utf8.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "yaml-cpp/eventhandler.h"
#include "yaml-cpp/yaml.h"

namespace lockstep {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

constexpr char kDuration[] = "google.protobuf.Duration";

std::string Join(const std::string& path, const std::string& name) {
  return path.empty() ? name : absl::StrCat(path, ".", name);
}

// What came, for the end of an error message.
std::string Describe(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Map:
      return "a mapping";
    case YAML::NodeType::Scalar: {
      constexpr size_t kLongest = 60;
      const std::string& text = node.Scalar();
      const bool quoted = node.Tag() == "!";
      return absl::StrCat(quoted ? "the text '" : "'", text.substr(0, kLongest),
                          text.size() > kLongest ? "..." : "", "'");
    }
    default:
      return "nothing";
  }
}

std::string DidYouMean(const std::string& name, const std::vector<std::string>& candidates) {
  const std::string nearest = Nearest(name, candidates);
  return nearest.empty() ? "" : absl::StrCat("; did you mean '", nearest, "'?");
}

std::string OneofKeys(const google::protobuf::OneofDescriptor& oneof) {
  std::vector<std::string> names;
  for (int i = 0; i < oneof.field_count(); ++i) names.push_back(oneof.field(i)->name());
  return absl::StrJoin(names, ", ");
}

class Reader {
 public:
  // `fixed_place`: an override's text, which stands for every line; empty: "file:line".
  Reader(std::string file, std::string fixed_place)
      : file_(std::move(file)), fixed_place_(std::move(fixed_place)) {}

  absl::Status Error(const YAML::Node& at, const std::string& path, absl::string_view message) const {
    const int line = at.IsDefined() ? at.Mark().line + 1 : 0;
    const std::string place = !fixed_place_.empty() ? fixed_place_
                              : line > 0            ? absl::StrCat(file_, ":", line)
                                                    : file_;
    return absl::InvalidArgumentError(path.empty() ? absl::StrCat(place, ": ", message)
                                                   : absl::StrCat(place, ": ", path, ": ", message));
  }

  absl::Status Wrong(const YAML::Node& at, const std::string& path, absl::string_view expected) const {
    return Error(at, path, absl::StrCat("expected ", expected, ", got ", Describe(at)));
  }

  absl::Status UnknownField(const YAML::Node& at, const std::string& path, const std::string& key,
                            const Descriptor& type) const {
    const auto names = FieldTexts(type);
    std::string hint = DidYouMean(key, names);
    if (hint.empty()) {
      hint = names.empty() ? "; no fields are expected here"
                           : absl::StrCat("; expected one of ", absl::StrJoin(names, ", "));
    }
    return Error(at, Join(path, key), absl::StrCat("unknown field", hint));
  }

  // REQUIRES: `message` is not a Duration.
  absl::Status ReadMessage(const YAML::Node& node, const std::string& path, Message* message) const {
    if (node.IsNull()) return absl::OkStatus();
    const Descriptor& type = *message->GetDescriptor();
    if (!node.IsMap()) {
      const auto names = FieldTexts(type);
      return Wrong(node, path,
                   names.empty() ? "{}" : absl::StrCat("a mapping with ", absl::StrJoin(names, ", ")));
    }
    std::map<std::string, int> seen;                                         // key -> line
    std::map<const google::protobuf::OneofDescriptor*, std::string> chosen;  // oneof -> its key
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Wrong(entry.first, path, "a field name");
      const std::string& key = entry.first.Scalar();
      const FieldDescriptor* field = type.FindFieldByName(key);
      if (field == nullptr) return UnknownField(entry.first, path, key, type);
      RETURN_IF_ERROR(CheckFirst(entry.first, path, &seen));
      if (const auto* oneof = field->real_containing_oneof()) {
        const auto [at, first] = chosen.emplace(oneof, key);
        if (!first) {
          return Error(entry.first, Join(path, key),
                       absl::StrCat("'", at->second, "' was already chosen in line ", seen[at->second],
                                    "; give only one of ", OneofKeys(*oneof)));
        }
      }
      RETURN_IF_ERROR(ReadField(entry.second, Join(path, key), *field, message));
    }
    return absl::OkStatus();
  }

  // Replaces the value of `field`.
  absl::Status ReadField(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                         Message* message) const {
    const auto& reflection = *message->GetReflection();
    reflection.ClearField(message, &field);
    if (field.is_map()) return ReadMap(node, path, field, message);
    if (field.is_repeated()) return ReadList(node, path, field, message);
    if (field.cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) return ReadScalar(node, path, field, message);
    Message* child = reflection.MutableMessage(message, &field);
    if (field.message_type()->full_name() == kDuration) return ReadDuration(node, path, child);
    return ReadMessage(node, path, child);
  }

  // Sets entry `key` of map `field`, replacing one that is there.
  absl::Status ReadMapEntry(const std::string& key, const YAML::Node& value, const std::string& path,
                            const FieldDescriptor& field, Message* message) const {
    const auto& reflection = *message->GetReflection();
    const FieldDescriptor* key_field = field.message_type()->map_key();
    Message* entry = nullptr;
    for (int i = 0; i < reflection.FieldSize(*message, &field) && entry == nullptr; ++i) {
      Message* candidate = reflection.MutableRepeatedMessage(message, &field, i);
      if (candidate->GetReflection()->GetString(*candidate, key_field) == key) entry = candidate;
    }
    if (entry == nullptr) {
      entry = reflection.AddMessage(message, &field);
      entry->GetReflection()->SetString(entry, key_field, key);
    }
    return ReadField(value, Join(path, key), *field.message_type()->map_value(), entry);
  }

 private:
  absl::Status CheckFirst(const YAML::Node& key, const std::string& path,
                          std::map<std::string, int>* seen) const {
    const auto [at, first] = seen->emplace(key.Scalar(), key.Mark().line + 1);
    if (first) return absl::OkStatus();
    return Error(key, Join(path, key.Scalar()), absl::StrCat("given twice; first in line ", at->second));
  }

  // REQUIRES: the map's keys are strings.
  absl::Status ReadMap(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                       Message* message) const {
    if (node.IsNull()) return absl::OkStatus();
    if (!node.IsMap()) return Wrong(node, path, "a mapping from names to values");
    std::map<std::string, int> seen;
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) return Wrong(entry.first, path, "a name");
      RETURN_IF_ERROR(CheckFirst(entry.first, path, &seen));
      RETURN_IF_ERROR(ReadMapEntry(entry.first.Scalar(), entry.second, path, field, message));
    }
    return absl::OkStatus();
  }

  absl::Status ReadList(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                        Message* message) const {
    const bool messages = field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
    if (!node.IsSequence()) {
      return Wrong(node, path,
                   messages ? absl::StrCat("a list of mappings with ",
                                           absl::StrJoin(FieldTexts(*field.message_type()), ", "))
                   : field.cpp_type() == FieldDescriptor::CPPTYPE_STRING ? "a list such as [one, two]"
                                                                         : "a list such as [128, 64]");
    }
    int index = 0;
    for (const auto& item : node) {
      const std::string at = absl::StrCat(path, "[", index++, "]");
      if (messages) {
        RETURN_IF_ERROR(ReadMessage(item, at, message->GetReflection()->AddMessage(message, &field)));
      } else {
        RETURN_IF_ERROR(ReadScalar(item, at, field, message));
      }
    }
    return absl::OkStatus();
  }

  absl::Status ReadDuration(const YAML::Node& node, const std::string& path, Message* message) const {
    absl::Duration duration;
    if (!node.IsScalar() || !absl::ParseDuration(node.Scalar(), &duration) ||
        duration == absl::InfiniteDuration() || duration == -absl::InfiniteDuration()) {
      return Wrong(node, path, "a duration such as 30s, 5m or 1h30m");
    }
    google::protobuf::Duration value;
    value.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
    value.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
    message->CopyFrom(value);
    return absl::OkStatus();
  }

  template <typename T>
  static bool ParseInteger(const YAML::Node& node, T* value) {
    return node.IsScalar() && node.Tag() != "!" && absl::SimpleAtoi(node.Scalar(), value);
  }

  template <typename T>
  absl::Status WrongInteger(const YAML::Node& node, const std::string& path) const {
    double number;
    const bool is_number = node.IsScalar() && node.Tag() != "!" && absl::SimpleAtod(node.Scalar(), &number);
    if (is_number && std::trunc(number) == number) {
      return Wrong(node, path,
                   absl::StrCat("an integer in plain digits from ", std::numeric_limits<T>::min(), " to ",
                                std::numeric_limits<T>::max()));
    }
    return Wrong(node, path, "an integer");
  }

  template <typename T, typename Store>
  absl::Status ReadInteger(const YAML::Node& node, const std::string& path, Store store) const {
    T value;
    if (!ParseInteger(node, &value)) return WrongInteger<T>(node, path);
    store(value);
    return absl::OkStatus();
  }

  // Sets a singular field, or adds to a repeated one.
  absl::Status ReadScalar(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                          Message* message) const {
    const auto& reflection = *message->GetReflection();
    const bool add = field.is_repeated();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_INT32:
        return ReadInteger<int32_t>(node, path, [&](int32_t value) {
          add ? reflection.AddInt32(message, &field, value) : reflection.SetInt32(message, &field, value);
        });
      case FieldDescriptor::CPPTYPE_INT64:
        return ReadInteger<int64_t>(node, path, [&](int64_t value) {
          add ? reflection.AddInt64(message, &field, value) : reflection.SetInt64(message, &field, value);
        });
      case FieldDescriptor::CPPTYPE_UINT64:
        return ReadInteger<uint64_t>(node, path, [&](uint64_t value) {
          add ? reflection.AddUInt64(message, &field, value) : reflection.SetUInt64(message, &field, value);
        });
      case FieldDescriptor::CPPTYPE_DOUBLE: {
        double value;
        if (!node.IsScalar() || node.Tag() == "!" || !absl::SimpleAtod(node.Scalar(), &value) ||
            !std::isfinite(value)) {
          return Wrong(node, path, "a number");
        }
        add ? reflection.AddDouble(message, &field, value) : reflection.SetDouble(message, &field, value);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_BOOL: {
        const std::string text = node.IsScalar() && node.Tag() != "!" ? node.Scalar() : "";
        const bool yes = text == "true" || text == "True" || text == "TRUE";
        if (!yes && text != "false" && text != "False" && text != "FALSE") {
          return Wrong(node, path, "true or false");
        }
        add ? reflection.AddBool(message, &field, yes) : reflection.SetBool(message, &field, yes);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_STRING: {
        // "--set dataset.path=" empties the field; a bare "path:" in a file is rather a slip.
        if (!node.IsScalar() && !(node.IsNull() && !fixed_place_.empty())) return Wrong(node, path, "text");
        const std::string text = node.IsScalar() ? node.Scalar() : "";
        add ? reflection.AddString(message, &field, text) : reflection.SetString(message, &field, text);
        return absl::OkStatus();
      }
      case FieldDescriptor::CPPTYPE_ENUM:
        return ReadEnum(node, path, field, message);
      default:
        return Error(node, path, absl::StrCat("fields of type ", field.type_name(), " cannot be given here"));
    }
  }

  absl::Status ReadEnum(const YAML::Node& node, const std::string& path, const FieldDescriptor& field,
                        Message* message) const {
    const auto& type = *field.enum_type();
    if (node.IsScalar()) {
      for (int i = 1; i < type.value_count(); ++i) {
        if (EnumText(*type.value(i)) != node.Scalar()) continue;
        const auto& reflection = *message->GetReflection();
        field.is_repeated() ? reflection.AddEnum(message, &field, type.value(i))
                            : reflection.SetEnum(message, &field, type.value(i));
        return absl::OkStatus();
      }
    }
    const auto names = EnumTexts(type);
    return Error(node, path,
                 absl::StrCat("expected one of ", absl::StrJoin(names, ", "), ", got ", Describe(node),
                              node.IsScalar() ? DidYouMean(node.Scalar(), names) : ""));
  }

  std::string file_;
  std::string fixed_place_;
};

// Takes a document and keeps nothing.
class Ignore : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

// yaml-cpp's LoadAll finds documents without end, and fills the memory with them, in a text such as ",".
bool HasSeveralDocuments(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Ignore ignore;
  return parser.HandleNextDocument(ignore) && parser.HandleNextDocument(ignore);
}

}  // namespace

absl::Status ReadYaml(std::string_view yaml, std::string_view file_name, Message* message) {
  const std::string file(file_name);
  // yaml-cpp lets any bytes pass; a proto's text must be UTF-8, or no message with it arrives.
  RETURN_IF_ERROR(Annotate(CountCharacters(yaml).status(), file));
  try {
    const std::string text(yaml);
    if (HasSeveralDocuments(text)) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": expected one YAML document, got several (separated by ---)"));
    }
    const YAML::Node document = YAML::Load(text);
    if (document.IsNull()) {
      return absl::InvalidArgumentError(
          absl::StrCat(file, ": is empty; expected a mapping with ",
                       absl::StrJoin(FieldTexts(*message->GetDescriptor()), ", ")));
    }
    return Reader(file, "").ReadMessage(document, "", message);
  } catch (const YAML::Exception& e) {
    // Line and column are absent from some of yaml-cpp's errors.
    return absl::InvalidArgumentError(e.mark.is_null() ? absl::StrCat(file, ": not valid YAML: ", e.msg)
                                                       : absl::StrCat(file, ":", e.mark.line + 1,
                                                                      ": not valid YAML: ", e.msg,
                                                                      " (column ", e.mark.column + 1, ")"));
  }
}

absl::Status ApplyOverride(std::string_view text_view, Message* message) {
  const std::string text(text_view);
  const std::string place = absl::StrCat("--set ", text);
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(place, ": expected field=value, for example train.epochs=5"));
  }
  RETURN_IF_ERROR(Annotate(CountCharacters(text).status(), "--set"));
  const Reader reader("", place);
  try {
    const YAML::Node value = YAML::Load(text.substr(equals + 1));
    const std::vector<std::string> parts = absl::StrSplit(text.substr(0, equals), '.');
    std::string path;
    for (size_t i = 0; i < parts.size(); ++i) {
      const FieldDescriptor* field = message->GetDescriptor()->FindFieldByName(parts[i]);
      if (field == nullptr) return reader.UnknownField({}, path, parts[i], *message->GetDescriptor());
      path = Join(path, parts[i]);
      if (i + 1 == parts.size()) return reader.ReadField(value, path, *field, message);
      if (field->is_map()) {  // the rest is the key, dots and all
        const std::string key =
            absl::StrJoin(parts.begin() + static_cast<std::ptrdiff_t>(i) + 1, parts.end(), ".");
        return reader.ReadMapEntry(key, value, path, *field, message);
      }
      if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE ||
          field->message_type()->full_name() == kDuration) {
        return reader.Error({}, path, absl::StrCat("has no fields, so '.", parts[i + 1], "' cannot follow"));
      }
      message = message->GetReflection()->MutableMessage(message, field);
    }
    return absl::OkStatus();
  } catch (const YAML::Exception& e) {
    return absl::InvalidArgumentError(absl::StrCat(place, ": the value is not valid YAML: ", e.msg));
  }
}

}  // namespace lockstep
