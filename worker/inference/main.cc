// lockstep-model: works with a trained model's folder. `lockstep generate` starts it; what it writes to
// standard output is the result, and to standard error what went wrong.
//
// Exit codes: 0; 2: the arguments, or the prompt; 102: a file is not there; 1: anything else.
#include <csignal>
#include <cstdio>
#include <limits>
#include <string>
#include <thread>

#include "common/flags/command_line.h"
#include "worker/engine/engine.h"
#include "worker/inference/language_generator.h"

namespace lockstep {
namespace {

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "%s\n", std::string(status.message()).c_str());
  return absl::IsNotFound(status) ? 102 : absl::IsInvalidArgument(status) ? 2 : 1;
}

struct Arguments {
  std::string folder, tokenizer, prompt;
  int64_t tokens = 200;
  int threads = 0;
  SamplingOptions sampling;
};

int Generate(const Arguments& arguments) {
  const int threads = arguments.threads > 0
                          ? arguments.threads
                          : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  auto generator = LanguageGenerator::Load(arguments.folder, arguments.tokenizer, threads);
  if (!generator.ok()) return Fail(generator.status());
  const absl::Status done =
      (*generator)
          ->Generate(arguments.prompt, arguments.tokens, arguments.sampling, [](std::string_view text) {
            std::fwrite(text.data(), 1, text.size(), stdout);
            return std::fflush(stdout) == 0;  // the reader is gone
          });
  return done.ok() ? 0 : Fail(done);
}

int Logits(const Arguments& arguments) {
  auto generator = LanguageGenerator::Load(arguments.folder, arguments.tokenizer, 1);
  if (!generator.ok()) return Fail(generator.status());
  const auto logits = (*generator)->Logits(arguments.prompt);
  if (!logits.ok()) return Fail(logits.status());
  for (const float value : *logits) std::printf("%.9g\n", static_cast<double>(value));
  return 0;
}

}  // namespace
}  // namespace lockstep

int main(int argc, char** argv) {
  using lockstep::Flags;
  constexpr double kAny = std::numeric_limits<double>::max();
  constexpr int kMost = std::numeric_limits<int>::max();
  lockstep::CommandLine line("lockstep-model",
                             "Works with a trained model's folder. `lockstep generate` starts it.");
  lockstep::Arguments arguments;
  Flags generate = line.Command("generate", "continues a prompt");
  generate.Positional("FOLDER", &arguments.folder, "the model's");
  generate.RequiredText("--prompt", &arguments.prompt, "what is continued", "TEXT");
  generate.Number("--tokens", &arguments.tokens, std::numeric_limits<int64_t>::min(),
                  std::numeric_limits<int64_t>::max(), "how many");
  generate.Real("--temperature", &arguments.sampling.temperature, -kAny, kAny,
                "0: always the likeliest token");
  generate.Number("--top-k", &arguments.sampling.top_k, -kMost, kMost, "only among so many; 0: all");
  generate.Real("--top-p", &arguments.sampling.top_p, -kAny, kAny,
                "only among the likeliest that make this share");
  generate.Number("--seed", &arguments.sampling.seed, uint64_t{0}, std::numeric_limits<uint64_t>::max(),
                  "of the draws");
  generate.Text("--tokenizer", &arguments.tokenizer, "its files, where they are not in FOLDER", "PATH");
  generate.Number("--threads", &arguments.threads, 0, 1024, "0: one per core");
  Flags logits =
      line.Command("logits", "prints the model's output for the token after a prompt, a number a line");
  logits.Positional("FOLDER", &arguments.folder, "the model's");
  logits.RequiredText("--prompt", &arguments.prompt, "what the token follows", "TEXT");
  logits.Text("--tokenizer", &arguments.tokenizer, "its files, where they are not in FOLDER", "PATH");
  if (const auto exit = line.Parse(argc, argv)) return lockstep::Leave(*exit);
  std::signal(SIGPIPE, SIG_IGN);
  lockstep::engine::PrepareComputeThread();
  return line.command() == "logits" ? lockstep::Logits(arguments) : lockstep::Generate(arguments);
}
