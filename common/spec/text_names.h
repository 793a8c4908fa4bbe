// How protobuf names appear to people: an enum value is written in lower case without its type's prefix
// (ACTIVATION_RELU is "relu"). Pure functions over descriptors.
#pragma once

#include <string>
#include <vector>

namespace google::protobuf {
class EnumDescriptor;
class EnumValueDescriptor;
class Descriptor;
}  // namespace google::protobuf

namespace lockstep {

// "relu"; "unspecified" for the zero value.
std::string EnumText(const google::protobuf::EnumValueDescriptor& value);

// The same from a number; "unknown(17)" for one that the enum does not have.
std::string EnumText(const google::protobuf::EnumDescriptor& type, int number);

// Every value but the unspecified one, in declaration order.
std::vector<std::string> EnumTexts(const google::protobuf::EnumDescriptor& type);

// Field names in declaration order.
std::vector<std::string> FieldTexts(const google::protobuf::Descriptor& type);

}  // namespace lockstep
