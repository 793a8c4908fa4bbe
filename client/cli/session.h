// What a command works with: the global options, the two output streams and what they can show, the client,
// and the interruptions. Data goes to out(), everything else to err(). Used by one thread; Interrupt from
// any.
#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>

#include "absl/time/time.h"
#include "client/cli/command_tree.h"
#include "client/library/client.h"
#include "client/render/text.h"
#include "common/auth/client_access.h"

namespace google::protobuf {
class Message;
}

namespace lockstep {

// The surroundings of the process; tests make their own.
struct Environment {
  std::ostream* out = nullptr;
  std::ostream* err = nullptr;
  std::function<std::string(const char*)> variable;  // "" for one that is not set
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  int terminal_width = 80;
};

struct GlobalOptions {
  std::string coordinator;  // host:port
  ClientAccess access;      // for that coordinator alone
  std::string space;        // the namespace that is meant there; empty: the coordinator's choice
  std::string token;        // access.Token(), read once
  std::string format = "table";
  absl::Duration connect_timeout = absl::Seconds(5);
};

class Session {
 public:
  Session(const Environment& environment, const GlobalOptions& options);

  const GlobalOptions& options() const { return options_; }
  const Environment& environment() const { return environment_; }
  std::ostream& out() { return *environment_.out; }
  std::ostream& err() { return *environment_.err; }
  Style out_style() const { return out_style_; }
  Style err_style() const { return err_style_; }
  bool live() const { return live_; }  // a line on err may be redrawn

  // A client of the coordinator that the options name; interrupted() ends its calls.
  Client& client();
  // One of another address or another cancellation, with the same manners.
  std::unique_ptr<Client> MakeClient(const std::string& address, Cancellation* cancellation);

  // Writes to out: `table` or, by -o, the message as JSON or YAML.
  void Print(const google::protobuf::Message& message, const std::string& table);
  // The same for one of several messages in a row: a line of JSON, a document of YAML.
  void PrintItem(const google::protobuf::Message& message, const std::string& table);
  bool wants_table() const { return options_.format == "table"; }

  // Called for each SIGINT or SIGTERM: the first sets interrupted(), the second terminated() as well.
  void Interrupt();
  Cancellation& interrupted() { return interrupted_; }
  Cancellation& terminated() { return terminated_; }

  const CommandTree* tree = nullptr;  // of the whole program, for `completion`; set before Run

 private:
  const Environment environment_;
  const GlobalOptions options_;
  Style out_style_, err_style_;
  bool live_ = false;
  Cancellation interrupted_, terminated_;
  std::unique_ptr<Client> client_;
};

}  // namespace lockstep
