#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/commands.h"
#include "client/cli/exit_codes.h"
#include "client/render/text.h"
#include "common/data/dataset_files.h"
#include "common/data/language_source.h"
#include "common/text/byte_pair_tokenizer.h"
#include "common/text/byte_pair_training.h"
#include "common/text/token_shard.h"
#include "common/text/tokenizer.h"

namespace lockstep {
namespace {

// The text of a file, or of a folder or pattern of files, as a dataset of format text is read.
absl::StatusOr<LanguageSource> ReadText(const std::string& path) {
  v1::DatasetSpec spec;
  spec.set_path(path);
  spec.set_format(v1::DATASET_FORMAT_TEXT);
  ASSIGN_OR_RETURN(const DatasetFiles files, FindFiles(spec));
  return LoadLanguage(spec.format(), files.data, {});
}

// What to encode or decode: the argument, or standard input where it is missing or "-".
std::string TextOrInput(const std::string& text) {
  if (!text.empty() && text != "-") return text;
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

absl::Status RequireFlag(const std::string& value, const char* flag, const char* example) {
  if (!value.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(flag, " is missing; for example ", flag, " ", example));
}

class TrainTokenizerCommand : public Command {
 public:
  std::string name() const override { return "train"; }
  std::string summary() const override { return "Learn byte pairs from a text and write a tokenizer folder"; }
  std::string examples() const override {
    return "lockstep tokenizer train book.txt --vocabulary 4096 --output book-tokenizer\n"
           "lockstep tokenizer train 'src/*.cc' --vocabulary 1024 --output code-tokenizer";
  }
  void Declare(Flags* flags) override {
    flags->Positional("FILE", &file_, "UTF-8 text, plain or gzip; a folder of *.txt; or a pattern of files");
    flags->Number("--vocabulary", &vocabulary_, BytePairTokenizer::kBytes + 1,
                  BytePairTokenizer::kMaxVocabulary,
                  "Tokens to end with; 256 of them are the bytes (default 4096)");
    flags->Text("--output", &output_, "Folder for vocab.json and merges.txt, as GPT-2's", "FOLDER");
  }

  absl::StatusOr<int> Run(Session* session) override {
    RETURN_IF_ERROR(RequireFlag(output_, "--output", "my-tokenizer"));
    ASSIGN_OR_RETURN(const LanguageSource source, ReadText(file_));
    ASSIGN_OR_RETURN(const auto tokenizer, TrainBytePairs(source.text, vocabulary_));
    RETURN_IF_ERROR(tokenizer->Save(output_));
    std::vector<int32_t> tokens;
    RETURN_IF_ERROR(tokenizer->Encode(source.text, &tokens));
    session->err() << Printable(output_) << ": " << tokenizer->vocabulary() << " tokens";
    if (tokenizer->vocabulary() < vocabulary_) session->err() << " (nothing else occurs twice)";
    session->err() << "; the text's " << CountText(source.records) << " characters are "
                   << CountText(static_cast<int64_t>(tokens.size())) << " of them" << std::endl;
    return kExitSucceeded;
  }

 private:
  std::string file_, output_;
  int vocabulary_ = 4096;
};

class TokenizerUser : public Command {
 public:
  void Declare(Flags* flags) override {
    flags->Text("--tokenizer", &path_, "Tokenizer folder (vocab.json, merges.txt), or a model's folder",
                "FOLDER");
  }

 protected:
  absl::StatusOr<std::unique_ptr<Tokenizer>> Open() const {
    RETURN_IF_ERROR(RequireFlag(path_, "--tokenizer", "my-tokenizer"));
    return LoadTokenizer(path_);
  }

 private:
  std::string path_;
};

class EncodeCommand : public TokenizerUser {
 public:
  std::string name() const override { return "encode"; }
  std::string summary() const override { return "Print the token ids of a text (or of standard input)"; }
  std::string examples() const override {
    return "lockstep tokenizer encode 'Hello world' --tokenizer gpt2\n"
           "lockstep tokenizer encode --tokenizer gpt2 < book.txt";
  }
  void Declare(Flags* flags) override {
    flags->Positional("TEXT", &text_, "The text; without it (or -), standard input", /*required=*/false);
    TokenizerUser::Declare(flags);
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto tokenizer, Open());
    std::vector<int32_t> tokens;
    RETURN_IF_ERROR(tokenizer->Encode(TextOrInput(text_), &tokens));
    session->out() << absl::StrJoin(tokens, " ") << std::endl;
    return kExitSucceeded;
  }

 private:
  std::string text_;
};

class DecodeCommand : public TokenizerUser {
 public:
  std::string name() const override { return "decode"; }
  std::string summary() const override {
    return "Print the text of token ids (arguments, or standard input)";
  }
  std::string examples() const override {
    return "lockstep tokenizer decode '15496 995' --tokenizer gpt2\n"
           "lockstep tokenizer encode --tokenizer gpt2 < a.txt | lockstep tokenizer decode --tokenizer gpt2";
  }
  void Declare(Flags* flags) override {
    flags->Positional("IDS", &ids_, "Ids with blanks between them; without them (or -), standard input",
                      /*required=*/false);
    TokenizerUser::Declare(flags);
  }

  absl::StatusOr<int> Run(Session* session) override {
    ASSIGN_OR_RETURN(const auto tokenizer, Open());
    std::vector<int32_t> tokens;
    const std::string text = TextOrInput(ids_);
    for (const absl::string_view word :
         absl::StrSplit(text, absl::ByAnyChar(" \t\r\n,"), absl::SkipEmpty())) {
      if (!absl::SimpleAtoi(word, &tokens.emplace_back())) {
        return absl::InvalidArgumentError(absl::StrCat("token ", tokens.size(),
                                                       ": expected a whole number, got '",
                                                       Printable(std::string(word.substr(0, 40))), "'"));
      }
    }
    // Bytes as they are: nothing is added, so that encoding and decoding a file give the file.
    ASSIGN_OR_RETURN(const std::string decoded, tokenizer->Decode(tokens));
    session->out() << decoded << std::flush;
    return kExitSucceeded;
  }

 private:
  std::string ids_;
};

class TokensCommand : public TokenizerUser {
 public:
  std::string name() const override { return "tokens"; }
  std::string summary() const override { return "Encode a text into a token shard (llm.c's .bin)"; }
  std::string examples() const override {
    return "lockstep tokenizer tokens book.txt --tokenizer gpt2 --output book.bin";
  }
  void Declare(Flags* flags) override {
    flags->Positional("FILE", &file_, "UTF-8 text, plain or gzip; a folder of *.txt; or a pattern of files");
    TokenizerUser::Declare(flags);
    flags->Text("--output", &output_, "The shard to write", "FILE");
  }

  absl::StatusOr<int> Run(Session* session) override {
    RETURN_IF_ERROR(RequireFlag(output_, "--output", "tokens.bin"));
    ASSIGN_OR_RETURN(const auto tokenizer, Open());
    ASSIGN_OR_RETURN(const LanguageSource source, ReadText(file_));
    std::vector<int32_t> tokens;
    RETURN_IF_ERROR(tokenizer->Encode(source.text, &tokens));
    if (tokenizer->unknown() >= 0) {
      const auto unknown = std::count(tokens.begin(), tokens.end(), tokenizer->unknown());
      if (unknown > 0) {
        session->err() << "warning: " << CountText(unknown) << " characters are not in the vocabulary"
                       << std::endl;
      }
    }
    RETURN_IF_ERROR(WriteTokenShard(output_, tokens));
    session->err() << Printable(output_) << ": " << CountText(static_cast<int64_t>(tokens.size()))
                   << " tokens" << std::endl;
    return kExitSucceeded;
  }

 private:
  std::string file_, output_;
};

class TokenizerCommand : public Command {
 public:
  std::string name() const override { return "tokenizer"; }
  std::string summary() const override { return "Train tokenizers; turn text into tokens and back"; }
  std::string examples() const override {
    return "lockstep tokenizer train book.txt --vocabulary 4096 --output book-tokenizer\n"
           "lockstep tokenizer encode 'Once upon a time' --tokenizer book-tokenizer\n"
           "lockstep tokenizer tokens book.txt --tokenizer book-tokenizer --output book.bin";
  }
  std::vector<std::unique_ptr<Command>> Children() override {
    std::vector<std::unique_ptr<Command>> children;
    children.push_back(std::make_unique<TrainTokenizerCommand>());
    children.push_back(std::make_unique<EncodeCommand>());
    children.push_back(std::make_unique<DecodeCommand>());
    children.push_back(std::make_unique<TokensCommand>());
    return children;
  }
  absl::StatusOr<int> Run(Session*) override {
    return absl::InvalidArgumentError(
        "expected one of train, encode, decode, tokens; `lockstep tokenizer --help` shows what they do");
  }
};

}  // namespace

std::unique_ptr<Command> MakeTokenizerCommand() { return std::make_unique<TokenizerCommand>(); }

}  // namespace lockstep
