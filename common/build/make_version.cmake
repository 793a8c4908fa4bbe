execute_process(COMMAND git -C ${SOURCE_DIR} describe --tags --always --dirty
  OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  set(described "unknown")
endif()
if(NOT described MATCHES "^v")
  set(described "0.1.0+${described}")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} @ONLY CONTENT [[
#include "common/base/version.h"
namespace lockstep {
const char* Version() { return "@described@"; }
}  // namespace lockstep
]])
