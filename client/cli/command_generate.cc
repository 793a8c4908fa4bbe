#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <limits>

#include "absl/strings/ascii.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/cli/local_cluster.h"
#include "common/process/child.h"

namespace lockstep {
namespace {

constexpr char kProgram[] = "lockstep-model";

struct Pipe {
  int read_end = -1, write_end = -1;
  ~Pipe() {
    CloseWriteEnd();
    if (read_end >= 0) ::close(read_end);
  }
  absl::Status Open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return absl::ErrnoToStatus(errno, "cannot make a pipe");
    read_end = ends[0];
    write_end = ends[1];
    return absl::OkStatus();
  }
  void CloseWriteEnd() {
    if (write_end >= 0) ::close(write_end);
    write_end = -1;
  }
};

class GenerateCommand : public Command {
 public:
  std::string name() const override { return "generate"; }
  std::string summary() const override { return "Let a trained language model continue a prompt"; }
  std::string examples() const override {
    return "lockstep generate lockstep-out/char-gpt --prompt 'int main('\n"
           "lockstep generate model --prompt 'Once' --tokens 500 --temperature 0.8 --top-k 40 --seed 7\n"
           "lockstep generate model --prompt 'Once' --temperature 0";
  }
  void Declare(Flags* flags) override {
    flags->Positional("MODEL", &folder_,
                      "A model's folder, as `lockstep run` or `lockstep download` leaves it");
    flags->Text("--prompt", &prompt_, "What to continue", "TEXT");
    flags->Number("--tokens", &tokens_, 1, 1000000000, "How many tokens to add (default 200)");
    flags->Real("--temperature", &temperature_, 0, 1000,
                "Below 1 bolder choices are rarer; 0 takes the likeliest token always (default 1)");
    flags->Number("--top-k", &top_k_, 0, std::numeric_limits<int>::max(),
                  "Choose among the K likeliest tokens alone (default: all)");
    flags->Real("--top-p", &top_p_, 0, 1,
                "Choose among the likeliest tokens that make up this probability (default 1)");
    flags->Number("--seed", &seed_, 0, std::numeric_limits<int>::max(),
                  "The same seed gives the same text (default 1)");
    flags->Text("--tokenizer", &tokenizer_,
                "Tokenizer folder, where the model was trained on token shards alone", "FOLDER");
    flags->Number("--threads", &threads_, 1, 1024, "Threads to compute with (default: one per processor)");
  }

  absl::StatusOr<int> Run(Session* session) override {
    if (prompt_.empty()) {
      return absl::InvalidArgumentError(
          "--prompt is missing or empty; for example --prompt 'Once upon a time'");
    }
    ASSIGN_OR_RETURN(const std::string program,
                     FindBinary(kProgram, session->environment().variable("LOCKSTEP_BIN_DIR")));
    Pipe out, err;
    RETURN_IF_ERROR(out.Open());
    RETURN_IF_ERROR(err.Open());
    Child::Options options;
    options.argv = {program,
                    "generate",
                    "--prompt=" + prompt_,
                    absl::StrCat("--tokens=", tokens_),
                    absl::StrCat("--temperature=", temperature_),
                    absl::StrCat("--top-k=", top_k_),
                    absl::StrCat("--top-p=", top_p_),
                    absl::StrCat("--seed=", seed_)};
    if (threads_ > 0) options.argv.push_back(absl::StrCat("--threads=", threads_));
    if (!tokenizer_.empty()) options.argv.push_back("--tokenizer=" + tokenizer_);
    options.argv.insert(options.argv.end(), {"--", folder_});
    options.fds = {{out.write_end, 1}, {err.write_end, 2}};
    ASSIGN_OR_RETURN(const std::unique_ptr<Child> child, Child::Spawn(options));
    out.CloseWriteEnd();
    err.CloseWriteEnd();
    const std::string said = Relay(session, out.read_end, err.read_end);
    if (session->interrupted().cancelled()) return kExitCancelled;
    const ExitStatus status = child->Wait();
    if (status.ok()) {
      session->out() << std::endl;
      return kExitSucceeded;
    }
    if (status.signal != 0 || said.empty()) {
      return absl::InternalError(
          absl::StrCat(kProgram, " ended with ", status.ToString(), said.empty() ? "" : ": ", said));
    }
    if (status.code == kExitNotFound) return absl::NotFoundError(said);
    return status.code == kExitUsage ? absl::InvalidArgumentError(said) : absl::InternalError(said);
  }

 private:
  // Passes the text on as it comes; returns what came from the other end.
  static std::string Relay(Session* session, int out, int err) {
    std::string said;
    pollfd waiting[2] = {{out, POLLIN, 0}, {err, POLLIN, 0}};
    while ((waiting[0].fd >= 0 || waiting[1].fd >= 0) && !session->interrupted().cancelled()) {
      // An interruption reaches us as EINTR or within the tick.
      if (::poll(waiting, 2, 100) <= 0) continue;
      for (pollfd& end : waiting) {
        if (end.fd < 0 || end.revents == 0) continue;
        char bytes[4096];
        const ssize_t count = ::read(end.fd, bytes, sizeof(bytes));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) {
          end.fd = -1;
        } else if (end.fd == out) {
          session->out().write(bytes, count).flush();
        } else {
          said.append(bytes, static_cast<size_t>(count));
        }
      }
    }
    absl::StripAsciiWhitespace(&said);
    return said;
  }

  std::string folder_, prompt_, tokenizer_;
  int tokens_ = 200, top_k_ = 0, seed_ = 1, threads_ = 0;
  double temperature_ = 1, top_p_ = 1;
};

}  // namespace

std::unique_ptr<Command> MakeGenerateCommand() { return std::make_unique<GenerateCommand>(); }

}  // namespace lockstep
