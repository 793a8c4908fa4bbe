#pragma once

namespace lockstep {

// "0.1.0+<git describe>": the same string in every program of one build.
const char* Version();

}  // namespace lockstep
