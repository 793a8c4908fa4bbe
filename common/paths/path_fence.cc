#include "common/paths/path_fence.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_join.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct Folder {
  std::string given;  // absolute, normal
  std::string real;   // without links
  int fd = -1;
};

int OpenBeneath(int folder, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<uint64_t>(flags | O_CLOEXEC);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
  for (int tries = 0;; ++tries) {
    const long fd = ::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how);
    if (fd >= 0) return static_cast<int>(fd);
    // EAGAIN: something on the way was renamed meanwhile, and the kernel cannot tell where to.
    if (errno != EINTR && (errno != EAGAIN || tries == 100)) return -1;
  }
}

// Where `path` lies in `folder`; empty: it does not.
std::string Within(const std::string& folder, const std::string& path) {
  if (path == folder) return ".";
  if (path.size() <= folder.size() + 1 || path.compare(0, folder.size(), folder) != 0) return "";
  return path[folder.size()] == '/' ? path.substr(folder.size() + 1) : "";
}

std::string Plain(const std::string& path) {
  std::error_code error;
  std::string plain = fs::absolute(path, error).lexically_normal().string();
  if (error) return path;
  while (plain.size() > 1 && plain.back() == '/') plain.pop_back();
  return plain;
}

// As it may stand in a message or a log: one short line.
std::string Shown(std::string_view path) {
  constexpr size_t kShown = 200;
  const std::string head = absl::CHexEscape(std::string(path.substr(0, kShown)));
  return path.size() <= kShown ? absl::StrCat("'", head, "'")
                               : absl::StrCat("'", head, "...' (", path.size(), " bytes)");
}

bool Climbs(const std::string& path) {
  for (const fs::path& part : fs::path(path)) {
    if (part == "..") return true;
  }
  return false;
}

// The folders of a pattern before the first part with a wildcard.
std::string BeforeWildcards(const std::string& path) {
  const size_t wildcard = path.find_first_of("*?[");
  if (wildcard == std::string::npos) return path;
  const size_t slash = path.rfind('/', wildcard);
  return slash == std::string::npos ? "." : path.substr(0, std::max<size_t>(slash, 1));
}

}  // namespace

struct PathFence::State {
  ~State() {
    for (const Folder& folder : all) ::close(folder.fd);
  }
  std::vector<Folder> all;
  std::string flag;
};

absl::StatusOr<PathFence> PathFence::Around(const std::vector<std::string>& folders,
                                            const std::string& flag) {
  auto state = std::make_shared<State>();
  state->flag = flag;
  bool everywhere = false;
  for (const std::string& name : folders) {
    Folder folder{Plain(name), "", -1};
    folder.fd = ::open(folder.given.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder.fd < 0) {
      return absl::FailedPreconditionError(absl::StrCat(flag, " ", folder.given, ": ", std::strerror(errno),
                                                        "; expected a folder that this user may search"));
    }
    std::error_code error;
    folder.real = fs::canonical(folder.given, error).string();
    state->all.push_back(folder);
    everywhere |= folder.given == "/" || folder.real == "/";
    const int probe = OpenBeneath(folder.fd, ".", O_PATH);
    if (probe < 0) {
      return absl::FailedPreconditionError(absl::StrCat(flag, " ", folder.given,
                                                        ": openat2: ", std::strerror(errno),
                                                        "; files are kept inside of a folder by openat2, "
                                                        "which Linux has from 5.6 on, unless a container's ",
                                                        "seccomp profile forbids it. Without it give ", flag,
                                                        " / (no fence), on a network that you trust"));
    }
    ::close(probe);
  }
  if (everywhere) return PathFence();
  PathFence fence;
  fence.state_ = std::move(state);
  return fence;
}

std::string PathFence::folders() const {
  if (!fenced()) return "/";
  if (state_->all.empty()) return "none";
  return absl::StrJoin(state_->all, ", ",
                       [](std::string* out, const Folder& folder) { out->append(folder.given); });
}

int PathFence::Open(const std::string& path, int flags) const {
  if (!fenced()) return ::open(path.c_str(), flags | O_CLOEXEC);
  const std::string plain = Climbs(path) ? "" : Plain(path);
  int error = EXDEV;
  for (const Folder& folder : state_->all) {
    for (const std::string* name : {&folder.given, &folder.real}) {
      const std::string inside = Within(*name, plain);
      if (inside.empty()) continue;
      const int fd = OpenBeneath(folder.fd, inside, flags);
      if (fd >= 0) return fd;
      if (error == EXDEV) error = errno;
    }
  }
  errno = error;
  return -1;
}

absl::Status CheckPathText(std::string_view field, std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    return absl::InvalidArgumentError(
        absl::StrCat(std::string(field), ": ", Shown(path), " ", std::string(why)));
  };
  if (path.size() >= PATH_MAX) {
    return refuse(absl::StrCat("is too long: the limit of a path is ", PATH_MAX - 1, " bytes"));
  }
  size_t part = 0;
  for (const char c : path) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7f) {
      return refuse("has a control character; expected a path");
    }
    part = c == '/' ? 0 : part + 1;
    if (part > NAME_MAX) {
      return refuse(absl::StrCat("has a part that is too long: the limit of a name is ", NAME_MAX, " bytes"));
    }
  }
  return absl::OkStatus();
}

absl::Status PathFence::Check(std::string_view field, const std::string& path, bool pattern) const {
  RETURN_IF_ERROR(CheckPathText(field, path));
  if (!fenced()) return absl::OkStatus();
  const std::string head = absl::StrCat(std::string(field), ": ", Shown(path));
  const std::string where = absl::StrCat("(", state_->flag, " ", folders(), ")");
  if (Climbs(path)) {
    return absl::InvalidArgumentError(absl::StrCat(head, " climbs with '..', which is not followed ", where,
                                                   "; write the path without it"));
  }
  const int fd = Open(pattern ? BeforeWildcards(path) : path, O_PATH);
  const int error = errno;
  if (fd >= 0) {
    ::close(fd);
    return absl::OkStatus();
  }
  if (error == EXDEV || error == ELOOP) {
    return absl::PermissionDeniedError(absl::StrCat(
        head, " lies outside of the folders that clients may name files in, or a link leads out ", where,
        "; put it below one of them, or have it served with another ", state_->flag));
  }
  if (error == ENOENT || error == ENOTDIR) {
    return absl::NotFoundError(absl::StrCat(head, ": no such file or folder ", where,
                                            "; nothing in a path is decoded, it is taken as it is"));
  }
  const std::string text = absl::StrCat(head, ": ", std::strerror(error), " ", where);
  return error == EACCES || error == EPERM ? absl::PermissionDeniedError(absl::StrCat(
                                                 text, "; the user that runs lockstep needs read permission"))
                                           : absl::InvalidArgumentError(text);
}

namespace {

PathFence& ProcessFence() {
  static auto* const fence = new PathFence;
  return *fence;
}

}  // namespace

const PathFence& ReadFence() { return ProcessFence(); }
void SetReadFence(PathFence fence) { ProcessFence() = std::move(fence); }

absl::StatusOr<std::string> ReadNamedFile(const std::string& path, size_t limit) {
  const int fd = ReadFence().Open(path, O_RDONLY | O_NONBLOCK);  // a FIFO must not hang us
  if (fd < 0) {
    const std::string message = absl::StrCat(path, ": cannot be read: ", std::strerror(errno));
    if (errno == ENOENT || errno == ENOTDIR) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    return errno == EACCES || errno == EPERM || errno == EXDEV ? absl::PermissionDeniedError(message)
                                                               : absl::InvalidArgumentError(message);
  }
  const absl::Cleanup close = [fd] { ::close(fd); };
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is not a regular file"));
  }
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t got = ::read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": cannot be read: ", std::strerror(errno)));
    }
    if (got == 0) return content;
    content.append(buffer, static_cast<size_t>(got));
    if (content.size() > limit) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": is larger than ", limit, " bytes"));
    }
  }
}

std::string ReadNamedHead(const std::string& path, size_t bytes) {
  const int fd = ReadFence().Open(path, O_RDONLY | O_NONBLOCK);
  if (fd < 0) return "";
  std::string head(bytes, '\0');
  head.resize(static_cast<size_t>(std::max<ssize_t>(0, ::pread(fd, head.data(), bytes, 0))));
  ::close(fd);
  return head;
}

}  // namespace lockstep
