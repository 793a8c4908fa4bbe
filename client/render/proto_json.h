// A message in protobuf's canonical JSON form, as any other client of the API would print it.
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace lockstep {

// Indented over several lines, or `compact` on one; ends with a newline. Empty lists and zeros are there, so
// that scripts need not ask whether a key exists.
std::string ProtoJson(const google::protobuf::Message& message, bool compact = false);

}  // namespace lockstep
