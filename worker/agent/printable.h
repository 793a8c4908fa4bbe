// Text of unknown origin (a program's output) as text that a protobuf string may carry and a terminal may
// show.
#pragma once

#include <string>
#include <string_view>

namespace lockstep {

// Bytes that are not UTF-8, and control characters except the tab, become '?'.
std::string Printable(std::string_view text);

}  // namespace lockstep
