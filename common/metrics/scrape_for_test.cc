#include "common/metrics/scrape_for_test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"

namespace lockstep {

std::string AskForTest(int port, const std::string& method, const std::string& path,
                       const std::string& headers) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request =
        absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: localhost\r\n", headers, "\r\n");
    if (write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
      char buffer[4096];
      for (ssize_t n; (n = read(fd, buffer, sizeof buffer)) > 0;)
        answer.append(buffer, static_cast<size_t>(n));
    }
  }
  close(fd);
  return answer;
}

std::string ScrapeForTest(int port) {
  const std::string answer = AskForTest(port, "GET", "/metrics", "");
  const size_t body = answer.find("\r\n\r\n");
  if (answer.find(" 200 ") == std::string::npos || body == std::string::npos) return "";
  return answer.substr(body + 4);
}

std::string CheckWithPromtool(const std::string& page) {
  if (std::system("command -v promtool >/dev/null 2>&1") != 0) {
    std::cerr << "promtool is not installed (Debian: package prometheus): its check is skipped\n";
    return "";
  }
  char path[] = "/tmp/lockstep-metrics-XXXXXX";
  const int fd = mkstemp(path);
  if (fd < 0) return "cannot make a temporary file";
  close(fd);
  std::ofstream(path) << page;
  std::string complaints;
  FILE* tool = popen(absl::StrCat("promtool check metrics <", path, " 2>&1").c_str(), "r");
  char buffer[4096];
  for (size_t n; (n = fread(buffer, 1, sizeof buffer, tool)) > 0;) complaints.append(buffer, n);
  const int code = pclose(tool);
  unlink(path);
  if (code != 0 && complaints.empty()) complaints = absl::StrCat("promtool ended with status ", code);
  return complaints;
}

}  // namespace lockstep
