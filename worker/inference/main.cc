// lockstep-model: works with a trained model's folder. `lockstep generate` starts it; what it writes to
// standard output is the result, and to standard error what went wrong.
//
// Exit codes: 0; 2: the arguments, or the prompt; 102: a file is not there; 1: anything else.
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include "CLI/CLI.hpp"
#include "common/base/version.h"
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
  CLI::App app("lockstep-model: works with a trained model's folder. `lockstep generate` starts it.");
  app.require_subcommand(1);
  app.set_version_flag("--version", lockstep::Version());
  lockstep::Arguments arguments;
  CLI::App* generate = app.add_subcommand("generate", "continues a prompt");
  generate->add_option("FOLDER", arguments.folder)->required();
  generate->add_option("--prompt", arguments.prompt)->required();
  generate->add_option("--tokens", arguments.tokens);
  generate->add_option("--temperature", arguments.sampling.temperature);
  generate->add_option("--top-k", arguments.sampling.top_k);
  generate->add_option("--top-p", arguments.sampling.top_p);
  generate->add_option("--seed", arguments.sampling.seed);
  generate->add_option("--tokenizer", arguments.tokenizer);
  generate->add_option("--threads", arguments.threads);
  CLI::App* logits =
      app.add_subcommand("logits", "prints the model's output for the token after a prompt, a number a line");
  logits->add_option("FOLDER", arguments.folder)->required();
  logits->add_option("--prompt", arguments.prompt)->required();
  logits->add_option("--tokenizer", arguments.tokenizer);
  CLI11_PARSE(app, argc, argv);
  std::signal(SIGPIPE, SIG_IGN);
  lockstep::engine::PrepareComputeThread();
  return *logits ? lockstep::Logits(arguments) : lockstep::Generate(arguments);
}
