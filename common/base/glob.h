// Glob patterns: `*` stands for any characters, `?` for one; everything else for itself. Used over the names
// of parameters, where dots are ordinary characters.
#pragma once

#include <string_view>

namespace lockstep {

// Linear but for backtracking to the last `*`: at most pattern times text steps.
bool MatchesGlob(std::string_view pattern, std::string_view text);

}  // namespace lockstep
