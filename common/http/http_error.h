// What a failure looks like over HTTP.
#pragma once

#include "common/base/status.h"
#include "common/http/http_message.h"

namespace lockstep {

// {"error": ...} under the HTTP status that stands for this one.
HttpResponse ErrorResponse(const absl::Status& status);

}  // namespace lockstep
