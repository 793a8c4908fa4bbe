// For tests of any daemon: fetches its /metrics page as Prometheus would, and has promtool judge it.
#pragma once

#include <string>

namespace lockstep {

// Everything that 127.0.0.1:<port> answers to one request; `headers`: lines that each end with CR LF.
std::string AskForTest(int port, const std::string& method, const std::string& path,
                       const std::string& headers);

// The body of GET http://127.0.0.1:<port>/metrics; empty if that fails.
std::string ScrapeForTest(int port);

// What `promtool check metrics` complains about; "" if nothing, or if promtool is not installed (said on
// stderr).
std::string CheckWithPromtool(const std::string& page);

}  // namespace lockstep
