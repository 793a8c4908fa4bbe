// For tests of any daemon: fetches its /metrics page as Prometheus would, and has promtool judge it.
#pragma once

#include <string>

namespace lockstep {

// The body of GET http://127.0.0.1:<port>/metrics; empty if that fails.
std::string ScrapeForTest(int port);

// What `promtool check metrics` complains about; "" if nothing, or if promtool is not installed (said on
// stderr).
std::string CheckWithPromtool(const std::string& page);

}  // namespace lockstep
